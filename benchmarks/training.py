"""Time an epoch of BPR-MF training steps at Gowalla's size, with several ways of computing gradients.

    python benchmarks/training.py --steps 396 --rounds 5 --threads 2

Every way sees the same batches from the same initial tables. Rounds are interleaved, so that a busy machine slows all
of them alike. Ratios to plain autograd come first, then seconds per epoch of 396 steps (the fastest round and the
median one), CPU seconds (the smallest; the figure to trust on a busy machine, with one thread), and the largest
difference of any step's loss from plain autograd's. The first four ways do the same dense Adam and must differ only by
rounding; the lazy ones are a different algorithm; the last is the lower bound for dense Adam.

Sampling is not included. Batches resemble Gowalla's: users by activity, positives by popularity, one uniform negative.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.training.optimizers import adam, lazy_adam

N_USERS, N_ITEMS, DIM, BATCH, STEPS_PER_EPOCH = 29_858, 40_981, 64, 2_048, 396
Step = Callable[[Tensor, Tensor], Tensor]
"""One training step: takes users (B,) and items (B, 2), positive first; returns the loss before the step."""


def bpr(users_BD: Tensor, items_B2D: Tensor) -> Tensor:
    scores_B2 = (users_BD.unsqueeze(1) * items_B2D).sum(
        -1
    )  # several times faster than einsum's thousands of tiny products
    return F.softplus(scores_B2[:, 1] - scores_B2[:, 0]).mean()


def plain(user: nn.Parameter, item: nn.Parameter) -> Step:
    """Autograd through embedding look-ups; allocates a dense gradient in every step."""
    return _autograd(user, item, set_to_none=True)


def kept(user: nn.Parameter, item: nn.Parameter) -> Step:
    """As plain, but gradients are kept and zeroed in place: autograd adds a second dense gradient to them."""
    return _autograd(user, item, set_to_none=False)


def _autograd(user: nn.Parameter, item: nn.Parameter, *, set_to_none: bool) -> Step:
    optimizer = adam([user, item])

    def step(users_B: Tensor, items_B2: Tensor) -> Tensor:
        loss = bpr(F.embedding(users_B, user), F.embedding(items_B2, item))
        optimizer.zero_grad(set_to_none=set_to_none)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


class RowGradient:
    """A dense gradient that is kept between steps; only the rows touched last are cleared.

    `look_up` is `F.embedding` with a backward pass that adds rows to this gradient instead of making a dense one. The
    parameter may be used in the loss in other ways too: autograd then adds to the same gradient, which is detected, and
    the next clearing is a full one. Works with any loss, and with `optimizer.zero_grad()`, which only drops the
    reference to the gradient. Not for CUDA, where adding rows is not deterministic.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        self.weight = weight
        self.buffer: Tensor | None = None
        self.touched: list[Tensor] = []
        self.is_dense = False
        weight.register_hook(self._notice)

    def _notice(self, grad: Tensor | None) -> None:
        self.is_dense = self.is_dense or grad is not None

    def look_up(self, index: Tensor) -> Tensor:
        rows = _LookUp.apply(self.weight, index.reshape(-1), self)
        return rows.view(*index.shape, -1)

    def add(self, index: Tensor, grad: Tensor) -> None:
        if self.weight.grad is None:
            self.weight.grad = self._cleared()
        self.weight.grad.index_add_(0, index, grad)
        self.touched.append(index)
        if len(self.touched) > 64:  # zeroed elsewhere, or many batches are accumulated
            self.touched, self.is_dense = [], True

    def _cleared(self) -> Tensor:
        if self.buffer is None:
            self.buffer = torch.zeros_like(self.weight)
        elif self.is_dense:
            self.buffer.zero_()
        else:
            for index in self.touched:
                self.buffer.index_fill_(0, index, 0.0)
        self.touched, self.is_dense = [], False
        return self.buffer


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight: Tensor, index: Tensor, owner: RowGradient) -> Tensor:
        ctx.owner = owner
        ctx.save_for_backward(index)
        return weight.index_select(0, index)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[None, None, None]:
        ctx.owner.add(*ctx.saved_tensors, grad)
        return None, None, None


