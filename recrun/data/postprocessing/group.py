"""Implement `group_`: turn batches into tuples of dictionaries, one for each group of fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from recrun.data.postprocessing.base import Pipe, PostProcessor
from recrun.data.postprocessing.chunks import Batch
from recrun.data.postprocessing.mode import Mode
from recrun.data.tagged import list_tags
from recrun.data.tags import Tag
from recrun.errors import DataError


class Group(PostProcessor):
    """Sorts the columns of a batch into groups.

    Args:
        source: the pipe before it.
        groups: tags, or tuples of tags that the fields of a group must all have; or a single tuple of these.

    Raises:
        DataError: there is no group, or no field of the data set belongs to one.
    """

    yields_groups = True

    def __init__(self, source: Pipe, *groups: Any) -> None:
        super().__init__(source)
        if len(groups) == 1 and not isinstance(groups[0], Tag):
            groups = tuple(groups[0])
        if not groups:
            raise DataError("group_ needs at least one group, such as group_((USER, ITEM))")
        self._tags = [(group,) if isinstance(group, Tag) else tuple(group) for group in groups]
        # The data set's fields, because pipes joined by wrap_ may yield different columns.
        self._names = [[field.name for field in self.base.fields.groupby(*tags)] for tags in self._tags]
        for tags, names in zip(self._tags, self._names, strict=True):
            if not names:
                there = "; ".join(map(repr, self.base.fields))
                raise DataError(f"no field belongs to the group {list_tags(tags)}; there are {there}")

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[tuple[Batch, ...]]:
        for batch in self.source.iterate(mode, seed=seed, epoch=epoch):
            groups = tuple({name: batch[name] for name in names if name in batch} for names in self._names)
            if not all(groups):
                empty = "; ".join(list_tags(tags) for tags, group in zip(self._tags, groups, strict=True) if not group)
                raise DataError(
                    f"no column of the {mode} batches belongs to the group {empty}; columns: {', '.join(batch)}"
                )
            yield groups
