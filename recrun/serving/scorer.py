"""Rank in threads beside the event loop; requests that wait together are ranked together.

Nothing waits for company: a thread that becomes free takes all that came in meanwhile. One user's product with all
items takes nearly as long as sixteen users' (`recrun.evaluation.score_tiles`), so under load batches grow, not queues.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import torch

from recrun.errors import ConfigError
from recrun.serving.jobs import Job, answer
from recrun.serving.monitoring import Monitoring
from recrun.serving.refusal import Refusal

BATCH: Final = 64
"""The most lists that are ranked at once, unless one request alone wants more."""


class _Waiting:
    """A job, and the future that its request awaits in the event loop."""

    __slots__ = ("future", "job")

    def __init__(self, job: Job, future: asyncio.Future[bytes]) -> None:
        self.job, self.future = job, future


class Scorer:
    """Threads that rank.

    Args:
        n_threads: how many.
        most_waiting: the most lists that may wait.
        monitoring: counts batches.
        report: is told, in a line, of errors that are no fault of a request.
    """

    def __init__(
        self, n_threads: int, most_waiting: int, monitoring: Monitoring, report: Callable[[BaseException], None]
    ) -> None:
        self._most_waiting, self._monitoring, self._report = most_waiting, monitoring, report
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._n_waiting = 0
        self._is_closed = False
        names = (f"recrun-serving-{number}" for number in range(n_threads))
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    @property
    def n_waiting(self) -> int:
        """How many lists wait to be ranked."""
        return self._n_waiting

    async def rank(self, job: Job) -> bytes:
        """Return the body of the answer to a job.

        Raises:
            Refusal: too many wait already, or the model cannot rank for this request.
        """
        waiting = _Waiting(job, asyncio.get_running_loop().create_future())
        with self._changed:
            if self._n_waiting and self._n_waiting + job.n_lists > self._most_waiting:
                raise Refusal(503, "busy", "too many requests are waiting; try again", {"Retry-After": "1"})
            self._n_waiting += job.n_lists
            self._queue.append(waiting)
            self._changed.notify()
        return await waiting.future

    def close(self) -> None:
        """End the threads once nothing waits any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _take(self) -> list[_Waiting]:
        """Wait for jobs, and return those that are ranked together; none when the threads are to end."""
        with self._changed:
            while not self._queue:
                if self._is_closed:
                    return []
                self._changed.wait()
            first = self._queue.popleft()
            batch, others, n_lists = [first], [], first.job.n_lists
            while self._queue and n_lists < BATCH:
                each = self._queue.popleft()
                if each.job.goes_with(first.job) and n_lists + each.job.n_lists <= BATCH:
                    batch.append(each)
                    n_lists += each.job.n_lists
                else:
                    others.append(each)
            self._queue.extendleft(reversed(others))
            if self._queue:
                self._changed.notify()
            self._n_waiting -= n_lists
            return batch

    def _work(self) -> None:
        torch.set_num_threads(1)
        with torch.no_grad():
            while batch := self._take():
                self._rank(batch)
                del batch  # a model that was replaced must not be kept until the next request

    def _rank(self, batch: list[_Waiting]) -> None:
        # Whoever asked for it may have given up meanwhile.
        batch = [each for each in batch if not each.future.done()]
        if not batch:
            return
        jobs = [each.job for each in batch]
        start = time.perf_counter()
        results: list[bytes | BaseException]
        try:
            results = list(answer(jobs))
        except ConfigError as error:
            results = [Refusal(422, "not_possible", error.faults[0].message)] * len(batch)
        except Exception as error:  # the model's own code may raise anything; its requests fail, the server goes on
            self._report(error)
            results = [Refusal(500, "failed", "the model failed; the log of the server says why")] * len(batch)
        self._monitoring.ranked(jobs[0].kind, sum(job.n_lists for job in jobs), time.perf_counter() - start)
        loop = batch[0].future.get_loop()
        try:
            loop.call_soon_threadsafe(_deliver, batch, results)
        except RuntimeError:  # the loop was closed meanwhile, by a second signal
            return


def _deliver(batch: list[_Waiting], results: list[bytes | BaseException]) -> None:
    for waiting, result in zip(batch, results, strict=True):
        if waiting.future.done():
            continue
        if isinstance(result, BaseException):
            waiting.future.set_exception(result)
        else:
            waiting.future.set_result(result)