def rows(user: nn.Parameter, item: nn.Parameter) -> Step:
    """Autograd for the loss; look-ups add their rows to kept dense gradients. Works for any loss and model."""
    optimizer = adam([user, item])
    user_rows, item_rows = RowGradient(user), RowGradient(item)

    def step(users_B: Tensor, items_B2: Tensor) -> Tensor:
        loss = bpr(user_rows.look_up(users_B), item_rows.look_up(items_B2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _bpr_gradients(user: Tensor, item: Tensor, users_B: Tensor, items_B2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss, and its gradients by the users' rows (B, D) and by the positives' (B, D; negatives: minus)."""
    user_BD = user.index_select(0, users_B)
    difference_BD = item.index_select(0, items_B2[:, 0]).sub_(item.index_select(0, items_B2[:, 1]))
    margin_B = torch.linalg.vecdot(user_BD, difference_BD)
    slope_B1 = torch.sigmoid(-margin_B).div_(-len(margin_B)).unsqueeze(1)
    return F.softplus(-margin_B).mean(), difference_BD.mul_(slope_B1), user_BD.mul_(slope_B1)


def by_hand(user: nn.Parameter, item: nn.Parameter) -> Step:
    """No autograd: BPR's gradients written out and added to kept dense gradients. For BPR on dot products only."""
    optimizer = adam([user, item])
    user.grad, item.grad = torch.zeros_like(user), torch.zeros_like(item)
    user_grad, item_grad = user.grad, item.grad

    @torch.no_grad()
    def step(users_B: Tensor, items_B2: Tensor) -> Tensor:
        loss, user_BD, item_BD = _bpr_gradients(user, item, users_B, items_B2)
        user_grad.index_add_(0, users_B, user_BD)
        item_grad.index_add_(0, items_B2[:, 0], item_BD)
        item_grad.index_add_(0, items_B2[:, 1], item_BD.neg_())
        optimizer.step()
        user_grad.index_fill_(0, users_B, 0.0)
        item_grad.index_fill_(0, items_B2.reshape(-1), 0.0)
        return loss

    return step


def adam_alone(user: nn.Parameter, item: nn.Parameter) -> Step:
    """The lower bound: the optimizer's step on existing gradients."""
    optimizer = adam([user, item])
    user.grad, item.grad = torch.zeros_like(user), torch.zeros_like(item)

    def step(users_B: Tensor, items_B2: Tensor) -> Tensor:
        optimizer.step()
        return torch.tensor(torch.nan)

    return step


def lazy(user: nn.Parameter, item: nn.Parameter) -> Step:
    """lazy_adam on sparse gradients from autograd."""
    optimizer = lazy_adam([user, item])

    def step(users_B: Tensor, items_B2: Tensor) -> Tensor:
        loss = bpr(F.embedding(users_B, user, sparse=True), F.embedding(items_B2, item, sparse=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def lazy_by_hand(user: nn.Parameter, item: nn.Parameter) -> Step:
    """lazy_adam on sparse gradients written out."""
    optimizer = lazy_adam([user, item])

    @torch.no_grad()
    def step(users_B: Tensor, items_B2: Tensor) -> Tensor:
        loss, user_BD, item_BD = _bpr_gradients(user, item, users_B, items_B2)
        both = torch.cat([item_BD, -item_BD])
        user.grad = torch.sparse_coo_tensor(users_B[None], user_BD, user.shape, check_invariants=False)
        item.grad = torch.sparse_coo_tensor(items_B2.T.reshape(1, -1), both, item.shape, check_invariants=False)
        optimizer.step()
        return loss

    return step


WAYS: list[Callable[[nn.Parameter, nn.Parameter], Step]] = [plain, kept, rows, by_hand, lazy, lazy_by_hand, adam_alone]


def draw_batches(n: int) -> tuple[Tensor, Tensor]:
    """Return users (n, B) and items (n, B, 2) with long-tailed activity and popularity."""
    rng = np.random.default_rng(0)
    activity, popularity = rng.lognormal(0.0, 0.8, N_USERS), 1 / np.arange(20, N_ITEMS + 20) ** 0.8
    users = rng.choice(N_USERS, (n, BATCH), p=activity / activity.sum())
    positives = rng.permutation(N_ITEMS)[rng.choice(N_ITEMS, (n, BATCH), p=popularity / popularity.sum())]
    items = np.stack([positives, rng.integers(N_ITEMS, size=(n, BATCH))], axis=-1)
    return torch.from_numpy(users), torch.from_numpy(items)


def table(n_rows: int, seed: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(n_rows, DIM, generator=torch.Generator().manual_seed(seed)).mul_(0.1))


def compare(ways: list[Callable[[nn.Parameter, nn.Parameter], Step]], arguments: argparse.Namespace) -> None:
    """Time the ways in interleaved rounds, compare them with the first, and print the table."""
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    users, items = draw_batches(arguments.steps)
    steps = {way.__name__: way(table(N_USERS, 1), table(N_ITEMS, 2)) for way in ways}
    for step in steps.values():  # one-off work is not timed
        step(users[0], items[0])
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    scale = STEPS_PER_EPOCH / arguments.steps
    difference = dict.fromkeys(steps, 0.0)
    for _ in range(arguments.rounds):
        reference = None
        for name, step in steps.items():
            started, started_cpu = time.perf_counter(), time.process_time()
            losses = torch.stack([step(users_B, items_B2) for users_B, items_B2 in zip(users, items, strict=True)])
            seconds[name].append((time.perf_counter() - started) * scale)
            cpu[name].append((time.process_time() - started_cpu) * scale)
            reference = losses if reference is None else reference
            difference[name] = max(difference[name], float((losses - reference).abs().max()))
    heads = ("x plain", "x (CPU)", "fastest s", "median s", "CPU s", "loss off by")
    print(f"{'way':14s}" + "".join(f"{head:>12s}" for head in heads))
    for name, taken in seconds.items():
        ratio = statistics.median(base / own for base, own in zip(seconds["plain"], taken, strict=True))
        numbers = (ratio, min(cpu["plain"]) / min(cpu[name]), min(taken), statistics.median(taken), min(cpu[name]))
        print(f"{name:14s}" + "".join(f"{number:12.2f}" for number in numbers) + f"{difference[name]:12.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=STEPS_PER_EPOCH, help="training steps per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    compare(WAYS, parser.parse_args())


if __name__ == "__main__":
    main()
