"""Embed the fields of a data set.

Shapes: B users or rows, L values in a row, R rows of the table, D embedding, N indices.

torch allocates and fills a gradient as large as the table in every step, although a batch touches only a small part of
its rows. `RowEmbedding` keeps one gradient across steps and clears only the rows touched last (measured by
`benchmarks/training.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from recrun.data.tagged import Tagged, TaggedTuple, list_tags
from recrun.data.tags import DENSE, ID, ITEM, USER, Tag
from recrun.errors import DataError

_REMEMBERED: Final = 64
"""The most backward passes between two clearings whose rows are remembered; after more, all rows are cleared."""


class Embeddable(Tagged, Protocol):
    """What the tokenizer needs of a field: name, tags, and how many categories there are.

    It may have `pooling` too, and `shares`, the name of the field whose embeddings it has (`MultiField`).
    """

    @property
    def count(self) -> int:
        """The number of categories, or 1 for a number."""


class RowEmbedding(nn.Embedding):
    """`nn.Embedding` with a faster backward pass on the CPU; parameters, values and gradients are the same.

    The gradient is in `weight.grad` as usual: any loss, any optimizer for dense gradients, and `optimizer.zero_grad()`
    with either value of `set_to_none` work with it. The loss may also use the table in other ways, and the gradient may
    be changed in place, but not through `.data`, which torch does not count as a change. With `sparse=True`, or on
    another device (where adding rows is not deterministic), torch's own backward pass is used.

    Sums of rows that occur several times in a batch may differ from torch's by rounding.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept: Tensor | None = None
        self._touched: list[Tensor] = []
        self._seen_version: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy has: everything except the kept gradient."""
        return {**self.__dict__, "_kept": None, "_touched": [], "_seen_version": None}

    def forward(self, input: Tensor) -> Tensor:
        """Return the rows (*, D) of indices (*)."""
        plain = self.sparse or self.padding_idx is not None or self.max_norm is not None or self.scale_grad_by_freq
        if plain or self.weight.device.type != "cpu" or not (torch.is_grad_enabled() and self.weight.requires_grad):
            return super().forward(input)
        rows: Tensor = _RowLookUp.apply(self.weight, input.reshape(-1), self)  # type: ignore[no-untyped-call]
        return rows.view(*input.shape, self.embedding_dim)

    def add_gradient(self, index: Tensor, rows: Tensor) -> None:
        """Add rows (N, D) to the gradient at indices (N,)."""
        if self.weight.grad is None:
            self.weight.grad = self._cleared()
        gradient = self.weight.grad
        is_known = gradient is self._kept and gradient._version == self._seen_version
        gradient.index_add_(0, index, rows)
        if is_known:
            self._touched.append(index.clone())  # a script may write its next batch into the same tensor
            self._seen_version = gradient._version
            # After many passes clearing everything costs less than clearing their rows one by one.
            if len(self._touched) > _REMEMBERED:
                self._touched, self._seen_version = [], None

    def touched_rows(self) -> Tensor | None:
        """Return the numbers (N,) of the rows that have a gradient, ascending; None if any row may have one."""
        gradient = self.weight.grad
        is_known = gradient is not None and gradient is self._kept and gradient._version == self._seen_version
        return torch.unique(torch.cat(self._touched)) if is_known and self._touched else None

    def replace_gradient(self, parts: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Have the sum of parts as gradient: rows (N, D) at indices (N,), in this order."""
        self.weight.grad = None
        for index, rows in parts:
            self.add_gradient(index, rows)

    def _cleared(self) -> Tensor:
        """Return the kept gradient (R, D), all zero."""
        kept = self._kept
        if kept is None or kept.shape != self.weight.shape or kept.dtype != self.weight.dtype:
            kept = torch.zeros_like(self.weight)
        elif kept._version != self._seen_version:  # written to by something else, which may have been to any row
            kept.zero_()
        else:
            for index in self._touched:
                kept.index_fill_(0, index, 0.0)
        self._kept, self._touched, self._seen_version = kept, [], kept._version
        return kept


class _RowLookUp(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, weight: Tensor, index: Tensor, owner: RowEmbedding) -> Tensor:
        context.owner = owner
        context.save_for_backward(index)
        return weight.index_select(0, index)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[None, None, None]:
        context.owner.add_gradient(*context.saved_tensors, gradient)
        return None, None, None


