"""Time an epoch of BPR-MF training steps with compiled kernels, compared with the methods of `training.py`.

    python benchmarks/compiled.py --steps 200 --rounds 3 --threads 2

Needs numba. recrun does not use these kernels; docs/performance.md gives the outcome of the experiment. `kernels`
scores pairs and adds their gradients to kept tables in one pass each, with torch's fused Adam; `whole` also does Adam's
step, reading and clearing only the gradients of touched rows; `lazy_whole` updates the batch's rows only, as
`lazy_adam` does. The printed table is that of `training.py`.

Shapes: R rows of a table, B pairs, C items per user, D embedding.
"""

from __future__ import annotations

import argparse
from typing import Any

import numba
import numpy as np
import torch
import torch.nn.functional as F
from numba import njit, prange
from torch import Tensor, nn
from training import Step, adam_alone, compare, lazy, plain, rows

from recrun.training.optimizers import adam

FAST = {"contract", "nsz", "reassoc", "arcp"}
LR, BETA1, BETA2, EPS = np.float32(1e-3), np.float32(0.9), np.float32(0.999), np.float32(1e-8)
ONE = np.float32(1)


@njit(parallel=True, fastmath=FAST, error_model="numpy")
def pair_scores(user: Any, item: Any, users_B: Any, items_BC: Any, scores_BC: Any) -> None:
    """Write the score of each pair; threads divide the pairs."""
    width = 256
    for k in prange((len(users_B) + width - 1) // width):
        for b in range(k * width, min(len(users_B), (k + 1) * width)):
            for c in range(items_BC.shape[1]):
                total = np.float32(0)
                for d in range(user.shape[1]):
                    total += user[users_B[b], d] * item[items_BC[b, c], d]
                scores_BC[b, c] = total


@njit(parallel=True, fastmath=FAST, error_model="numpy")
def pair_gradients(
    user: Any, item: Any, users_B: Any, items_BC: Any, slopes_BC: Any, user_grad: Any, item_grad: Any
) -> None:
    """Add the gradients from the slopes of the scores; threads divide the columns, so none write to the same number."""
    width = 32
    for k in prange((user.shape[1] + width - 1) // width):
        for b in range(len(users_B)):
            for c in range(items_BC.shape[1]):
                u, i, slope = users_B[b], items_BC[b, c], slopes_BC[b, c]
                for d in range(k * width, min(user.shape[1], (k + 1) * width)):
                    user_grad[u, d] += slope * item[i, d]
                    item_grad[i, d] += slope * user[u, d]


@njit(parallel=True, fastmath=FAST, error_model="numpy")
def adam_step(weight: Any, grad: Any, mean: Any, square: Any, touched: Any, n_steps: int) -> None:
    """Update every row; gradients are read and cleared only where rows were touched."""
    rate = np.float32(LR / (1 - BETA1**n_steps))
    scale = np.float32(1 / np.sqrt(1 - BETA2**n_steps))
    for r in prange(len(weight)):
        was_touched = touched[r]
        touched[r] = False
        for d in range(weight.shape[1]):
            slope = np.float32(0)
            if was_touched:
                slope = grad[r, d]
                grad[r, d] = 0
            mean[r, d] = BETA1 * mean[r, d] + (ONE - BETA1) * slope
            square[r, d] = BETA2 * square[r, d] + (ONE - BETA2) * slope * slope
            weight[r, d] -= rate * mean[r, d] / (np.sqrt(square[r, d]) * scale + EPS)


@njit(fastmath=FAST, error_model="numpy")
def lazy_step(weight: Any, grad: Any, mean: Any, square: Any, touched: Any, clocks: Any, index: Any) -> None:
    """Update the rows in `index`, each once, by its own step count."""
    for r in index:
        if not touched[r]:
            continue
        touched[r] = False
        clocks[r] += 1
        rate = np.float32(LR / (1 - BETA1 ** clocks[r]))
        scale = np.float32(1 / np.sqrt(1 - BETA2 ** clocks[r]))
        for d in range(weight.shape[1]):
            slope = grad[r, d]
            grad[r, d] = 0
            mean[r, d] = BETA1 * mean[r, d] + (ONE - BETA1) * slope
            square[r, d] = BETA2 * square[r, d] + (ONE - BETA2) * slope * slope
            weight[r, d] -= rate * mean[r, d] / (np.sqrt(square[r, d]) * scale + EPS)


class Table:
    """A table with its kept gradient and Adam's state, as arrays; the weights share memory with the parameter."""

    def __init__(self, parameter: nn.Parameter) -> None:
        self.weight = parameter.detach().numpy()
        self.grad, self.mean, self.square = (np.zeros_like(self.weight) for _ in range(3))
        self.touched = np.zeros(len(self.weight), bool)
        self.clocks = np.zeros(len(self.weight), np.int64)


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, anchor: Tensor, user: Table, item: Table, users_B: Any, items_BC: Any) -> Tensor:
        context.pairs = user, item, users_B, items_BC
        scores = torch.empty(items_BC.shape)
        pair_scores(user.weight, item.weight, users_B, items_BC, scores.numpy())
        return scores

    @staticmethod
    def backward(context: Any, slopes: Tensor) -> tuple[None, ...]:
        user, item, users_B, items_BC = context.pairs
        arrays = (user.weight, item.weight, users_B, items_BC, slopes.contiguous().numpy(), user.grad, item.grad)
        pair_gradients(*arrays)
        return (None,) * 5


def _gradients(anchor: Tensor, user: Table, item: Table, users_B: Any, items_BC: Any) -> Tensor:
    """Compute the loss, and add its gradients to those of the tables."""
    scores: Tensor = _Scores.apply(anchor, user, item, users_B, items_BC)
    loss = F.softplus(scores[:, 1] - scores[:, 0]).mean()
    loss.backward()
    return loss.detach()


def kernels(user: nn.Parameter, item: nn.Parameter) -> Step:
    """Compiled scores and gradients; torch's fused Adam."""
    optimizer = adam([user, item])
    tables = Table(user), Table(item)
    user.grad, item.grad = torch.from_numpy(tables[0].grad), torch.from_numpy(tables[1].grad)

    def step(users_B: Tensor, items_B2: Tensor) -> Tensor:
        loss = _gradients(user, *tables, users_B.numpy(), items_B2.numpy())
        optimizer.step()
        tables[0].grad[users_B.numpy()] = 0
        tables[1].grad[items_B2.numpy().reshape(-1)] = 0
        return loss

    return step


def _compiled(user: nn.Parameter, item: nn.Parameter, *, lazily: bool) -> Step:
    tables = Table(user), Table(item)
    n_steps = 0

    def step(users_B: Tensor, items_B2: Tensor) -> Tensor:
        nonlocal n_steps
        n_steps += 1
        loss = _gradients(user, *tables, users_B.numpy(), items_B2.numpy())
        for table, index in zip(tables, (users_B.numpy(), items_B2.numpy().reshape(-1)), strict=True):
            table.touched[index] = True
            arrays = (table.weight, table.grad, table.mean, table.square, table.touched)
            if lazily:
                lazy_step(*arrays, table.clocks, index)
            else:
                adam_step(*arrays, n_steps)
        return loss

    return step


def whole(user: nn.Parameter, item: nn.Parameter) -> Step:
    """Everything except the loss is compiled, with dense Adam."""
    return _compiled(user, item, lazily=False)


def lazy_whole(user: nn.Parameter, item: nn.Parameter) -> Step:
    """Everything except the loss is compiled, with Adam on the batch's rows."""
    return _compiled(user, item, lazily=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=200, help="training steps per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    numba.set_num_threads(arguments.threads)
    compare([plain, rows, kernels, whole, lazy, lazy_whole, adam_alone], arguments)


if __name__ == "__main__":
    main()
