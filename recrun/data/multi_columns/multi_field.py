"""Fields of several categories in a row, such as `Action|Comedy`, whose embeddings are pooled.

Shapes: N rows, L places, of which a row fills the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from recrun.data.fields import SparseField
from recrun.data.tags import FEATURE
from recrun.errors import DataError

if TYPE_CHECKING:
    import polars as pl

NOTHING: Final = -1
"""What stands in places that a row does not fill, before and after the transformation."""
MOST: Final = 1000
"""The most categories of a row: a column takes N rows times the most that a row has."""


class MultiField(SparseField):
    """A column of several categories in each row. Has the tags SPARSE and FEATURE.

    Its categories are those in train, and one more. That one stands for a category that is not in train, and is the
    only one of a row that has none. A field that shares those of another has its categories and its embeddings, and a
    row without any stays empty.

    Args:
        name: the column's name.
        pooling: how the embeddings of a row's categories become one: their mean or their sum.
        like: the field whose categories and embeddings it shares; None if it has its own.
    """

    def __init__(self, name: str, *, pooling: Literal["mean", "sum"] = "mean", like: SparseField | None = None) -> None:
        super().__init__(name, tags=FEATURE, na_value=NOTHING)
        self.pooling = pooling
        self.like = like

    @property
    def shares(self) -> str | None:
        """The name of the field whose categories and embeddings it shares; None if it has its own."""
        return None if self.like is None else self.like.name

    @property
    def count(self) -> int:
        return super().count if self.like is None else self.like.count

    @property
    def na_index(self) -> int | None:
        return super().na_index if self.like is None else self.like.na_index

    def fit(self, values: np.ndarray) -> MultiField:
        """Fit the categories to values of train rows: numbers (N, L), `NOTHING` in places that are not filled.

        Shared categories are fitted by the other field, to the values of both.
        """
        if self.like is None:
            super().fit(values[values != NOTHING])
        return self

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Return the categories (N, L) of any rows, `NOTHING` in places that are not filled."""
        is_filled = values != NOTHING
        numbers = np.full(values.shape, NOTHING, dtype=self.dtype)
        if self.like is not None:
            numbers[is_filled] = self.like.transform(values[is_filled])
            return numbers
        numbers[is_filled] = super().transform(values[is_filled])
        numbers[~is_filled.any(axis=1), 0] = self.na_index
        return numbers


@dataclass(frozen=True)
class Pieces:
    """The categories of all rows, one after the other.

    Args:
        values: the categories, text (P,).
        rows: the row of each (P,), ascending.
        places: its place in the row (P,).
        shape: (N, L), the number of rows and the most that one has, at least 1.
    """

    values: pl.Series
    rows: np.ndarray
    places: np.ndarray
    shape: tuple[int, int]

    def arrange(self, numbers: np.ndarray) -> np.ndarray:
        """Return a number (P,) of each category by its row, int32 (N, L), `NOTHING` in places that are not filled."""
        table = np.full(self.shape, NOTHING, dtype=np.int32)
        table[self.rows, self.places] = numbers
        return table


def take_apart(values: pl.Series, separator: str, fail: Callable[[int, str], DataError]) -> Pieces:
    """Return the categories of each row.

    Blanks around a category are left out, and so are empty ones. A category that is there twice counts twice.

    Args:
        values: the column, text; null where nothing is written.
        separator: what stands between two categories.
        fail: makes the error for a row.

    Raises:
        DataError: a row has more than `MOST`.
    """
    import polars as pl

    rows = pl.DataFrame({"row": np.arange(len(values)), "value": values.str.split(separator)})
    pieces = rows.explode("value").with_columns(pl.col("value").str.strip_chars())
    pieces = pieces.filter(pl.col("value").is_not_null() & (pl.col("value") != ""))
    owners = pieces["row"].to_numpy()
    counts = np.bincount(owners, minlength=len(values))
    if len(counts) and counts.max() > MOST:
        row = int(counts.argmax())
        raise fail(row, f"expected at most {MOST:,} categories as {values.name}, found {counts[row]:,}")
    places = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Pieces(pieces["value"], owners, places, (len(values), max(1, int(counts.max(initial=0)))))


def several(values: pl.Series, separator: str, fail: Callable[[int, str], DataError]) -> np.ndarray:
    """Return the numbers of each row's categories, int32 (N, L), in the order of all distinct ones.

    Arguments and errors are those of `take_apart`.

    Returns:
        `NOTHING` in places that a row does not fill; L is at least 1.
    """
    import polars as pl

    pieces = take_apart(values, separator, fail)
    return pieces.arrange((pieces.values.rank("dense").cast(pl.Int32) - 1).to_numpy())
