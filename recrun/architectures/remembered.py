"""Remember what was computed from the weights of a model until these change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from torch import Tensor

T = TypeVar("T")


class Remembered(Generic[T]):
    """A value that takes long to compute from some tensors; it is computed anew when one of them has changed.

    A change is noticed where torch counts it: training, loading a state and moving to a device do.
    """

    def __init__(self) -> None:
        self._kept: tuple[list[tuple[int, int]], T] | None = None

    def __call__(self, tensors: Iterable[Tensor], compute: Callable[[], T]) -> T:
        """Return what `compute()` returns for the tensors as they are now."""
        state = [(each.data_ptr(), each._version) for each in tensors]
        kept = self._kept
        if kept is not None and kept[0] == state:
            return kept[1]
        value = compute()
        self._kept = state, value  # at once, so that a thread beside this one finds both or neither
        return value
