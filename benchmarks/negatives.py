"""Time scores of many negatives with their gradients: gathered, read in place, and by a product over distinct items.

    python benchmarks/negatives.py [--threads 1] [--rounds 3]

The tables have Gowalla's size with embedding 64: B users, K negatives each, drawn from R distinct items (as many as a
batch has for in-batch negatives, or all items for uniform ones). The loss is a softmax. `bprmf` uses the product where
`recrun.architectures.item_products` finds that it pays, and else reads the rows in place if there are as many as items.
Processor seconds, the best round of each.
"""

from __future__ import annotations

import argparse
import time

import torch
from _common import machine, table
from torch import Tensor

from recrun.architectures.item_products import BatchItems, pair_scores
from recrun.data.tokenizer import RowEmbedding

N_USERS, N_ITEMS, DIM = 29_858, 40_981, 64
CASES = (
    *((2048, 1024, 1800), (2048, 256, 1800), (1024, 128, 1000), (1024, 128, 3000), (1024, 128, N_ITEMS)),
    *((1024, 800, N_ITEMS), (256, 2000, N_ITEMS), (1024, 15, N_ITEMS)),
)


def gathered(users_BD: Tensor, table: RowEmbedding, items: Tensor) -> Tensor:
    """Gather a row for each item."""
    return (users_BD.unsqueeze(1) * table(items)).sum(-1)


def read_in_place(users_BD: Tensor, table: RowEmbedding, items: Tensor) -> Tensor:
    """Multiply each user by the rows of its items where these are, unless they are few."""
    return pair_scores(users_BD, table.weight, items)


def multiplied(users_BD: Tensor, table: RowEmbedding, items: Tensor) -> Tensor:
    """Multiply all users by all distinct items, and gather the scores."""
    counts = torch.bincount(items.reshape(-1), minlength=N_ITEMS)
    distinct = counts.nonzero().squeeze(1)
    positions = torch.empty(N_ITEMS, dtype=torch.int64)
    positions[distinct] = torch.arange(len(distinct))
    return (users_BD @ table(distinct).T).gather(1, positions[items])


def way_taken(users_BD: Tensor, table: RowEmbedding, items: Tensor) -> str:
    """Return which of the three ways recrun takes, by the vectors that it asks for."""
    asked: list[str] = []

    def of_items(ids: Tensor | None) -> Tensor:
        asked.append("in place" if ids is None else "product" if ids.dim() == 1 else "gathered")
        return table.weight if ids is None else table(ids)

    BatchItems(N_ITEMS).scores(users_BD, items, of_items)
    return asked[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    user_table, item_table = RowEmbedding(N_USERS, DIM), RowEmbedding(N_ITEMS, DIM)
    rows = []
    for n_users, n_negatives, n_distinct in CASES:
        pool = torch.randperm(N_ITEMS, generator=generator)[:n_distinct]
        items = pool[torch.randint(n_distinct, (n_users, 1 + n_negatives), generator=generator)]
        users = torch.randint(N_USERS, (n_users,), generator=generator)
        best = dict.fromkeys((gathered, read_in_place, multiplied), float("inf"))
        for _ in range(options.rounds):
            for way in best:
                user_table.weight.grad = item_table.weight.grad = None
                start = time.process_time()
                way(user_table(users), item_table, items).logsumexp(1).mean().backward()
                best[way] = min(best[way], time.process_time() - start)
        taken = way_taken(user_table(users), item_table, items)
        ratios = [best[gathered] / best[way] for way in (read_in_place, multiplied)]
        rows.append([n_users, n_negatives, n_distinct, *ratios, *best.values(), taken])
    print(machine(options.threads))
    seconds = ["gathered s", "in place s", "product s"]
    table(["B", "K", "R", "in place faster by", "product faster by", *seconds, "recrun uses"], rows)


if __name__ == "__main__":
    main()
