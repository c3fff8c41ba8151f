"""Find the k best items of each user exactly: by score, ties by the smaller item id, whatever the order of the tiles.

Shapes: B users, I items, W items of a tile, G groups of items, K ranks, N candidates.

Scores arrive in tiles (B, W). From each tile the scores that can still be among the K best are picked out, a few dozen
per user, and merged with the best so far by sorting (score, -id) pairs. Picking them out reads a tile once: the maximum
of every group of 16 items gives, in one vectorised pass, a bound that at least K scores of the tile reach; only groups
whose maximum reaches the bound are looked into. Everything at the bound is a candidate, so no tie is lost.

A score of -inf marks an item that is ruled out (seen, or excluded by the model): it is not ranked. NaN is an error.
"""

from __future__ import annotations

import operator
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recrun.errors import TrainingError

GROUP = 16
"""Items per group; tiles whose width is a multiple of it are read in place, others are copied."""
_COARSE_GROUPS_PER_RANK = 8
_MAX_CANDIDATES_PER_RANK = 8
_SHORT: Final = (torch.bool, torch.uint8, torch.int8, torch.int16)
"""Types whose every number float32 holds exactly."""
EXACT_INTEGERS: Final = 1 << 53
"""Up to this number, double precision holds every integer exactly."""

Array = NDArray[Any]


class _Candidates(NamedTuple):
    """Scores that can be among the K best of a tile; rows ascend."""

    rows: Array  # (N,)
    columns: Array  # (N,)
    scores: Array  # (N,)


def top_k(scores: Tensor, k: int) -> Tensor:
    """Return the ids of the k best-scored items of each row, the best first.

    Of equal scores the smaller id comes first. Fewer than k items, or scores of -inf, leave the last ranks empty.

    Args:
        scores: (B, I), of any type that `exact` takes; not changed.
        k: how many, >= 1; may exceed I.

    Returns:
        int64 (B, k) on the device of the scores; -1 at empty ranks, which come last.

    Raises:
        TrainingError: a score is NaN.
        ValueError: k is no integer >= 1, or the scores have no exact order (see `exact`).

    >>> top_k(torch.tensor([[1.0, 3.0, 3.0, -torch.inf]]), 4).tolist()
    [[1, 2, 0, -1]]
    """
    best = TopK(len(scores), cutoff(k))
    best.update(scores)
    return torch.from_numpy(best.items()).to(scores.device)


class TopK:
    """Keep the k best items of B users over all tiles so far.

    Args:
        n_rows: B.
        k: K >= 1.
        users: what to call the rows in messages, (B,); their numbers when None.
    """

    def __init__(self, n_rows: int, k: int, users: Array | None = None) -> None:
        self.k = k
        self.users = np.arange(n_rows) if users is None else users
        # A complex number sorts by its real part, then by its imaginary one: (score, -id), in double precision.
        self._best_BK = np.full((n_rows, k), complex(-np.inf, -np.inf))

    def update(self, scores_BW: Tensor, first_item: int = 0) -> None:
        """Add the scores of the items `first_item ... first_item + W - 1`.

        Args:
            scores_BW: (B, W), of any type that `exact` takes.
            first_item: id of the first column.

        Raises:
            TrainingError: a score is NaN; the message names the row and the item.
            ValueError: the scores have no exact order (see `exact`).
        """
        if scores_BW.shape[1] == 0 or len(scores_BW) == 0:
            return
        scores_BW = exact(scores_BW.detach())
        # The lowest finite number as the floor leaves -inf out.
        floor_B = np.maximum(self._best_BK[:, 0].real, torch.finfo(scores_BW.dtype).min)
        found = _pick(scores_BW, min(self.k, scores_BW.shape[1]), floor_B)
        if found is None:
            raise nan_error(scores_BW, self.users, first_item)
        if not len(found.rows):
            return
        counts_B = np.bincount(found.rows, minlength=len(scores_BW))
        starts_B = np.cumsum(counts_B) - counts_B
        positions_N = np.arange(len(found.rows)) - starts_B[found.rows]
        merged = np.full((len(scores_BW), self.k + int(counts_B.max())), complex(-np.inf, -np.inf))
        merged[:, : self.k] = self._best_BK
        pairs_N = np.empty(len(found.rows), dtype=np.complex128)
        pairs_N.real = found.scores
        pairs_N.imag = -(found.columns + first_item)
        merged[found.rows, self.k + positions_N] = pairs_N
        merged.sort(axis=1)
        self._best_BK = merged[:, -self.k :]

    def items(self) -> NDArray[np.int64]:
        """Return the ids (B, K), the best first; -1 at empty ranks, which come last."""
        ranked_BK = self._best_BK[:, ::-1]
        filled_BK = ranked_BK.real > -np.inf
        return np.where(filled_BK, -ranked_BK.imag, -1.0).astype(np.int64)

    def scores(self) -> NDArray[np.float64]:
        """Return the scores of these ids (B, K); -inf at empty ranks."""
        return np.array(self._best_BK.real[:, ::-1])


