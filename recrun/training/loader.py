"""The loader: what the Coach iterates over. Batches of one epoch, on the device, from a given step on.

The pipes draw batches as a pure function of (mode, seed, epoch), so a loader can start in the middle of an epoch by
passing over what was already trained, and can draw ahead in a thread without changing a number.
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
"""Batches that the drawing thread may be ahead."""


class Loader:
    """Batches of one epoch.

    Args:
        pipe: where they come from.
        mode: "train", "valid" or "test".
        seed: the run's seed.
        epoch: which epoch to draw.
        device: where tensors go.
        skip: batches at the start to pass over.
        ahead: draw in a thread beside the steps.
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

    def __len__(self) -> int:
        """The number of batches of the whole epoch, where it is known without drawing."""
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
    """Draw in a thread; an error there is raised here, and the thread ends when the consumer stops."""
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
