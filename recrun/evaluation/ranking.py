"""Rank all items for every user, and compute all metrics of the rankings.

Shapes: B users of a block, U users, K ranks, I items, N pairs of a user and an item.

For each block of users: scores by tiles, seen items masked, one exact top-k for the largest cutoff, hits. The kinds of
the metrics (`recrun.metrics.kinds`) gather what they need from the blocks. Memory does not grow with users x items, and
no number depends on how the work is split up: not on the memory bound, nor on the number of threads, nor on which other
metrics are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recrun.config.monitor_names import MetricName, metric_names
from recrun.data.interactions import CSR
from recrun.errors import ConfigError, DataError
from recrun.evaluation.blocks import in_blocks, pairs_of
from recrun.evaluation.index_search import IndexSearch, OpenSearch
from recrun.evaluation.item_shards import ItemShards
from recrun.evaluation.score_tiles import Block, Tiler, scores_of
from recrun.evaluation.sharing import Sharing, collected, own_part
from recrun.evaluation.top_lists import Lists
from recrun.metrics.auc import AUCCounter
from recrun.metrics.groups import Grouping, GroupTotals
from recrun.metrics.kinds import Evaluated, Rankings
from recrun.metrics.per_user import SUMMED, PerUser
from recrun.metrics.topk import TopK, top_k
from recrun.metrics.totals import Totals

__all__ = ["RankingResult", "evaluate_ranking", "top_k"]

Array = NDArray[Any]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

_PLACES = 1 << 21
"""Ranks, over all users, that are kept at a time."""


@dataclass(frozen=True)
class RankingResult:
    """The metrics of the rankings of all users.

    Args:
        values: by metric ("recall@20"): the mean over the ranked users, or a number of all their rankings together.
        n_users: users that were ranked, which are those with relevant items.
        n_skipped: users without relevant items.
        per_user: the values of each ranked user, ascending by id, of the metrics that are means over users; None if
            they were not asked for.
        groups: the metrics of groups of users and of items (`recrun.metrics.groups.GroupTotals.result`), if there are
            groups.
        search: how well an approximate index found the items (`recrun.evaluation.index_search.OpenSearch.measure`), if
            one was searched.
    """

    values: dict[str, float]
    n_users: int
    n_skipped: int
    per_user: PerUser | None = None
    groups: dict[str, Any] | None = None
    search: dict[str, Any] | None = None


def evaluate_ranking(
    model: Any,
    *,
    seen: CSR,
    relevant: CSR,
    n_items: int,
    metrics: Sequence[MetricName | str],
    device: torch.device | str,
    memory_mb: int = 512,
    progress: Callable[[int, int], None] | None = None,
    dataset: Any = None,
    keep_users: bool = False,
    candidates: CSR | None = None,
    groupings: Sequence[Grouping] = (),
    known: CSR | None = None,
    sharing: Sharing | None = None,
    search: IndexSearch | None = None,
) -> RankingResult:
    """Rank items for every user with relevant ones, leaving out those seen, and return every metric.

    The order is exact; of equal scores the smaller item id comes first. An item scored -inf is not ranked. Where fewer
    than k items are left, the remaining ranks are empty and count as misses. A relevant item that is also seen cannot
    be found: it is a miss, and the auc leaves it out.

    Args:
        model: has `vectors() -> ((U, D), (I, D)) | None`, whose products are the scores, or `score(users (B,)) ->
            (B, I)`. It is called without gradients, and must be in evaluation mode.
        seen: items not to recommend, U rows.
        relevant: items to find, U rows, ascending and without duplicates.
        n_items: I.
        metrics: those that rankings can compute, such as "recall@20". "Popularity" and "novelty" count the users in
            `known`.
        device: where to rank.
        memory_mb: memory to use besides the model, the data and what the model's `score` allocates; about 16 MB are
            used at least.
        progress: called as `progress(done, total)` after each block of users.
        dataset: the data set, for kinds of metrics that look at more than ids.
        keep_users: whether the values of each user are returned as well.
        candidates: the items that are ranked for each user, U rows; all if None. A relevant item that is not among
            them is a miss.
        groupings: groups of users and of items to break the metrics down by, which changes none of them.
        known: the items that users have interacted with before, U rows; `seen` if None.
        sharing: the processes that each rank a share of the users, and call this at once; None for one process.
        search: the approximate index in which the items are found; None to rank all of them.

    Returns:
        The metrics, in double precision; `recrun.metrics.undefined.Undefined`, which is NaN with a reason, where they
        are undefined, as most are when no user has relevant items. Of several processes, the one that leads has them.

    Raises:
        ConfigError: a metric cannot be computed from rankings.
        RegistryError: a metric or its kind is not known, or cannot be imported.
        DataError: `seen` and `relevant` have different numbers of rows, or hold items that do not exist.
        TrainingError: a score is NaN, or the model's scores have the wrong shape.
    """
    _check(seen, relevant, n_items)
    device, memory = torch.device(device), memory_mb << 20
    users = np.flatnonzero(relevant.lengths)
    names = metric_names(metrics)
    k = max(1, min(n_items, max((name.k or 1 for name in names), default=1)))
    data = Evaluated(n_items, seen if known is None else known, relevant, dataset, masked=seen)
    groups = GroupTotals(groupings, names, data) if groupings else None
    needs_users = groups is not None and groups.needs_users
    totals = Totals(names, "ranking", data, keep_users=keep_users or needs_users)
    measured: dict[str, Any] | None = None
    if len(users) and metrics:
        task = _Task(seen, relevant, n_items, k, totals.needs, candidates)
        chunk = max(1, _PLACES // k // SUMMED) * SUMMED
        opened = None if search is None else _open(search, task, model, memory)
        shards = _shards(task, sharing, model, device, memory)
        by_users = None if shards is not None else sharing
        with _blocks(task, opened or shards, model, device, memory) as rank:
            for start in range(0, len(users), chunk):
                stop, done = min(start + chunk, len(users)), start
                blocks: list[Sequence[Array]] = []
                for block in rank(own_part(users[start:stop], by_users)):
                    blocks.append(block)
                    done += len(block.items_BK) * (1 if by_users is None else by_users.n)
                    if progress is not None:
                        progress(min(done, stop), len(users))
                if by_users is not None:
                    blocks = collected([*map(np.concatenate, zip(*blocks, strict=True))], by_users)
                if sharing is not None and not sharing.leads:
                    continue
                rankings = Rankings(*map(np.concatenate, zip(*blocks, strict=True)))
                totals.add_rankings(rankings)
                if groups is not None:
                    groups.add_rankings(rankings)
        if opened is not None and (sharing is None or sharing.leads):
            measured = opened.measure(users, lambda lists: _values(task.of_lists(lists), names, data))
    if sharing is not None and not sharing.leads:
        return RankingResult({}, 0, 0)
    per_user = totals.per_user()
    found = None if groups is None else groups.result(per_user)
    n_skipped = relevant.n_rows - len(users)
    kept = per_user if keep_users else None
    return RankingResult(totals.values(), len(users), n_skipped, kept, found, measured)


def _open(search: IndexSearch, task: _Task, model: Any, memory: int) -> OpenSearch:
    _refuse_wins(task, "eval_index finds")
    return search.open(model, task.seen, task.n_items, task.k, memory)


def _refuse_wins(task: _Task, who: str) -> None:
    if "wins" in task.needs:
        raise ConfigError(f"{who} the first items, and a metric needs the scores of all; remove one of them")


def _shards(task: _Task, sharing: Sharing | None, model: Any, device: torch.device, memory: int) -> ItemShards | None:
    """Return what ranks items that are divided among processes; None if each process has all."""
    if sharing is None or sharing.tables is None:
        return None
    _refuse_wins(task, "processes that divide tables rank")
    return ItemShards(
        model,
        sharing,
        sharing.tables,
        seen=task.seen,
        candidates=task.candidates,
        k=task.k,
        device=device,
        memory=memory,
    )


def _blocks(
    task: _Task, opened: OpenSearch | ItemShards | None, model: Any, device: torch.device, memory: int
) -> AbstractContextManager[Callable[[Array], Iterable[Rankings]]]:
    """Return a context that yields a function from users (U,) to the rankings of their blocks."""
    if opened is not None:
        return nullcontext(opened.blocks(task.of_lists))
    scores = scores_of(model, task.seen.n_rows, task.n_items, device, memory)
    return in_blocks(task.rank, scores, task.n_items, device, memory)


def _values(rankings: Rankings, names: Sequence[MetricName], data: Evaluated) -> Mapping[str, float]:
    totals = Totals(names, "ranking", data)
    totals.add_rankings(rankings)
    return totals.values()


@dataclass(frozen=True)
class _Task:
    """What is ranked, apart from the scores."""

    seen: CSR
    relevant: CSR
    n_items: int
    k: int
    needs: frozenset[str]
    candidates: CSR | None = None

    def rank(self, users_B: Array, tiler: Tiler) -> Rankings:
        """Rank the items for the users of one block."""
        n_users = len(users_B)
        seen, relevant = pairs_of(self.seen, users_B), pairs_of(self.relevant, users_B)
        block = tiler.open(users_B, seen, None if self.candidates is None else pairs_of(self.candidates, users_B))
        best = TopK(n_users, self.k, users_B)
        auc = self._open_auc(block, seen, relevant) if "wins" in self.needs else None
        for tile in block:
            best.update(tile.scores_BW, tile.first)
            if auc is not None:
                auc.look_up(tile.scores_BW, tile.first)
        items_BK = best.items()
        n_relevant_B = np.bincount(relevant[0], minlength=n_users)
        scores_BK = best.scores() if "scores" in self.needs else np.empty((n_users, 0))
        wins = (np.empty(0),) * 3 if auc is None else self._count_wins(auc, block)
        return Rankings(users_B, items_BK, self._hits(items_BK, relevant), n_relevant_B, scores_BK, *wins)

    def of_lists(self, lists: Lists) -> Rankings:
        """Return rankings whose items were found otherwise."""
        relevant = pairs_of(self.relevant, lists.users_B)
        n_relevant_B = np.bincount(relevant[0], minlength=len(lists.users_B))
        scores_BK = lists.scores_BK if "scores" in self.needs else np.empty((len(lists.users_B), 0))
        hits_BK = self._hits(lists.items_BK, relevant)
        return Rankings(lists.users_B, lists.items_BK, hits_BK, n_relevant_B, scores_BK, *(np.empty(0),) * 3)

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

    def _count_wins(self, auc: AUCCounter, block: Block) -> tuple[Array, Array, Array]:
        """Return the wins of the users' relevant items, how many those are, and over how many others."""
        for tile in block:
            auc.count(tile.scores_BW)
        return auc.wins(), auc.n_relevant_B, auc.n_others()


def _check(seen: CSR, relevant: CSR, n_items: int) -> None:
    if seen.n_rows != relevant.n_rows:
        raise DataError(f"seen has {seen.n_rows} users and relevant {relevant.n_rows}; both must have all users")
    for name, rows in (("seen", seen), ("relevant", relevant)):
        if len(rows.indices) and not 0 <= rows.indices.min() <= rows.indices.max() < n_items:
            raise DataError(f"{name} holds item {rows.indices.max()}; items are numbered from 0 to {n_items - 1}")
