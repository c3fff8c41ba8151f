"""Implement `wrap_`: join pipes for train, valid and test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from recrun.data.postprocessing.base import Pipe
from recrun.data.postprocessing.mode import Mode, check_mode
from recrun.errors import DataError


class Wrap(Pipe):
    """Serves each mode from its own pipe.

    Args:
        trainpipe: serves train.
        validpipe: serves valid.
        testpipe: serves test; `validpipe` if None.
    """

    def __init__(self, trainpipe: Pipe, validpipe: Pipe, testpipe: Pipe | None = None) -> None:
        self._pipes = {"train": trainpipe, "valid": validpipe, "test": testpipe or validpipe}
        if any(pipe.base is not trainpipe.base for pipe in self._pipes.values()):
            raise DataError("wrap_ needs pipes that start from the same data set, so that their ids agree")
        if len({pipe.yields_groups for pipe in self._pipes.values()}) > 1:
            raise DataError(
                "either all pipes joined by wrap_ end in group_, or none does; group_ may also follow wrap_"
            )
        self.yields_groups = trainpipe.yields_groups
        self.fields = trainpipe.fields

    @property
    def base(self) -> Any:
        return self._pipes["train"].base

    @property
    def is_sharded(self) -> bool:
        return any(pipe.is_sharded for pipe in self._pipes.values())

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Any]:
        return self._pipes[check_mode(mode)].iterate(mode, seed=seed, epoch=epoch)

    def sizes(self, mode: Mode) -> list[int] | None:
        return self._pipes[check_mode(mode)].sizes(mode)
