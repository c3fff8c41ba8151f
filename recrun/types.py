"""Define the types with which components declare the bounds of their settings.

They are ordinary annotations: type checkers see `int` or `float`, and the parser refuses values out of bounds before
anything is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal


@dataclass(frozen=True)
class Ge:
    """At least `ge`: `Annotated[int, Ge(-1)]`."""

    ge: float


@dataclass(frozen=True)
class Gt:
    """More than `gt`."""

    gt: float


@dataclass(frozen=True)
class Le:
    """At most `le`."""

    le: float


@dataclass(frozen=True)
class Lt:
    """Less than `lt`."""

    lt: float


@dataclass(frozen=True)
class MinLen:
    """A list of at least `min_length` elements."""

    min_length: int


@dataclass(frozen=True)
class Registered:
    """The name of a registered component, or `path/to/file.py:Name`: `Annotated[str, Registered("splits")]`.

    Args:
        kinds: the kind of component, in the plural ("splits").
        without: registered names that are not allowed here.
        also: further names that are allowed without being registered.
        files: whether a file reference is allowed.
    """

    kinds: str
    without: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    files: bool = True


@dataclass(frozen=True)
class Default:
    """The default of a setting in a group, where no value can be assigned: `Annotated[float, Default(0.1)]`."""

    value: Any


@dataclass(frozen=True)
class Where:
    """A condition between a setting and others: `Annotated[int, Where("embedding_dim % n_heads == 0", "...")]`.

    Args:
        condition: what must hold; see `recrun.registry.conditions`.
        message: what is wrong if it does not; expressions in braces are replaced by their values.
    """

    condition: str
    message: str


@dataclass(frozen=True)
class AppliesIf:
    """When a setting has a meaning; otherwise it must have its default, and an inherited value is dropped.

    Args:
        condition: when it has one; see `recrun.registry.conditions`.
        reason: why it has none otherwise; expressions in braces are replaced by their values.
    """

    condition: str
    reason: str


def of_format(key: str) -> AppliesIf:
    """Return the condition on a setting of files of a user's own that it means something to their format."""
    return AppliesIf(f"takes('{key}', format, path, train_path)", "it means nothing to files of this format")


@dataclass(frozen=True)
class EmptyIsText:
    """Empty text is a value of its own, so that an argument `KEY=` means it and not null."""


PositiveInt = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Lt(1)]
"""A share less than the whole, 0 <= x < 1: dropout, momentum, held-out ratios."""
OptionalColumn = Annotated[str | None, EmptyIsText()]
"""The name of a column; null looks for usual names, and empty text means none."""
SplitName = Annotated[str, Registered("splits")]
UnitInterval = Annotated[float, Ge(0), Le(1)]
BatchNormalized = Annotated[
    bool, Where("not batch_norm or batch_size > 1", "needs batches of at least 2 rows, found batch_size {batch_size}")
]
"""Of a setting `batch_norm`: whether hidden layers are normalised over the batch."""
RateOfLayers = Annotated[Fraction, AppliesIf("dropouts is None", "dropouts gives the rate of each layer")]
"""Of a setting `dropout` beside `dropouts`: one rate of all hidden layers."""
RatesOfLayers = Annotated[
    list[Fraction] | None,
    Where(
        "dropouts is None or len(dropouts) == len(hidden_dims)",
        "expected a rate for each of the {len(hidden_dims)} hidden layers, found {len(dropouts)}",
    ),
]
"""Of a setting `dropouts`: the dropout rate of each of `hidden_dims`; null for one rate of all."""

__all__ = [
    "Annotated",
    "AppliesIf",
    "BatchNormalized",
    "Default",
    "EmptyIsText",
    "Fraction",
    "Ge",
    "Gt",
    "Le",
    "Literal",
    "Lt",
    "MinLen",
    "NonNegativeFloat",
    "NonNegativeInt",
    "OptionalColumn",
    "PositiveFloat",
    "PositiveInt",
    "RateOfLayers",
    "RatesOfLayers",
    "Registered",
    "SplitName",
    "UnitInterval",
    "Where",
    "of_format",
]