def exact(scores: Tensor, what: str = "scores") -> Tensor:
    """Return scores as float32 or float64 of the same values, so that their order and their ties are kept.

    Args:
        scores: of any shape and any real type.
        what: what to call them in messages.

    Raises:
        ValueError: they are complex numbers, or integers beyond 2^53, which double precision cannot tell apart.

    >>> exact(torch.tensor([2**25, 2**25 + 1])).tolist()
    [33554432.0, 33554433.0]
    """
    dtype = exact_dtype(scores.dtype)
    if scores.dtype in (torch.int64, torch.uint64) and scores.numel():
        # The types of unsigned integers have few operations; those beyond 2^63 are negative as int64.
        signed = scores.view(torch.int64)
        lowest, highest = int(signed.min()), int(signed.max())
        if highest > EXACT_INTEGERS or lowest < (-EXACT_INTEGERS if scores.dtype == torch.int64 else 0):
            found = lowest if lowest < -EXACT_INTEGERS else highest
            found = found if scores.dtype == torch.int64 else int(scores.cpu().numpy().max())
            raise ValueError(
                f"{what} must be integers from -2^53 to 2^53, or floating-point numbers, to be compared exactly; "
                f"found {found}"
            )
    return scores if scores.dtype == dtype else scores.to(dtype)


def exact_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the type that `exact` converts to: float64 for what float32 cannot hold exactly.

    Raises:
        ValueError: numbers of this type have no order.
    """
    if dtype.is_complex:
        raise ValueError(f"scores must be real numbers, found {dtype}: complex numbers have no order")
    if dtype.is_floating_point:
        return torch.float64 if dtype == torch.float64 else torch.float32
    return torch.float32 if dtype in _SHORT else torch.float64


def cutoff(k: object) -> int:
    """Return a cutoff as an int.

    Raises:
        ValueError: it is no integer >= 1.
    """
    try:
        found = None if isinstance(k, (bool, np.bool_)) else operator.index(k)  # type: ignore[arg-type]
    except TypeError:
        found = None
    if found is None or found < 1:
        raise ValueError(f"k must be an integer >= 1, found {k!r}")
    return found


def _pick(scores_BW: Tensor, k: int, floor_B: Array) -> _Candidates | None:
    """Return the scores not below `floor_B` that may be among the tile's k best, or None if one is NaN."""
    if scores_BW.device.type == "cpu":
        if scores_BW.shape[1] >= 2 * k * GROUP:
            return _pick_by_groups(scores_BW, k, floor_B)
        if scores_BW.shape[1] <= 4 * k:
            return _pick_above(scores_BW, k, floor_B)
    bound_B = torch.topk(scores_BW, k, dim=1).values[:, -1].cpu().numpy()
    return _pick_above(scores_BW, k, np.fmax(bound_B, floor_B))


