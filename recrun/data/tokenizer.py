"""Tokenizer: the embeddings of a set of fields.

B rows, L values in a row, D embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from recrun.data.fields import Field
from recrun.data.tagged import TaggedTuple, list_tags
from recrun.data.tags import DENSE, Tag
from recrun.embedding import RowEmbedding
from recrun.errors import DataError


class EmbeddedField:
    """A field together with its embeddings, which belong to the tokenizer.

    Not a module itself: a model may keep it as an attribute without its parameters being registered a second time.

    Args:
        field: the field.
    """

    def __init__(self, field: Field) -> None:
        self.field = field
        self.name = field.name
        self.tags = field.tags
        self._embeddings: nn.Embedding | nn.Linear | None = None

    @property
    def count(self) -> int:
        """The number of categories, or 1 for a number."""
        return self.field.count

    def match(self, *tags: Tag) -> bool:
        """Return whether the field has all of `tags`."""
        return self.tags.issuperset(tags)

    @property
    def is_embedded(self) -> bool:
        """Whether the tokenizer has given the field embeddings."""
        return self._embeddings is not None

    @property
    def embeddings(self) -> nn.Embedding | nn.Linear:
        """The embeddings: `weight` is `(count, D)` for categories, `(D, 1)` for a number.

        Raises:
            DataError: the field has none yet.
        """
        if self._embeddings is None:
            raise DataError(f"field {self.name!r} has no embeddings yet: call tokenizer.embed(dim, *tags) first")
        return self._embeddings

    @property
    def dimension(self) -> int:
        """D, the length of the field's embeddings."""
        return self.embeddings.weight.shape[0 if self.match(DENSE) else 1]

    def look_up(self, values: Tensor) -> Tensor:
        """Return the embeddings of values: category numbers, or numbers that scale the one embedding of the field.

        Args:
            values: `(B, L)`, or any other shape.

        Returns:
            `(B, L, D)`.
        """
        if self.match(DENSE):
            values = values.to(self.embeddings.weight.dtype).unsqueeze(-1)
        embedded: Tensor = self.embeddings(values)
        return embedded

    def __repr__(self) -> str:
        return f"EmbeddedField({self.name!r}, {self._embeddings})"


class Tokenizer(nn.Module):
    """Gives fields embeddings and looks them up.

    Args:
        fields: the fields that may be embedded.

    Example:
        tokenizer = Tokenizer(dataset.fields.groupby(ID))
        tokenizer.embed(64, ID)
        user = tokenizer[USER, ID]
        user.look_up(users)      # (B, 1) -> (B, 1, 64)
        user.embeddings.weight   # (n_users, 64)
    """

    def __init__(self, fields: Iterable[Field]) -> None:
        super().__init__()
        self.fields = TaggedTuple(EmbeddedField(field) for field in fields)
        self.embeddings = nn.ModuleDict()

    def embed(self, dim: int, *tags: Tag, sparse: bool = False) -> Tokenizer:
        """Give embeddings to the fields that have all of `tags` (without tags: to all fields); return the tokenizer.

        A category gets a row of an `nn.Embedding`; a number gets an `nn.Linear(1, dim)` without bias.

        Args:
            dim: D, the length of an embedding.
            tags: which fields.
            sparse: give category embeddings sparse gradients, for optimizers that use them.

        Raises:
            DataError: no field has the tags, or a field has embeddings already.
        """
        for field in self._some(tags):
            if field.is_embedded:
                raise DataError(f"field {field.name!r} has embeddings already")
            module: nn.Embedding | nn.Linear
            if field.match(DENSE):
                module = nn.Linear(1, dim, bias=False)
            else:
                module = RowEmbedding(field.count, dim, sparse=sparse)
            self.embeddings[self._module_name(field.name)] = module
            field._embeddings = module
        return self

    def look_up(self, features: Mapping[str, Tensor], *tags: Tag) -> Tensor:
        """Return the embeddings of several fields side by side.

        Args:
            features: values `(B, L)` by field name; L is the same for all.
            tags: which fields (without tags: all that have embeddings).

        Returns:
            `(B, L, calculate_dimension(*tags))`, fields in the tokenizer's order.

        Raises:
            DataError: no field has the tags, or a field has no embeddings or no values.
        """
        fields = self._some(tags) if tags else self._embedded()
        absent = [field.name for field in fields if field.name not in features]
        if absent:
            raise DataError(f"no values for the fields {', '.join(absent)}; given: {', '.join(features) or 'none'}")
        return torch.cat([field.look_up(features[field.name]) for field in fields], dim=-1)

    def calculate_dimension(self, *tags: Tag) -> int:
        """Return the sum of the embedding lengths of the fields that have all of `tags` (without: of all embedded).

        Raises:
            DataError: no field has the tags, or one of them has no embeddings.
        """
        return sum(field.dimension for field in (self._some(tags) if tags else self._embedded()))

    def groupby(self, *tags: Tag) -> TaggedTuple[EmbeddedField]:
        """Return the fields that have all of `tags`."""
        return self.fields.groupby(*tags)

    def groupbynot(self, *tags: Tag) -> TaggedTuple[EmbeddedField]:
        """Return the fields that lack at least one of `tags`."""
        return self.fields.groupbynot(*tags)

    def __getitem__(self, tags: Tag | tuple[Tag, ...] | str) -> EmbeddedField:
        return self.fields[tags]

    def __iter__(self) -> Iterator[EmbeddedField]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def _embedded(self) -> TaggedTuple[EmbeddedField]:
        return TaggedTuple(field for field in self.fields if field.is_embedded)

    def _some(self, tags: tuple[Tag, ...]) -> TaggedTuple[EmbeddedField]:
        fields = self.fields.groupby(*tags)
        if not len(fields):
            there = "; ".join(repr(field.field) for field in self.fields) or "none"
            raise DataError(f"no field has the tags {list_tags(tags)}; there are: {there}")
        return fields

    def _module_name(self, name: str) -> str:
        """Return a name under which torch can register a module: without dots, and not taken, even by a method."""
        name = name.replace(".", "_")
        while hasattr(self.embeddings, name):
            name += "_"
        return name
