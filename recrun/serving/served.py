"""Open a run to serve it, and hold what requests need of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from recrun.data.original_ids import OriginalIds
from recrun.recommendation.block_ranker import BlockRanker
from recrun.recommendation.recommender import AsOf, Recommender
from recrun.serving.refusal import Refusal
from recrun.serving.requests import Id
from recrun.workflows.recommender import open_recommender

Ints = NDArray[np.int64]

_TRIED: Final = 16


@dataclass(frozen=True)
class About:
    """What a served model is called; no paths.

    Args:
        run: the name of its run's folder, or of its checkpoint outside of a run.
        model: the model.
        as_of: which interactions are known.
        n_users: how many users the data has.
        n_items: how many items.
        since: when it was loaded, in seconds since 1970.
    """

    run: str
    model: str
    as_of: str
    n_users: int
    n_items: int
    since: float


class Served:
    """A model that is served.

    Args:
        recommender: the model.
        about: what it is called.
        n_threads: how many threads may rank.

    Raises:
        TrainingError: it cannot rank, as when its scores are NaN.
    """

    def __init__(self, recommender: Recommender, about: About, n_threads: int = 1) -> None:
        self.recommender, self.about, self.n_threads = recommender, about, n_threads
        self._rankers: SimpleQueue[BlockRanker] = SimpleQueue()
        self._alone = threading.Lock()
        with torch.no_grad():  # vectors are computed here, not when the first request comes
            self.computes_each_time = not recommender.scores.is_thread_safe
            with self.ranker(computes=True) as ranker:
                ranker.recommend(np.arange(min(_TRIED, recommender.n_users)), 1)

    @contextmanager
    def ranker(self, *, computes: bool) -> Iterator[BlockRanker]:
        """Lend buffers to rank with to this thread alone.

        Args:
            computes: whether the model itself computes, which it does in one thread at a time.
        """
        try:
            ranker = self._rankers.get_nowait()
        except Empty:
            ranker = BlockRanker(self.recommender)
        try:
            if computes:
                with self._alone:
                    yield ranker
            else:
                yield ranker
        finally:
            self._rankers.put(ranker)

    def find(self, known: OriginalIds, ids: Sequence[Id], *, skip: bool) -> tuple[Ints, list[Id]]:
        """Return the internal ids of those that the data has, and those that it does not have.

        Raises:
            Refusal: the data does not have all, and `skip` does not allow that.
        """
        places = known.find(np.array(ids, dtype=object))
        if not len(places) or places.min() >= 0:
            return places, []
        unknown = list(dict.fromkeys(id for id, place in zip(ids, places.tolist(), strict=True) if place < 0))
        if not skip:
            message = f"the data has no such {known.kind}: {unknown[0]!s}"
            raise Refusal(404, "unknown_id", message, kind=known.kind, unknown=unknown)
        return places[places >= 0], unknown


def open_served(path: str | Path, overrides: Sequence[str] = (), *, as_of: AsOf = "end", trust: bool = False) -> Served:
    """Open a run to serve it; arguments and errors as for `recrun.workflows.recommender.open_recommender`.

    Raises:
        TrainingError: the model cannot rank.
    """
    recommender, loaded = open_recommender(path, overrides, as_of=as_of, trust=trust)
    name = loaded.run.path.name if loaded.run is not None else loaded.file.stem
    model = str(loaded.resolved.config.model)
    about = About(name, model, as_of, recommender.n_users, recommender.n_items, time.time())
    # By default one processor is left to the event loop; on an accelerator, several threads would only wait.
    n_threads = loaded.resolved.config.threads or max(1, torch.get_num_threads() - 1)
    return Served(recommender, about, n_threads if recommender.device.type == "cpu" else 1)
