"""Fields: the columns of a data set, selected by tags and turned into numbers by transformers.

`Tokenizer` can be imported from here too, and only then is torch imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from recrun.data.tagged import TaggedTuple, list_tags
from recrun.data.tags import DENSE, SPARSE, Tag
from recrun.data.transformers import Label2Index, Transformer, make_transformer
from recrun.errors import DataError

if TYPE_CHECKING:
    from recrun.data.tokenizer import Tokenizer as Tokenizer

__all__ = ["DenseField", "Field", "FieldTuple", "Fielder", "SparseField", "Tokenizer", "is_missing"]

TransformerLike = str | Transformer | Callable[[np.ndarray], np.ndarray]


class Field:
    """A column: its name, its tags, and how its raw values become numbers.

    Args:
        name: the column's name.
        tags: one tag or several.
        na_value: the raw value that replaces missing ones. NaN, NaT, None and empty text are missing; 0 is not. With
            None, a missing value is an error.
        dtype: the numpy dtype of the transformed values.
        transformer: "none", "label2index", "binarizer", "minmax", "standard", a `Transformer`, or a callable on arrays.
    """

    def __init__(
        self,
        name: str,
        *,
        tags: Tag | Iterable[Tag] = (),
        na_value: Any = None,
        dtype: DTypeLike,
        transformer: TransformerLike,
    ) -> None:
        self.name = name
        self.tags = frozenset([tags] if isinstance(tags, Tag) else tags)
        self.na_value = na_value
        self.dtype = np.dtype(dtype)
        self.transformer = make_transformer(transformer)

    @property
    def count(self) -> int:
        """How many embeddings the field needs: one per category, or 1 for a number."""
        return 1

    def match(self, *tags: Tag) -> bool:
        """Return whether the field has all of `tags`."""
        return self.tags.issuperset(tags)

    def fit(self, values: np.ndarray) -> Field:
        """Fit the transformation to the values of train rows, except missing ones; return the field.

        Args:
            values: raw values `(N,)`.

        Raises:
            DataError: values are missing and there is no `na_value`, or they cannot be transformed.
        """
        values = np.asarray(values)
        missing = self._missing(values)
        self._named(self.transformer.fit, values[~missing])
        return self

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Return the numbers for raw values of any rows.

        Args:
            values: raw values `(N,)`.

        Returns:
            `(N,)` of the field's dtype.

        Raises:
            DataError: the field is not fitted, values are missing and there is no `na_value`, or they cannot be
                transformed.
        """
        values = np.asarray(values)
        missing = self._missing(values)
        if not self.transformer.is_fitted:
            raise DataError(f"field {self.name!r} is not fitted: call fit with the values of train rows first")
        numbers: np.ndarray = self._transform(values, missing).astype(self.dtype, copy=False)
        return numbers

    def _transform(self, values: np.ndarray, missing: np.ndarray) -> np.ndarray:
        if missing.any():
            # Integers have no NaN, so a column with missing values may arrive as objects and only now becomes numeric.
            values = np.where(missing, self.na_value, values)
            values = np.array(values.tolist()) if values.dtype == object else values
        numbers: np.ndarray = self._named(self.transformer.transform, values)
        return numbers

    def _missing(self, values: np.ndarray) -> np.ndarray:
        if values.ndim != 1:
            raise DataError(f"field {self.name!r}: a column has one dimension, not shape {values.shape}")
        missing = is_missing(values)
        if self.na_value is None and missing.any():
            row = int(np.flatnonzero(missing)[0])
            raise DataError(
                f"field {self.name!r}: {int(missing.sum()):,} of {len(values):,} values are missing, the first in "
                f"row {row}; give the field an na_value or drop the rows"
            )
        return missing

    def _named(self, function: Callable[[np.ndarray], Any], values: np.ndarray) -> Any:
        try:
            return function(values)
        except (DataError, TypeError, ValueError) as error:
            raise DataError(f"field {self.name!r}: {error}") from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, tags=({list_tags(self.tags)}))"


