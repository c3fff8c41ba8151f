"""Load the batches of one epoch onto the device, from a given step on.

Pipes draw batches as a pure function of (mode, seed, epoch). Therefore a loader can start in the middle of an epoch by
skipping batches, and can prefetch in a thread, without changing any number.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import torch

from recrun.data.postprocessing.tensor import to_device

if TYPE_CHECKING:
    from recrun.data.postprocessing.base import Pipe


_AHEAD: Final = 8
"""The maximum number of prefetched batches."""


class Loader:
    """Batches of one epoch.

    Args:
        pipe: draws the batches.
        mode: "train", "valid" or "test".
        seed: the run's seed.
        epoch: the epoch to draw.
        device: the device of the tensors.
        skip: number of batches to skip at the start.
        ahead: prefetch in a thread.
        on_step: called with the number of batches consumed so far, after the work on each is done.
    """

    def __init__(
        self,
        pipe: Pipe,
        *,
        mode: str,
        seed: int,
        epoch: int,
        device: torch.device,
        skip: int = 0,
        ahead: bool = False,
        on_step: Callable[[int], None] | None = None,
    ) -> None:
        self._pipe = pipe
        self._draw: dict[str, Any] = {"mode": mode, "seed": seed, "epoch": epoch}
        self._device = device
        self._skip = skip
        self._ahead = ahead
        self._on_step = on_step

    def __iter__(self) -> Iterator[Any]:
        batches: Iterable[Any] = self._pipe.iterate(**self._draw)
        if self._ahead:
            batches = _draw_ahead(batches)
        for step, batch in enumerate(itertools.islice(batches, self._skip, None), start=self._skip + 1):
            yield to_device(batch, self._device)
            # The consumer asks for the next batch when its work on this one is done.
            if self._on_step is not None:
                self._on_step(step)

    def draw_from(self, pipe: Pipe) -> None:
        """Draw the batches from another pipe, one for each of this one's."""
        self._pipe = pipe

    def __len__(self) -> int:
        """The number of batches of the whole epoch; TypeError if it is not known without drawing."""
        n_batches = self._pipe.n_batches(self._draw["mode"])
        if n_batches is None:
            raise TypeError("the number of batches is not known before they are drawn")
        return n_batches


def n_rows(batch: Any) -> int:
    """Return the number of rows of a batch."""
    while not isinstance(batch, torch.Tensor):
        batch = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
    return len(batch)


def _draw_ahead(batches: Iterable[Any]) -> Iterator[Any]:
    """Prefetch in a thread; its errors are raised here, and it ends when the consumer stops."""
    slots: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=_AHEAD)
    stopped = threading.Event()

    def put(item: tuple[str, Any]) -> bool:
        while not stopped.is_set():
            try:
                slots.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def draw() -> None:
        try:
            for batch in batches:
                if not put(("batch", batch)):
                    return
            put(("end", None))
        except BaseException as error:
            put(("error", error))

    thread = threading.Thread(target=draw, name="recrun-sampling", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = slots.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stopped.set()
        thread.join()
