"""The distinct items of a batch, and when they are worth finding."""

from __future__ import annotations

import torch

from recrun.architectures.item_products import repeated_items

N_ITEMS = 5_000


def batch(n_distinct: int, *, n_negatives: int = 40, n_rows: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n_distinct)
    pool = torch.randperm(N_ITEMS, generator=generator)[:n_distinct]
    return pool[torch.randint(n_distinct, (n_rows, 1 + n_negatives), generator=generator)]


def test_positions_and_counts_lead_back_to_the_batch() -> None:
    items = batch(50)
    repeated = repeated_items(items, N_ITEMS)
    assert repeated is not None
    assert torch.equal(repeated.items[repeated.positions], items)
    assert repeated.items.tolist() == sorted(set(items.reshape(-1).tolist()))
    assert repeated.counts.tolist() == [float((items == item).sum()) for item in repeated.items]


def test_few_negatives_and_many_distinct_items_are_taken_as_they_stand() -> None:
    assert repeated_items(batch(50, n_negatives=30), N_ITEMS) is None
    assert repeated_items(batch(4_000), N_ITEMS) is None
