"""Processes that are threads of this one: what several processes do together, without starting any."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from recrun.runs.checkpoint import pack_state, unpack_state
from recrun.training.parallel.process_group import Processes

T = TypeVar("T")


class Meeting:
    """Where n threads exchange values; an exchange that is not the same in all of them fails the test."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._barrier = threading.Barrier(n, timeout=30)
        self._values: list[Any] = [None] * n

    def exchange(self, rank: int, kind: str, value: Any) -> list[Any]:
        """Return the values of all threads, by rank."""
        self._values[rank] = (kind, value)
        self._barrier.wait()
        found = list(self._values)
        self._barrier.wait()
        assert {each for each, _ in found} == {kind}, found
        return [each for _, each in found]

    def leave(self) -> None:
        """Have the others not wait any more."""
        self._barrier.abort()


class ThreadProcesses(Processes):
    """One of n threads, as if it was a process."""

    def __init__(self, rank: int, meeting: Meeting) -> None:
        super().__init__(rank, meeting.n)
        self._meeting = meeting

    def gather(self, tensor: Tensor) -> list[Tensor]:
        found: list[Tensor] = self._meeting.exchange(self.rank, "gather", tensor.clone())
        assert len({(each.shape, each.dtype) for each in found}) == 1, [each.shape for each in found]
        return found

    def add_up(self, tensor: Tensor) -> None:
        tensor.copy_(torch.stack(self._meeting.exchange(self.rank, "add_up", tensor.clone())).sum(dim=0))

    def deal(self, tensor: Tensor, lengths: Sequence[int], received: Sequence[int]) -> list[Tensor]:
        assert sum(lengths) == len(tensor)
        parts = self._meeting.exchange(self.rank, "deal", torch.split(tensor.clone(), list(lengths)))
        found = [each[self.rank] for each in parts]
        assert [len(each) for each in found] == list(received)
        return found

    def signal(self, number: int = 0) -> int:
        return int(self._meeting.exchange(self.rank, "signal", number)[0])

    def tell(self, state: Mapping[str, Any]) -> None:
        self._meeting.exchange(self.rank, "tell", pack_state(state))

    def listen(self) -> dict[str, Any]:
        text, tensors = self._meeting.exchange(self.rank, "tell", None)[0]
        found: dict[str, Any] = unpack_state(text, {name: each.clone() for name, each in tensors.items()})
        return found

    def collect(self, state: Mapping[str, Any]) -> list[dict[str, Any]]:
        found = self._meeting.exchange(self.rank, "collect", pack_state(state))
        return [unpack_state(*each) for each in found[1:]] if self.leads else []

    def hand_over(self, tensor: Tensor, to: int) -> None:
        self._queue(self.rank, to).append(tensor.detach().clone())

    def take_over(self, tensor: Tensor, of: int) -> None:
        queue = self._queue(of, self.rank)
        while not queue:
            threading.Event().wait(0.001)
        found = queue.pop(0)
        assert (found.shape, found.dtype) == (tensor.shape, tensor.dtype)
        tensor.copy_(found)

    def _queue(self, of: int, to: int) -> list[Tensor]:
        queues: dict[tuple[int, int], list[Tensor]] = self._meeting.__dict__.setdefault("queues", {})
        return queues.setdefault((of, to), [])


def together(n: int, work: Callable[[ThreadProcesses], T]) -> list[T]:
    """Return what n threads return that do the same work at once; the first error of one is raised."""
    meeting, found, errors = Meeting(n), {}, []

    def run(rank: int) -> None:
        try:
            found[rank] = work(ThreadProcesses(rank, meeting))
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:
            errors.append(error)
            meeting.leave()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(n)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if errors:
        raise errors[0]
    return [found[rank] for rank in range(n)]
