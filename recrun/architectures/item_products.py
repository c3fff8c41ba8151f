"""Score rows against items by matrix products: the few distinct items of a batch, or all items in pieces.

Scoring each (user, item) pair of a batch gathers one embedding per pair. If the batch has few distinct items (in-batch
negatives repeat them), a single matrix product of its users with these items is many times faster
(`benchmarks/negatives.py`). Of a softmax over all items, only sums are needed, and the scores need not be held.

Shapes: B rows of a batch, K negatives, R distinct items of the batch or rows of a piece, I items, D length of vectors.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_FEWEST: Final = 32
"""The fewest items per row for which looking for repeated items pays."""
_MOST_DISTINCT: Final = 32
"""The most distinct items, as a multiple of the items per row, for which the matrix product is clearly faster."""
_MOST_BESIDE_PAIRS: Final = 2
"""The same where `pair_scores` is the other way."""
_FEWEST_PAIRS: Final = 8
"""The fewest items per row for which `pair_scores` gathers no vectors."""
_MOST_SCORED: Final = 4
"""The most items, as a multiple of those per row, of which `pair_scores` scores all."""
_MOST_COUNTED: Final = 8
"""The largest catalogue, as a multiple of the items of a batch, in which these are counted by a table of all items."""
_SAMPLED_ROWS: Final = 2
"""How many times the rows are looked at that could have the most distinct items, before all of a batch are."""
_TYPES: Final = (torch.float32, torch.float64)
_SCORES: Final = 1 << 20
"""The scores of a piece, about as many as fit a processor's cache."""
_SCORES_OF_ACCELERATOR: Final = 1 << 26
_FEWEST_ROWS: Final = 128
"""The fewest rows of a piece: the sums of the items' gradients are read and written once for each."""


class Repeated(NamedTuple):
    """The distinct items of a batch."""

    items: Tensor
    """(R,) ascending."""
    positions: Tensor
    """(B, 1 + K) the position of each item of the batch in `items`."""
    counts: Tensor
    """(R,) how often each occurs in the batch, floating."""


def repeated_items(items: Tensor, n_items: int, most: int = _MOST_DISTINCT) -> Repeated | None:
    """Return the distinct items of a batch, or None if scoring each pair is faster.

    It always is on devices other than the CPU: gathering is cheap there, and counting would wait for the device.

    Args:
        items: (B, 1 + K) int64.
        n_items: number of items in the catalogue.
        most: the most distinct items, as a multiple of the items per row.
    """
    if items.size(1) < _FEWEST or items.device.type != "cpu":
        return None
    few = items[: _SAMPLED_ROWS * most]  # of a large catalogue these alone have too many
    if n_items > few.numel() and len(few) < len(items) and len(torch.unique(few)) > most * items.size(1):
        return None
    distinct, counts = _counted(items, n_items)
    if len(distinct) > most * items.size(1):
        return None
    if _is_sorted(items, n_items):
        return Repeated(distinct, torch.searchsorted(distinct, items), counts)
    positions = torch.empty(n_items, dtype=torch.int64)
    positions[distinct] = torch.arange(len(distinct))
    return Repeated(distinct, positions[items], counts)


def _counted(items: Tensor, n_items: int) -> tuple[Tensor, Tensor]:
    """Return the distinct items (R,) of a batch, ascending, and how often each occurs, floating (R,)."""
    if _is_sorted(items, n_items):
        distinct, counts = torch.unique(items, return_counts=True)
        return distinct, counts.to(torch.get_default_dtype())
    counts = torch.bincount(items.reshape(-1), minlength=n_items)
    distinct = counts.nonzero().squeeze(1)
    return distinct, counts[distinct].to(torch.get_default_dtype())


def _is_sorted(items: Tensor, n_items: int) -> bool:
    """Return whether the items of a batch are sorted to be counted, which takes no time for the others."""
    return n_items > _MOST_COUNTED * items.numel()


