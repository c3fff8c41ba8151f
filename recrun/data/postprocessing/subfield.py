"""Implement `subfield_`: keep only the columns of fields with certain tags."""

from __future__ import annotations

from collections.abc import Iterator

from recrun.data.postprocessing.base import Pipe, PostProcessor
from recrun.data.postprocessing.chunks import Batch
from recrun.data.postprocessing.mode import Mode
from recrun.data.tagged import list_tags
from recrun.data.tags import Tag
from recrun.errors import DataError


class SubField(PostProcessor):
    """Keeps the columns of the fields that have all of `tags`.

    Args:
        source: the pipe before it.
        tags: the tags that a field must have.
    """

    def __init__(self, source: Pipe, *tags: Tag) -> None:
        super().__init__(source)
        self.fields = source.fields.groupby(*tags)
        if not self.fields:
            there = "; ".join(map(repr, source.fields))
            raise DataError(
                f"subfield_ would leave no column: no field has the tags {list_tags(tags)}; there are {there}"
            )

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        names = {field.name for field in self.fields}
        for batch in self.source.iterate(mode, seed=seed, epoch=epoch):
            yield {name: column for name, column in batch.items() if name in names}
