"""Transform the raw values of a field into numbers that a model can use.

A transformer is fitted to the values of train rows and applied to all rows. It never sees missing values: the field
replaces them first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from recrun.errors import DataError, unknown


class Transformer(ABC):
    """Turns a column of raw values `(N,)` into a column of numbers `(N,)`."""

    @property
    def is_fitted(self) -> bool:
        """Whether `transform` can be called."""
        return True

    def fit(self, values: np.ndarray) -> None:
        """Fit to train values, discarding any earlier fit."""
        return

    @abstractmethod
    def transform(self, values: np.ndarray) -> np.ndarray:
        """Return the transformed values, `(N,)`.

        Raises:
            DataError: a value cannot be transformed.
        """


class Identity(Transformer):
    """Leaves values as they are."""

    def transform(self, values: np.ndarray) -> np.ndarray:
        return values


class Function(Transformer):
    """Applies a callable to the whole column.

    Args:
        function: takes an array `(N,)`, returns one `(N,)`.
    """

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self.function = function

    def transform(self, values: np.ndarray) -> np.ndarray:
        result = np.asarray(self.function(values))
        if result.shape != values.shape:
            name = getattr(self.function, "__name__", repr(self.function))
            raise DataError(f"transformer {name} returned shape {result.shape} for a column of shape {values.shape}")
        return result


class Label2Index(Transformer):
    """Numbers the labels of train from 0 in sorted order.

    Args:
        labels: the labels in the order of their numbers, if known without fitting.

    >>> numbers = Label2Index()
    >>> numbers.fit(np.array(["b", "a", "b"]))
    >>> numbers.transform(np.array(["b", "b", "a"])), numbers.labels.tolist()
    (array([1, 1, 0]), ['a', 'b'])
    """

    def __init__(self, labels: np.ndarray | None = None) -> None:
        self._labels: np.ndarray | None = None
        if labels is not None:
            self._set(np.asarray(labels))

    @property
    def is_fitted(self) -> bool:
        return self._labels is not None

    @property
    def labels(self) -> np.ndarray:
        """The labels in the order of their numbers.

        Raises:
            DataError: it is not fitted.
        """
        if self._labels is None:
            raise DataError("Label2Index is not fitted")
        return self._labels

    def fit(self, values: np.ndarray) -> None:
        self._set(np.unique(_comparable(values)))

    def find(self, values: np.ndarray) -> np.ndarray:
        """Return the number of each value, int64 `(N,)`, or -1 if it is not a label of train."""
        values = _comparable(np.asarray(values))
        if not len(self.labels) or _family(values) != _family(self._sorted):
            return np.full(len(values), -1, dtype=np.int64)
        positions = np.minimum(np.searchsorted(self._sorted, values), len(self._sorted) - 1)
        return np.where(self._sorted[positions] == values, self._numbers[positions], -1)

    def transform(self, values: np.ndarray) -> np.ndarray:
        numbers = self.find(values)
        unseen = numbers < 0
        if unseen.any():
            first = np.asarray(values)[unseen][:1].tolist()[0]
            raise DataError(f"{int(unseen.sum())} values are not among the labels of train; the first is {first!r}")
        return numbers

    def _set(self, labels: np.ndarray) -> None:
        self._labels = labels
        self._numbers = np.argsort(_comparable(labels), kind="stable").astype(np.int64)
        self._sorted = _comparable(labels)[self._numbers]


class Binarizer(Transformer):
    """Maps values above a threshold to 1 and the others to 0.

    Args:
        threshold: the largest value that becomes 0.
    """

    def __init__(self, threshold: float = 0.0) -> None:
        self.threshold = threshold

    def transform(self, values: np.ndarray) -> np.ndarray:
        return (values > self.threshold).astype(np.int64)


class _Scaler(Transformer):
    """(x - shift) / scale, with scale 1 if all values of train are equal."""

    _learnt: tuple[float, float] | None = None

    @property
    def is_fitted(self) -> bool:
        return self._learnt is not None

    def fit(self, values: np.ndarray) -> None:
        if not len(values):
            raise DataError(f"{type(self).__name__} needs at least one value to fit")
        shift, scale = self._statistics(values.astype(np.float64))
        self._learnt = shift, scale or 1.0

    def transform(self, values: np.ndarray) -> np.ndarray:
        if self._learnt is None:
            raise DataError(f"{type(self).__name__} is not fitted")
        shift, scale = self._learnt
        return (values - shift) / scale

    @abstractmethod
    def _statistics(self, values: np.ndarray) -> tuple[float, float]: ...


class MinMax(_Scaler):
    """Maps the range of train to [0, 1]; values outside the range of train are not clipped."""

    def _statistics(self, values: np.ndarray) -> tuple[float, float]:
        return float(values.min()), float(values.max() - values.min())


class Standard(_Scaler):
    """Maps train to mean 0 and (population) standard deviation 1."""

    def _statistics(self, values: np.ndarray) -> tuple[float, float]:
        # The deviation of equal values is a rounding error instead of 0 if their mean is not exact.
        constant = bool((values == values[0]).all())
        return (float(values[0]), 0.0) if constant else (float(values.mean()), float(values.std()))


TRANSFORMERS: dict[str, type[Transformer]] = {
    "none": Identity,
    "label2index": Label2Index,
    "binarizer": Binarizer,
    "minmax": MinMax,
    "standard": Standard,
}


def make_transformer(spec: str | Transformer | Callable[[np.ndarray], np.ndarray]) -> Transformer:
    """Return the transformer specified by a name, a transformer or a callable.

    Raises:
        DataError: there is no transformer of that name, or `spec` is none of these.
    """
    if isinstance(spec, Transformer):
        return spec
    if isinstance(spec, str):
        if spec not in TRANSFORMERS:
            raise DataError(unknown("transformer", spec, TRANSFORMERS))
        return TRANSFORMERS[spec]()
    if callable(spec):
        return Function(spec)
    raise DataError(f"a transformer is a name, a Transformer or a callable, not {type(spec).__name__}")


def _comparable(values: np.ndarray) -> np.ndarray:
    """Convert an object array to an array of its values' type, such as text, so that numpy can sort and search it."""
    if values.dtype != object:
        return values
    kinds = set(map(type, values.tolist()))
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"labels must all be of one type; found {names}")
    return np.array(values.tolist())


def _family(values: np.ndarray) -> str:
    return "number" if values.dtype.kind in "biuf" else values.dtype.kind