def scores_of_rows(states: Tensor, pairs: Tensor, look_up: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the products (B, K) of rows (B, D) with the vectors of some items each, of which each is looked up once.

    So the gradient of the table of items has the rows of the batch alone, as optimizers that are sparse need it.

    Args:
        states: (B, D) floating.
        pairs: int64 (B, K), the items of each row; they may repeat.
        look_up: returns the vectors (R, D) of items (R,).
    """
    distinct, positions = torch.unique(pairs, return_inverse=True)
    return pair_scores(states, look_up(distinct), positions)


def reads_in_place(pairs: Tensor, n_items: int) -> bool:
    """Return whether `pair_scores` of pairs (B, K) gathers no vectors, so that those of all items are wanted."""
    many = pairs.size(1) >= _FEWEST_PAIRS and pairs.numel() >= n_items
    return many and pairs.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def pair_scores(states: Tensor, items: Tensor, pairs: Tensor) -> Tensor:
    """Return the products (B, K) of rows (B, D) with the vectors of some items each.

    On a CPU the K vectors of each row are read where they are, and not gathered, which takes most of the time and
    B x K x D floats. The gradients are sums over the same pairs. It then cannot be differentiated twice. Where K is not
    much smaller than I, all items are scored.

    Args:
        states: (B, D) floating.
        items: (I, D), the vectors of all items.
        pairs: int64 (B, K), the items of each row; they may repeat.
    """
    taken = states.dtype == items.dtype and states.dtype in _TYPES and not torch.compiler.is_compiling()
    if not (taken and reads_in_place(pairs, len(items))):
        return (F.embedding(pairs, items) @ states[:, :, None]).squeeze(-1)
    if len(items) <= _MOST_SCORED * pairs.size(1):
        return (states @ items.T).gather(1, pairs)
    scores: Tensor = _PairScores.apply(states, items, pairs)  # type: ignore[no-untyped-call]
    return scores


class _PairScores(torch.autograd.Function):
    """The products of rows with some items: a sampled product of dense matrices, with sparse ones as gradients."""

    @staticmethod
    def forward(context: Any, states: Tensor, items: Tensor, pairs: Tensor) -> Tensor:
        states, items = states.contiguous(), items.contiguous()
        context.save_for_backward(states, items, pairs)
        starts = torch.arange(0, pairs.numel() + 1, pairs.size(1), dtype=torch.int32)
        # Items may repeat in a row, and do not ascend, which neither this product nor its gradients mind.
        _take_warning()
        places = torch.sparse_csr_tensor(
            starts, pairs.reshape(-1).int(), items.new_zeros(pairs.numel()), (len(pairs), len(items))
        )
        scores: Tensor = torch.sparse.sampled_addmm(places, states, items.T, beta=0.0).values().view(pairs.shape)
        return scores

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        states, items, pairs = context.saved_tensors
        weights_N, starts_B = gradient.reshape(-1), torch.arange(0, pairs.numel(), pairs.size(1))
        of_states = of_items = None
        if context.needs_input_grad[0]:
            of_states = F.embedding_bag(
                pairs.reshape(-1), items, starts_B, mode="sum", per_sample_weights=weights_N.contiguous()
            )
        if context.needs_input_grad[1]:
            from scipy.sparse import csc_matrix

            parts = (weights_N.numpy(), pairs.reshape(-1).int().numpy(), np.append(starts_B.numpy(), pairs.numel()))
            of_items = torch.from_numpy(csc_matrix(parts, shape=(len(items), len(pairs))) @ states.numpy())
        return of_states, of_items, None


@cache
def _take_warning() -> None:
    """Swallow what torch says once a process about sparse tensors: that their interface may change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor(torch.tensor([0, 0]), torch.tensor([], dtype=torch.int64), torch.tensor([]), (1, 1))


class BatchItems:
    """Scores the items of a batch, and sums their squares for the L2 term, each in the way that is fastest.

    Args:
        n_items: number of items in the catalogue.
        penalized: whether `sum_squares` follows the scores of a training step; items are counted once for both.
    """

    def __init__(self, n_items: int, *, penalized: bool = False) -> None:
        self._n_items, self._penalized = n_items, penalized
        self._last: tuple[Tensor, Repeated | None] | None = None

    def scores(
        self, users: Tensor, items: Tensor, vectors: Callable[[Tensor | None], Tensor], *, whole: bool = True
    ) -> Tensor:
        """Return the products (B, 1 + K) of users' vectors with those of items.

        It is a matrix product with the distinct items of the batch if these are few; `pair_scores` if there are many
        pairs; and the products of vectors that are looked up for each pair else.

        Args:
            users: (B, D) floating.
            items: (B, 1 + K).
            vectors: returns the vectors (..., D) of items (...), and those of all items (I, D) for None.
            whole: whether it may be asked for those of all items; not where their gradients are sparse.
        """
        in_place = whole and reads_in_place(items, self._n_items)
        repeated = repeated_items(items, self._n_items, _MOST_BESIDE_PAIRS if in_place else _MOST_DISTINCT)
        self._last = (items, repeated) if self._penalized else None
        if repeated is not None:
            return (users @ vectors(repeated.items).T).gather(1, repeated.positions)
        if in_place:
            return pair_scores(users, vectors(None), items)
        return (users[:, None] * vectors(items)).sum(-1)

    def sum_squares(self, look_up: Callable[[Tensor], Tensor], items: Tensor) -> Tensor:
        """Return the sum of the squared norms of the embeddings of items (B, 1 + K), each as often as it occurs.

        Args:
            look_up: returns embeddings (..., D) of items (...).
            items: (B, 1 + K).
        """
        last, self._last = self._last, None
        repeated = last[1] if last is not None and last[0] is items else repeated_items(items, self._n_items)
        if repeated is not None:
            return look_up(repeated.items).square().sum(-1) @ repeated.counts
        if not reads_in_place(items, self._n_items):
            return look_up(items).square().sum()
        distinct, counts = _counted(items, self._n_items)
        return look_up(distinct).square().sum(-1) @ counts


def log_sums(states: Tensor, items: Tensor, targets: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
    """Return the sum over rows of w (log Σ exp(s·v) - s·v⁺), over the vectors v of all items.

    With targets and without weights it is `cross_entropy(states @ items.T, targets, reduction="sum")` to rounding. The
    gradients are computed along with the sum, piece after piece while the scores of a piece are in the processor's
    cache, so that B x I scores are never held; the backward pass multiplies them by a number. It cannot be
    differentiated twice.

    *Source:* the pieces are those of Hsu et al., "Liger Kernel: Efficient Triton Kernels for LLM Training", 2024,
    section 3.2, FusedLinearCrossEntropy.

    Args:
        states: (B, D) floating.
        items: (I, D) of the same type.
        targets: (B,) int64, the item v⁺ of each row; None to subtract nothing.
        weights: (B,) floating, w, which is not trained; None for 1.
    """
    total: Tensor = _LogSums.apply(states, items, targets, weights)  # type: ignore[no-untyped-call]
    return total


class _LogSums(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, states: Tensor, items: Tensor, targets: Tensor | None, weights: Tensor | None) -> Tensor:
        states, items = states.contiguous(), items.contiguous()
        scores = _SCORES if states.device.type == "cpu" else _SCORES_OF_ACCELERATOR
        n_rows = min(len(states), max(_FEWEST_ROWS, scores // len(items)))
        buffer_RI = states.new_empty(n_rows, len(items))
        of_states_BD, of_items_ID, total = torch.empty_like(states), torch.zeros_like(items), states.new_zeros(())
        for start in range(0, len(states), n_rows):
            rows = slice(start, start + n_rows)
            states_RD, targets_R1 = states[rows], None if targets is None else targets[rows, None]
            scores_RI = torch.mm(states_RD, items.T, out=buffer_RI[: len(states_RD)])
            positives_R1 = 0.0 if targets_R1 is None else scores_RI.gather(1, targets_R1)
            largest_R1 = scores_RI.amax(1, keepdim=True)
            sums_R1 = scores_RI.sub_(largest_R1).exp_().sum(1, keepdim=True)
            terms_R1 = largest_R1 + sums_R1.log() - positives_R1
            errors_RI = scores_RI.div_(sums_R1)
            if targets_R1 is not None:
                errors_RI.scatter_add_(1, targets_R1, -torch.ones_like(sums_R1))
            if weights is not None:
                terms_R1, errors_RI = weights[rows, None] * terms_R1, errors_RI.mul_(weights[rows, None])
            total += terms_R1.sum()
            torch.mm(errors_RI, items, out=of_states_BD[rows])
            of_items_ID.addmm_(errors_RI.T, states_RD)
        context.save_for_backward(of_states_BD, of_items_ID)
        return total

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        of_states_BD, of_items_ID = context.saved_tensors
        return of_states_BD * gradient, of_items_ID * gradient, None, None
