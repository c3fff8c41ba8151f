"""tensor_: from numpy to torch."""

from __future__ import annotations

from collections.abc import Iterator

from recrun.data.postprocessing.base import Mode, PostProcessor
from recrun.data.postprocessing.chunks import Batch


class ToTensor(PostProcessor):
    """Gives the arrays to torch without copying: same shape, same dtype, on the CPU."""

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        import torch

        for batch in self.source.iterate(mode, seed=seed, epoch=epoch):
            yield {name: torch.as_tensor(column) for name, column in batch.items()}
