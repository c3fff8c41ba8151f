"""Ranking of all items for every user, and all metrics of it at once.

Shapes: B users of a block, U users, K places, I items, N pairs of a user and an item.

For each block of users: scores by tiles, seen items masked, one exact top-k for the largest cutoff, hits. The metrics
are functions of all users' hits. Memory does not grow with users x items, and no number depends on how the work was
cut: not on the memory bound, nor on the number of threads, nor on which other metrics are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from recrun.config.monitor_names import LOSS, MetricName
from recrun.data.interactions import CSR
from recrun.errors import ConfigError, DataError
from recrun.evaluation.score_tiles import Block, Scores, Tiler, scores_of, smallest_tile
from recrun.metrics.auc import AUCCounter
from recrun.metrics.ranking import area_under_curve
from recrun.metrics.topk import TopK, top_k
from recrun.registry import METRICS

__all__ = ["RankingResult", "evaluate_ranking", "top_k"]

Array = NDArray[Any]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

_SUMMED = 1024
"""Users whose values are added up in one go; fixed, because the rounding of a sum depends on it."""
_PLACES = 1 << 21
"""Places of rankings that are kept at a time."""


@dataclass(frozen=True)
class RankingResult:
    """What a ranking of all items scored.

    Args:
        values: by metric ("recall@20"): the mean over the ranked users, or a number of all their rankings together.
        n_users: users that were ranked: those with relevant items.
        n_skipped: users without relevant items.
    """

    values: dict[str, float]
    n_users: int
    n_skipped: int


def evaluate_ranking(
    model: Any,
    *,
    seen: CSR,
    relevant: CSR,
    n_items: int,
    metrics: Sequence[MetricName],
    device: torch.device | str,
    memory_mb: int = 512,
    progress: Callable[[int, int], None] | None = None,
) -> RankingResult:
    """Rank all items for every user with relevant items, leaving out seen ones, and return every metric.

    The order is exact, ties broken by the smaller item id. An item scored -inf takes no place. Where fewer than k items
    are left, the remaining places are empty and count as misses. A relevant item that is seen cannot be found: it is a
    miss, and the auc leaves it out.

    Args:
        model: has `vectors() -> ((U, D), (I, D)) | None`, whose products are the scores, or `score(users (B,)) ->
            (B, I)`. It is called without gradients, and must be in evaluation mode.
        seen: items not to recommend, U rows.
        relevant: items to be found, U rows, ascending and without repetition.
        n_items: I.
        metrics: of the kinds ranking, auc and exposure. "Popularity" and "novelty" take `seen` for what was before.
        device: where to rank.
        memory_mb: memory to use besides the model, the data and what the model's `score` allocates; at least some 16 MB
            are used.
        progress: called as `progress(done, total)` after each block of users.

    Returns:
        The metrics, in double precision; NaN when no user has relevant items.

    Raises:
        ConfigError: a metric cannot be computed from rankings.
        DataError: `seen` and `relevant` have different numbers of rows, or hold items that do not exist.
        TrainingError: a score is NaN, or the model's scores do not have the shape promised.
    """
    kinds = {metric: _kind_of(metric) for metric in metrics}
    _check(seen, relevant, n_items)
    device, memory = torch.device(device), memory_mb << 20
    users = np.flatnonzero(relevant.lengths)
    k = max(1, min(n_items, max((metric.k or 1 for metric in metrics), default=1)))
    totals = _Totals(kinds, seen, n_items)
    if len(users) and kinds:
        task = _Task(seen, relevant, n_items, k, "auc" in kinds.values())
        scores = scores_of(model, seen.n_rows, n_items, device, memory)
        chunk = max(1, _PLACES // k // _SUMMED) * _SUMMED
        with _ranker(task, scores, device, memory) as rank:
            for start in range(0, len(users), chunk):
                blocks, done = [], start
                for block in rank(users[start : start + chunk]):
                    blocks.append(block)
                    done += len(block.items_BK)
                    if progress is not None:
                        progress(done, len(users))
                totals.add(_Ranked(*map(np.concatenate, zip(*blocks, strict=True))))
    return RankingResult(totals.values(), len(users), relevant.n_rows - len(users))


class _Ranked(NamedTuple):
    """The rankings of some users."""

    items_BK: NDArray[np.int64]  # -1 where a place is empty
    hits_BK: NDArray[np.bool_]
    n_relevant_B: NDArray[np.int64]
    auc_B: NDArray[np.float64]  # NaN where undefined or not asked for


@dataclass(frozen=True)
class _Task:
    """What is to be ranked, apart from the scores."""

    seen: CSR
    relevant: CSR
    n_items: int
    k: int
    with_auc: bool

    def rank(self, users_B: Array, tiler: Tiler) -> _Ranked:
        """Rank all items for the users of one block."""
        n_users = len(users_B)
        seen, relevant = _pairs(self.seen, users_B), _pairs(self.relevant, users_B)
        block = tiler.open(users_B, seen)
        best = TopK(n_users, self.k, users_B)
        auc = self._open_auc(block, seen, relevant) if self.with_auc else None
        for tile in block:
            best.update(tile.scores_BW, tile.first)
            if auc is not None:
                auc.look_up(tile.scores_BW, tile.first)
        items_BK = best.items()
        n_relevant_B = np.bincount(relevant[0], minlength=n_users)
        auc_B = np.full(n_users, np.nan) if auc is None else self._count_auc(auc, block, seen)
        return _Ranked(items_BK, self._hits(items_BK, relevant), n_relevant_B, auc_B)

    def _hits(self, items_BK: NDArray[np.int64], relevant: Pairs) -> NDArray[np.bool_]:
        # One number per (row, item): the relevant ones ascend, so membership is a binary search.
        keys_N = relevant[0] * self.n_items + relevant[1]
        wanted_BK = np.arange(len(items_BK))[:, None] * self.n_items + items_BK
        found_BK = keys_N[np.minimum(np.searchsorted(keys_N, wanted_BK), len(keys_N) - 1)]
        return np.asarray((found_BK == wanted_BK) & (items_BK >= 0))

    def _open_auc(self, block: Block, seen: Pairs, relevant: Pairs) -> AUCCounter:
        keys_N = relevant[0] * self.n_items + relevant[1]
        unseen_N = ~np.isin(keys_N, seen[0] * self.n_items + seen[1])
        return AUCCounter(relevant[0][unseen_N], relevant[1][unseen_N], block.n_users, block.buffer)

    def _count_auc(self, auc: AUCCounter, block: Block, seen: Pairs) -> NDArray[np.float64]:
        for tile in block:
            auc.count(tile.scores_BW, tile.n_masked_B)
        n_seen_B = np.bincount(seen[0], minlength=block.n_users)
        return area_under_curve(auc.wins(), auc.n_relevant_B, self.n_items - n_seen_B - auc.n_relevant_B)


class _Totals:
    """Sums over users, from which every metric is computed at the end."""

    def __init__(self, kinds: dict[MetricName, str], seen: CSR, n_items: int) -> None:
        self._kinds, self._seen, self._n_items = kinds, seen, n_items
        self._sums: dict[MetricName, list[float]] = {metric: [] for metric in kinds}
        self._counts = dict.fromkeys(kinds, 0)
        cutoffs = {metric.k for metric, kind in kinds.items() if kind == "exposure"}
        self._exposures = {k: np.zeros(n_items, dtype=np.int64) for k in cutoffs}

    def add(self, ranked: _Ranked) -> None:
        """Add the rankings of some users; all calls but the last one bring a multiple of `_SUMMED`."""
        for k, exposure_I in self._exposures.items():
            items_N = ranked.items_BK[:, :k].ravel()
            exposure_I += np.bincount(items_N[items_N >= 0], minlength=self._n_items)
        for metric, kind in self._kinds.items():
            if kind == "auc":
                self._add_values(metric, ranked.auc_B)
            elif kind == "ranking":
                self._add_values(metric, METRICS.get(metric.name)(ranked.hits_BK, ranked.n_relevant_B, metric.k))

    def _add_values(self, metric: MetricName, values_B: NDArray[np.float64]) -> None:
        defined_B = ~np.isnan(values_B)
        self._counts[metric] += int(defined_B.sum())
        values_B = np.where(defined_B, values_B, 0.0)
        self._sums[metric] += [float(values_B[i : i + _SUMMED].sum()) for i in range(0, len(values_B), _SUMMED)]

    def values(self) -> dict[str, float]:
        """Return the metrics by name."""
        return {str(metric): self._value(metric, kind) for metric, kind in self._kinds.items()}

    def _value(self, metric: MetricName, kind: str) -> float:
        if kind == "exposure":
            popularity_I = np.bincount(self._seen.indices, minlength=self._n_items)
            return float(METRICS.get(metric.name)(self._exposures[metric.k], popularity_I, self._seen.n_rows))
        count = self._counts[metric]
        return math.fsum(self._sums[metric]) / count if count else math.nan


RankBlocks = Callable[[Array], Iterable[_Ranked]]


@contextmanager
def _ranker(task: _Task, scores: Scores, device: torch.device, memory: int) -> Iterator[RankBlocks]:
    """Give a function that ranks users block by block, several blocks at a time where the scores allow it.

    Workers are threads that compute alone: a product that one thread computes does not depend on how many there are,
    and nobody waits for the slowest at the end of every product.
    """
    n_threads = torch.get_num_threads() if device.type == "cpu" and scores.is_thread_safe else 1
    n_workers = max(1, min(n_threads, memory // smallest_tile(scores)))
    tilers: SimpleQueue[Tiler] = SimpleQueue()
    for _ in range(n_workers):
        tilers.put(Tiler(scores, task.n_items, device, memory // n_workers))

    def rank_block(users_B: Array) -> _Ranked:
        tiler = tilers.get()
        try:
            return task.rank(users_B, tiler)
        finally:
            tilers.put(tiler)

    def blocks_of(users: Array) -> list[Array]:
        return [users[start : start + scores.rows] for start in range(0, len(users), scores.rows)]

    if n_threads == 1:
        yield lambda users: map(rank_block, blocks_of(users))
        return
    try:
        with ThreadPoolExecutor(n_workers, "recrun-ranking", torch.set_num_threads, (1,)) as pool:
            yield lambda users: pool.map(rank_block, blocks_of(users))
    finally:
        # Torch keeps the last number set by any thread as the default of threads to come.
        torch.set_num_threads(n_threads)


def _pairs(rows: CSR, users_B: Array) -> Pairs:
    """Return the stored pairs of some users as (row of the block, item)."""
    indptr, items_N = rows.rows(users_B)
    return np.repeat(np.arange(len(users_B)), np.diff(indptr)), items_N.astype(np.int64)


def _kind_of(metric: MetricName) -> str:
    kind = "" if metric.name == LOSS else str(METRICS.describe(metric.name).traits.kind)
    if kind not in ("ranking", "auc", "exposure"):
        raise ConfigError(f"{metric} is not a metric of rankings: it needs predictions of given pairs")
    return kind


def _check(seen: CSR, relevant: CSR, n_items: int) -> None:
    if seen.n_rows != relevant.n_rows:
        raise DataError(f"seen has {seen.n_rows} users and relevant {relevant.n_rows}; both must have all users")
    for name, rows in (("seen", seen), ("relevant", relevant)):
        if len(rows.indices) and not 0 <= rows.indices.min() <= rows.indices.max() < n_items:
            raise DataError(f"{name} holds item {rows.indices.max()}; items are numbered from 0 to {n_items - 1}")
