"""Remember what was computed from the weights of a model until these change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from torch import Tensor, nn

T = TypeVar("T")


class Remembered(nn.Module, Generic[T]):
    """A value that takes long to compute from the tensors of a model, as a part of the model; it is no state.

    It is forgotten when the model is trained, loads a state or is moved. torch does not count the steps of its own
    optimizers as changes of a tensor, so weights that are changed otherwise need a call of `model.train()` before.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: tuple[list[tuple[int, int]], T] | None = None

    def train(self, mode: bool = True) -> Remembered[T]:
        """Forget the value, if the model is to be trained."""
        if mode:
            self._kept = None
        super().train(mode)
        return self

    def forward(self, tensors: Iterable[Tensor], compute: Callable[[], T]) -> T:
        """Return what `compute()` returns for the tensors as they are now; in training it is computed each time."""
        if self.training:
            return compute()
        state = [(each.data_ptr(), each._version) for each in tensors]
        kept = self._kept
        if kept is not None and kept[0] == state:
            return kept[1]
        value = compute()
        self._kept = state, value  # at once, so that a thread beside this one finds both or neither
        return value