class EmbeddedField:
    """A field together with its embeddings, which belong to the tokenizer.

    Not a module itself: a model may keep it as an attribute without its parameters being registered a second time.

    Args:
        field: the field.
    """

    def __init__(self, field: Embeddable) -> None:
        self.field = field
        self.name = field.name
        self.tags = field.tags
        self.pooling: str | None = getattr(field, "pooling", None)
        self.shares: str | None = getattr(field, "shares", None)
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
            `(B, L, D)`; of a field of several categories in a row `(B, 1, D)`, the mean or the sum of those that are
            not negative.
        """
        if self.pooling is not None:
            is_filled = (values >= 0).unsqueeze(-1)
            total: Tensor = (self.embeddings(values.clamp(min=0)) * is_filled).sum(dim=1, keepdim=True)
            return total if self.pooling == "sum" else total / is_filled.sum(dim=1, keepdim=True).clamp(min=1)
        if self.match(DENSE):
            values = values.to(self.embeddings.weight.dtype).unsqueeze(-1)
        embedded: Tensor = self.embeddings(values)
        return embedded

    def __repr__(self) -> str:
        return f"EmbeddedField({self.name!r}, {self._embeddings})"


class Tokenizer(nn.Module):
    """Creates the embeddings of fields and looks them up.

    Args:
        fields: the fields that may be embedded.

    Example:
        tokenizer = Tokenizer(dataset.fields.groupby(ID))
        tokenizer.embed(64, ID)
        user = tokenizer[USER, ID]
        user.look_up(users)      # (B, 1) -> (B, 1, 64)
        user.embeddings.weight   # (n_users, 64)
    """

    def __init__(self, fields: Iterable[Embeddable]) -> None:
        super().__init__()
        self.fields = TaggedTuple(EmbeddedField(field) for field in fields)
        self.embeddings = nn.ModuleDict()
        self._names: dict[str, str] = {}
        self._tables: dict[str, nn.Embedding | nn.Linear] = {}

    def embed(self, dim: int, *tags: Tag, sparse: bool = False) -> Tokenizer:
        """Give embeddings to the fields that have all of `tags` (without tags: to all fields); return the tokenizer.

        A category gets a row of an `nn.Embedding`; a number gets an `nn.Linear(1, dim)` without bias. A field that
        shares the embeddings of another takes those, if the tokenizer has that field or another that shares them.

        Args:
            dim: D, the length of an embedding.
            tags: which fields.
            sparse: give category embeddings sparse gradients, for optimizers that use them.

        Raises:
            DataError: no field has the tags, or a field has embeddings already, or shares some of another length.
        """
        # A table is made by the field that it is named after, where that is among them.
        for field in sorted(self._some(tags), key=lambda field: field.shares is not None):
            if field.is_embedded:
                raise DataError(f"field {field.name!r} has embeddings already")
            owner = field.shares or field.name
            if owner not in self._tables:
                self._tables[owner] = self._make(field, dim, sparse=sparse)
                self._names[field.name] = self._module_name(owner)
                self.embeddings[self._names[field.name]] = self._tables[owner]
            field._embeddings = self._tables[owner]
            if field.dimension != dim:
                found = f"shares the embeddings of {owner!r}, of length {field.dimension}"
                raise DataError(f"field {field.name!r} {found}; they cannot have length {dim}")
        return self

    def _make(self, field: EmbeddedField, dim: int, *, sparse: bool) -> nn.Embedding | nn.Linear:
        if field.match(DENSE):
            return nn.Linear(1, dim, bias=False)
        return RowEmbedding(field.count, dim, sparse=sparse)

    @property
    def tensor_axes(self) -> dict[str, str]:
        """What the rows of each embedding stand for, as `recrun.architectures.axes` reads it."""
        kinds = ((ITEM, "item"), (USER, "user"), (DENSE, ""))
        return {
            f"embeddings.{self._names[field.name]}.weight": next(
                (kind for tag, kind in kinds if field.match(tag) and (tag is DENSE or field.match(ID))), "category"
            )
            for field in self._embedded()
            if field.name in self._names
        }

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
