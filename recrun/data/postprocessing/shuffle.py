"""shuffle_: the rows of an epoch in random order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from recrun.data.postprocessing.base import Mode, PostProcessor
from recrun.data.postprocessing.chunks import Batch, chunks, count_rows
from recrun.data.postprocessing.split import concatenate
from recrun.utils import generator


class Shuffle(PostProcessor):
    """Permutes all rows of a train epoch, which are held in memory for that; valid and test come as they are."""

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        stream = self.source.iterate(mode, seed=seed, epoch=epoch)
        if mode != "train":
            yield from stream
            return
        pieces = list(stream)
        if not pieces:
            return
        rows = concatenate(pieces)
        order = np.arange(count_rows(rows))
        generator(seed, epoch, "shuffle").shuffle(order)
        for start, stop in chunks(len(order)):
            yield {name: column[order[start:stop]] for name, column in rows.items()}

    def sizes(self, mode: Mode) -> list[int] | None:
        sizes = self.source.sizes(mode)
        if sizes is None or mode != "train":
            return sizes
        return [stop - start for start, stop in chunks(sum(sizes))]
