"""Select fields by their name and tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, overload

from recrun.data.tags import Tag
from recrun.errors import DataError

if TYPE_CHECKING:
    from typing_extensions import Self


class Tagged(Protocol):
    """What `TaggedTuple` needs of its members."""

    name: str
    tags: frozenset[Tag]


F = TypeVar("F", bound=Tagged)


class TaggedTuple(tuple[F, ...], Generic[F]):
    """A tuple of fields that can be selected by name and tags.

    `fields[USER, ID]` is the one field with both tags, `fields["user"]` the one with that name; `fields[0]` and slices
    work as for any tuple.

    >>> from recrun.data.fields import FieldTuple, SparseField
    >>> from recrun.data.tags import ID, ITEM, USER
    >>> fields = FieldTuple([SparseField("user", tags=(USER, ID)), SparseField("item", tags=(ITEM, ID))])
    >>> fields[ITEM, ID].name, len(fields.groupby(ID)), len(fields.groupbynot(USER))
    ('item', 2, 1)
    """

    def __new__(cls, fields: Iterable[F] = ()) -> Self:
        self = super().__new__(cls, fields)
        names = [field.name for field in self]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise DataError(f"field names must differ; repeated: {', '.join(repeated)}")
        return self

    def groupby(self, *tags: Tag) -> Self:
        """Return the fields that have all of `tags`."""
        return type(self)(field for field in self if field.tags.issuperset(tags))

    def groupbynot(self, *tags: Tag) -> Self:
        """Return the fields that lack at least one of `tags`: all that `groupby` does not return."""
        return type(self)(field for field in self if not field.tags.issuperset(tags))

    @overload  # type: ignore[override]
    def __getitem__(self, key: slice) -> Self: ...
    @overload
    def __getitem__(self, key: int | str | Tag | tuple[Tag, ...]) -> F: ...
    def __getitem__(self, key: int | slice | str | Tag | tuple[Tag, ...]) -> F | Self:
        if isinstance(key, slice):
            return type(self)(super().__getitem__(key))
        if isinstance(key, int):
            return super().__getitem__(key)
        if isinstance(key, str):
            asked, found = f"the name {key!r}", [field for field in self if field.name == key]
        else:
            tags = (key,) if isinstance(key, Tag) else key
            asked, found = f"the tags {list_tags(tags)}", list(self.groupby(*tags))
        if len(found) == 1:
            return found[0]
        there = "; ".join(f"{field.name} ({list_tags(field.tags)})" for field in (found or self)) or "none"
        if found:
            raise DataError(f"{len(found)} fields have {asked}, expected one: {there}")
        raise DataError(f"no field has {asked}; there are: {there}")


def list_tags(tags: Iterable[Tag]) -> str:
    """Return the names of tags in a fixed order, for messages."""
    order = list(Tag)
    return ", ".join(tag.name for tag in sorted(tags, key=order.index)) or "none"
