"""Turn requests into rows to rank, rank those of several requests at once, and write their answers.

Shapes: B rows of all requests of a batch, N pairs of a row and an item, K ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recrun.data.interactions import CSR
from recrun.data.original_ids import OriginalIds
from recrun.evaluation.top_lists import Lists, Pairs
from recrun.files import to_json
from recrun.recommendation.block_ranker import BlockRanker
from recrun.serving.refusal import invalid
from recrun.serving.requests import Id, Like, Wanted
from recrun.serving.served import Served

Ints = NDArray[np.int64]
Kind = Literal["users", "history", "item", "user"]


@dataclass(eq=False)
class Job:
    """What one request wants ranked, by internal ids.

    Args:
        served: the model that its ids were looked up in, and that it is answered by.
        kind: "users" of the data, a new user's "history", what is similar to an "item", or to a "user".
        rows: the users or items, or the items of the history.
        k: the most entries of a list.
        exclude: items that are not recommended.
        exclude_seen: whether what a user has interacted with is not recommended.
        skipped: ids that the data does not have, by the key of the request.
    """

    served: Served
    kind: Kind
    rows: Ints
    k: int
    exclude: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    exclude_seen: bool = True
    skipped: dict[str, list[Id]] = field(default_factory=dict)

    @property
    def n_lists(self) -> int:
        """How many lists the answer has."""
        return 1 if self.kind == "history" else len(self.rows)

    def goes_with(self, other: Job) -> bool:
        """Return whether both can be ranked at once."""
        return self.served is other.served and self.kind == other.kind


def job_of(wanted: Wanted | Like, served: Served) -> Job:
    """Look up the ids of a request.

    Raises:
        Refusal: the data does not have one of them.
    """
    users, items = served.recommender.users, served.recommender.items
    if isinstance(wanted, Like):
        rows, _ = served.find(items if wanted.kind == "item" else users, [wanted.id], skip=False)
        return Job(served, wanted.kind, rows, wanted.k)
    skip, skipped = wanted.skip_unknown, {}
    if wanted.users is not None:
        kind: Kind = "users"
        rows, skipped["users"] = served.find(users, wanted.users, skip=skip)
    else:
        kind = "history"
        rows, skipped["history"] = served.find(items, wanted.history or [], skip=skip)
    if not len(rows):
        raise invalid(f"{kind}: the data has none of these ids")
    exclude, skipped["exclude"] = served.find(items, wanted.exclude, skip=skip)
    return Job(served, kind, rows, wanted.k, exclude, wanted.exclude_seen, skipped)


def answer(jobs: Sequence[Job]) -> list[bytes]:
    """Rank for requests that go with each other, and return the bodies of their answers.

    Raises:
        RecrunError: the model cannot rank for them.
    """
    first = jobs[0]
    computes = first.kind == "history" or first.served.computes_each_time
    if first.kind == "item":
        computes = first.served.recommender.item_vectors is None
    with first.served.ranker(computes=computes) as ranker:
        lists = _ranked(ranker, jobs)
    starts = np.cumsum([0, *(job.n_lists for job in jobs)])
    return [_body(job, lists, int(start)) for job, start in zip(jobs, starts, strict=False)]


def _ranked(ranker: BlockRanker, jobs: Sequence[Job]) -> Lists:
    kind, k = jobs[0].kind, max(job.k for job in jobs)
    if kind == "history":
        ends = np.cumsum([0, *(len(job.rows) for job in jobs)])
        histories = CSR(ends, np.concatenate([job.rows for job in jobs]).astype(np.int32))
        return ranker.recommend_to_new(histories, k, _masked(ranker, jobs))
    rows = jobs[0].rows if len(jobs) == 1 else np.concatenate([job.rows for job in jobs])
    if kind == "users":
        return ranker.recommend(rows, k, _masked(ranker, jobs))
    return ranker.similar_items(rows, k) if kind == "item" else ranker.similar_users(rows, k)


def _masked(ranker: BlockRanker, jobs: Sequence[Job]) -> Pairs:
    """Return what is not recommended to whom: rows of the batch (N,), items (N,)."""
    rows: list[Ints] = []
    items: list[Ints] = []
    first = 0
    for job in jobs:
        stop = first + job.n_lists
        if job.exclude_seen:
            seen = ranker.seen_by(job.rows) if job.kind == "users" else (np.zeros(len(job.rows), np.int64), job.rows)
            rows.append(seen[0] + first)
            items.append(seen[1])
        if len(job.exclude):
            rows.append(np.repeat(np.arange(first, stop), len(job.exclude)))
            items.append(np.tile(job.exclude, job.n_lists))
        first = stop
    none = np.zeros(0, dtype=np.int64)
    return np.concatenate([none, *rows]), np.concatenate([none, *items])


def _body(job: Job, lists: Lists, start: int) -> bytes:
    users, items = job.served.recommender.users, job.served.recommender.items
    entries = []
    for row in range(start, start + job.n_lists):
        found = lists.items_BK[row, : job.k]
        found = found[found >= 0]
        entries.append((found, lists.scores_BK[row, : len(found)].tolist()))
    more: dict[str, Any] = {"run": job.served.about.run}
    if any(job.skipped.values()):
        more["skipped"] = {key: ids for key, ids in job.skipped.items() if ids}
    if job.kind in ("item", "user"):
        known = items if job.kind == "item" else users
        found, scores = entries[0]
        [id] = known.originals(job.rows).tolist()
        by = job.served.recommender.similarity("item" if job.kind == "item" else "user")
        document = {job.kind: id, "similar": known.originals(found).tolist(), "scores": scores, "by": by, **more}
        return to_json(document).encode()
    names = users.originals(job.rows).tolist() if job.kind == "users" else [None]
    return _recommendations(names, entries, items, more)


def _recommendations(
    names: list[Any], entries: list[tuple[Ints, list[float]]], items: OriginalIds, more: dict[str, Any]
) -> bytes:
    # List by list: writing a long answer in one call would hold up all other threads.
    written = [
        to_json({"user": name, "items": items.originals(found).tolist(), "scores": scores})
        for name, (found, scores) in zip(names, entries, strict=True)
    ]
    return f'{{"recommendations": [{", ".join(written)}], {to_json(more)[1:]}'.encode()