class SparseField(Field):
    """A column of categories. Adds the tag SPARSE.

    With "label2index" (the default) the categories are the labels in train, plus one for `na_value` if it is set and is
    not itself a label. A label that is not in train is replaced by `na_value`, or is an error if there is none. With
    another transformer the transformed values are the category numbers 0, 1, ...; numbers that are negative or not
    below `count` are treated in the same way.

    Args:
        name: the column's name.
        tags: one tag or several.
        na_value: the label (with "label2index") or raw value that replaces missing and unseen values.
        dtype: the numpy dtype of the transformed values.
        transformer: as for `Field`.
        count: the number of categories, if known beforehand; not with "label2index".
    """

    def __init__(
        self,
        name: str,
        *,
        tags: Tag | Iterable[Tag] = (),
        na_value: Any = None,
        dtype: DTypeLike = np.int64,
        transformer: TransformerLike = "label2index",
        count: int | None = None,
    ) -> None:
        super().__init__(name, tags=tags, na_value=na_value, dtype=dtype, transformer=transformer)
        self.tags |= {SPARSE}
        self._count = count
        if count is not None and isinstance(self.transformer, Label2Index):
            raise DataError(f"field {name!r}: label2index counts the labels itself; leave count out")

    @property
    def count(self) -> int:
        """The number of categories, including that of `na_value`.

        Raises:
            DataError: it is not known, because the field is not fitted.
        """
        if isinstance(self.transformer, Label2Index) and self.transformer.is_fitted:
            return len(self.transformer.labels) + (self.na_index == len(self.transformer.labels))
        if self._count is None:
            raise DataError(f"field {self.name!r} has no count yet: call fit with the values of train rows first")
        return self._count

    @property
    def na_index(self) -> int | None:
        """The category of missing and unseen values, or None if they are errors."""
        if self.na_value is None:
            return None
        if isinstance(self.transformer, Label2Index):
            found = int(self.transformer.find(np.array([self.na_value]))[0])
            return len(self.transformer.labels) if found < 0 else found
        return int(self._named(self.transformer.transform, np.array([self.na_value]))[0])

    @property
    def labels(self) -> np.ndarray:
        """The labels by category number.

        Raises:
            DataError: the field is not fitted, or has no labels because its transformer is not "label2index".
        """
        if not isinstance(self.transformer, Label2Index):
            raise DataError(f"field {self.name!r} has no labels: its transformer is not label2index")
        return self.transformer.labels

    def fit(self, values: np.ndarray) -> SparseField:
        super().fit(values)
        if not isinstance(self.transformer, Label2Index):
            numbers = super()._transform(np.asarray(values), self._missing(np.asarray(values)))
            largest = int(numbers.max()) if len(numbers) else -1
            self._count = max(self._count or 0, largest + 1, (self.na_index or 0) + (self.na_value is not None))
        return self

    def _transform(self, values: np.ndarray, missing: np.ndarray) -> np.ndarray:
        na_index = self.na_index
        if isinstance(self.transformer, Label2Index):
            numbers = np.full(len(values), -1, dtype=np.int64)
            # Only present values are looked up: NaN and None cannot be compared with labels.
            numbers[~missing] = self._named(self.transformer.find, values[~missing])
        else:
            numbers = super()._transform(values, missing)
        unseen = (numbers < 0) | (numbers >= self.count)
        if not unseen.any():
            return numbers
        if na_index is not None:
            return np.where(unseen, na_index, numbers)
        first = values[unseen][:1].tolist()[0]
        raise DataError(
            f"field {self.name!r}: {int(unseen.sum()):,} of {len(values):,} values are not categories of train; "
            f"the first is {first!r}; set an na_value to replace them"
        )


class DenseField(Field):
    """A column of numbers. Adds the tag DENSE.

    Args:
        name: the column's name.
        tags: one tag or several.
        na_value: the raw value that replaces missing ones before the transformation.
        dtype: the numpy dtype of the transformed values.
        transformer: as for `Field`; it is fitted to the present values of train.
    """

    def __init__(
        self,
        name: str,
        *,
        tags: Tag | Iterable[Tag] = (),
        na_value: float | None = None,
        dtype: DTypeLike = np.float32,
        transformer: TransformerLike = "none",
    ) -> None:
        super().__init__(name, tags=tags, na_value=na_value, dtype=dtype, transformer=transformer)
        self.tags |= {DENSE}

    def fit(self, values: np.ndarray) -> DenseField:
        super().fit(values)
        return self


class FieldTuple(TaggedTuple[Field]):
    """The fields of a data set or of a pipe: see `TaggedTuple` for `[]`, `groupby` and `groupbynot`."""


Fielder = FieldTuple


def is_missing(values: np.ndarray) -> np.ndarray:
    """Return where values are missing, bool `(N,)`: NaN, NaT, None and empty text. Zero is a value.

    >>> is_missing(np.array([0.0, np.nan])), is_missing(np.array(["0", ""]))
    (array([False,  True]), array([False,  True]))
    """
    kind = values.dtype.kind
    missing: Any = np.zeros(len(values), dtype=bool)
    if kind == "f":
        missing = np.isnan(values)
    elif kind in "mM":
        missing = np.isnat(values)
    elif kind in "US":
        missing = np.char.str_len(values) == 0
    elif kind == "O":
        not_itself, nothing, empty = values != values, values == np.array(None), values == np.array("", dtype=object)
        missing = not_itself.astype(bool) | nothing.astype(bool) | empty.astype(bool)
    return np.asarray(missing, dtype=bool)


def __getattr__(name: str) -> Any:
    if name == "Tokenizer":
        from recrun.data.tokenizer import Tokenizer

        return Tokenizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