def _pick_by_groups(scores_BW: Tensor, k: int, floor_B: Array) -> _Candidates | None:
    n_rows, width = scores_BW.shape
    n_groups = -(-width // GROUP)
    if width % GROUP:
        scores_BW = torch.nn.functional.pad(scores_BW, (0, n_groups * GROUP - width), value=-torch.inf)
    scores_BW = scores_BW.contiguous()
    # Group g holds the columns g, g + G, g + 2G ...: maxima of whole rows are many times faster than of neighbours.
    maxima_BG = torch.amax(scores_BW.view(n_rows, GROUP, n_groups), dim=1)
    bound_B = _kth_of_maxima(maxima_BG, k)
    if bound_B is None:
        return None
    best_BG = maxima_BG.numpy()
    bound_B = np.maximum(bound_B, floor_B).astype(best_BG.dtype)
    reaching_N = np.flatnonzero(best_BG >= bound_B[:, None])
    if len(reaching_N) > _MAX_CANDIDATES_PER_RANK * k * n_rows:
        return _pick_above(scores_BW, k, bound_B)
    counts_B = np.diff(np.searchsorted(reaching_N, np.arange(n_rows + 1) * n_groups))
    rows_N = np.repeat(np.arange(n_rows), counts_B)
    # From the position of a maximum, row * G + g, to that of the group's first member, row * W + g.
    positions_N = reaching_N + rows_N * (n_groups * (GROUP - 1))
    members_NM = np.take(scores_BW.view(-1).numpy(), positions_N[:, None] + np.arange(GROUP) * n_groups)
    chosen = np.flatnonzero(members_NM >= np.repeat(bound_B, counts_B)[:, None])
    groups = chosen // GROUP
    columns = (reaching_N - rows_N * n_groups)[groups] + (chosen % GROUP) * n_groups
    return _Candidates(rows_N[groups], columns, members_NM.ravel()[chosen])


def _kth_of_maxima(maxima_BG: Tensor, k: int) -> Array | None:
    """Return a score (B,) that at least k items reach: the k-th largest maximum of coarser groups; None with NaN."""
    n_rows, n_groups = maxima_BG.shape
    n_merged = max(1, n_groups // (_COARSE_GROUPS_PER_RANK * k))
    n_coarse = n_groups // n_merged
    merged_BG, left_BG = maxima_BG[:, : n_coarse * n_merged], maxima_BG[:, n_coarse * n_merged :]
    coarse_BC = torch.amax(merged_BG.reshape(n_rows, n_merged, n_coarse), dim=1).numpy()
    if np.isnan(coarse_BC).any() or np.isnan(left_BG.numpy()).any():
        return None
    return np.asarray(np.partition(coarse_BC, n_coarse - k, axis=1)[:, n_coarse - k])


def _pick_above(scores_BW: Tensor, k: int, bound_B: Array) -> _Candidates | None:
    """Return every score that reaches the bound; where too many are equal, only the k best with the smallest ids."""
    if bool(scores_BW.isnan().any()):
        return None
    bound = torch.from_numpy(bound_B).to(scores_BW.dtype).to(scores_BW.device)
    reaching_BW = scores_BW >= bound[:, None]
    if int(reaching_BW.sum()) > max(_MAX_CANDIDATES_PER_RANK * k * len(scores_BW), 1 << 14):
        return _pick_row_by_row(scores_BW, k, bound_B)
    rows_N, columns_N = reaching_BW.nonzero(as_tuple=True)
    scores_N = scores_BW[rows_N, columns_N]
    return _Candidates(rows_N.cpu().numpy(), columns_N.cpu().numpy(), scores_N.cpu().numpy())


def _pick_row_by_row(scores_BW: Tensor, k: int, bound_B: Array) -> _Candidates:
    """Return the k best of each row: for scores that are mostly equal, such as those of an untrained model."""
    rows, columns, scores = [], [], []
    for row, (scores_W, bound) in enumerate(zip(scores_BW, bound_B, strict=True)):
        values = scores_W.cpu().numpy()
        kth = max(np.partition(values, len(values) - k)[len(values) - k], bound)
        above = np.flatnonzero(values > kth)
        chosen = np.concatenate([above, np.flatnonzero(values == kth)[: k - len(above)]])
        rows.append(np.full(len(chosen), row))
        columns.append(chosen)
        scores.append(values[chosen])
    return _Candidates(np.concatenate(rows), np.concatenate(columns), np.concatenate(scores))


def nan_error(scores_BW: Tensor, users: Array, first_item: int = 0) -> TrainingError:
    """Return an error that names the first user and item whose score is NaN."""
    row, column = scores_BW.isnan().nonzero()[0].tolist()
    return TrainingError(
        f"the model's score of item {first_item + column} for user {users[row]} (internal ids) is NaN, "
        "so nothing can be ranked: the training has diverged, or the model divides by zero"
    )
