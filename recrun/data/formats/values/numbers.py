"""Judge which texts are numbers, once for all readers, and read columns of them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from recrun.data.formats.table import rows_error, shown
from recrun.data.interactions import RATING, TIMESTAMP

if TYPE_CHECKING:
    import polars as pl

NUMBER: Final = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
"""What is a number, without the blanks around it. No separators of thousands, no decimal comma, no infinity."""
MISSING_WORDS: Final = frozenset(
    {
        *("nan", "null", "none", "nil", "na", "n/a", "<na>", "#n/a", "undefined", "nat", "\\n", "-", "?"),
        *("0000-00-00", "0000-00-00 00:00:00"),
    }
)
"""What programs write where a value is missing, in lower case."""
_COMMA: Final = re.compile(r"[+-]?[0-9]+(?:,[0-9]+)+(?:\.[0-9]+)?|[+-]?[0-9]+(?:\.[0-9]{3})*,[0-9]+")
# As a shell takes it: without the outer quotes it would drop the inner ones, and null would be read.
_WITHOUT: Final = {
    RATING: "rating_column= reads the file without ratings",
    TIMESTAMP: "time_column= reads the file without times",
}


def is_number(text: str) -> bool:
    """Return whether a text is a finite number as files write them, with or without blanks around it.

    >>> is_number(" 4.5"), is_number("1e3"), is_number("1_000"), is_number("0x10"), is_number("inf")
    (True, True, False, False, False)
    """
    bare = text.strip()
    return re.fullmatch(NUMBER, bare) is not None and math.isfinite(float(bare))


def bare_texts(values: pl.Series) -> pl.Series:
    """Return texts without the blanks around them (tabs and non-breaking ones too), null where nothing is left."""
    import polars as pl

    stripped = values.str.strip_chars()
    if (stripped == "").any():
        stripped = stripped.to_frame().select(pl.when(pl.first() != "").then(pl.first())).to_series()
    return stripped.alias(values.name)


def are_numbers(values: pl.Series) -> pl.Series:
    """Return for each bare text whether it is a number; it may still be too large to be finite."""
    return values.str.contains(f"^{NUMBER}$")


def numbers_of(values: pl.Series, path: Path, line_of: Callable[[int], int], column: str = "") -> np.ndarray:
    """Return the finite numbers of a column: float32 for ratings, else int64 where all are integers, or float64.

    Args:
        values: numbers, or bare texts; without missing ones.
        path: the file, for messages.
        line_of: the line of each value.
        column: the name of the column in the file.

    Raises:
        DataError: one is not a finite number; the message names the first line, the value, and a remedy.
    """
    import polars as pl

    if values.dtype == pl.String:
        wrong = (~are_numbers(values)).arg_true().to_numpy()
        if len(wrong):
            raise rows_error(path, "not-a-number", wrong, line_of, lambda row: not_a_number(values, row, column))
        if values.name != RATING:
            integers = values.cast(pl.Int64, strict=False)
            if not integers.null_count():
                exact: np.ndarray = integers.to_numpy()
                return exact
    numbers: np.ndarray = values.cast(pl.Float32 if values.name == RATING else pl.Float64).to_numpy()
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise rows_error(path, "not-a-number", bad, line_of, lambda row: not_a_number(values, row, column))
    return numbers


def largest_exact(numbers: np.ndarray) -> float:
    """Return the number from which on floats of this type are rounded integers.

    >>> largest_exact(np.zeros(1, dtype=np.float32))
    16777216.0
    """
    return float(2.0 ** (np.finfo(numbers.dtype).nmant + 1))


def not_a_number(values: pl.Series, row: int, column: str = "") -> str:
    """Return what is wrong with a value of a column that is not a finite number, and a remedy."""
    value = values[row]
    place = f" (column {column!r})" if column else ""
    found = shown(value) if isinstance(value, str) else f"{value}"
    is_text = isinstance(value, str) and value.strip().lower().lstrip("+-") not in ("inf", "infinity", "nan")
    kind = "a number" if is_text and not re.fullmatch(NUMBER, value) else "a finite number"
    return f"expected {kind} as {values.name}{place}, found {found}{remedy_for(f'{value}', values.name, column)}"


def remedy_for(text: str, role: str, column: str) -> str:
    """Return what may be meant by a value that is not what its column should hold, and what to set or to write."""
    bare = text.strip().lower()
    if bare in MISSING_WORDS:
        return f" (a missing value?){remedy_for_missing(role, column)}"
    if _COMMA.fullmatch(bare):
        return "; write numbers with a decimal point and without separators of thousands"
    return f"; {_WITHOUT[role]}" if role in _WITHOUT else ""


def remedy_for_missing(role: str, column: str) -> str:
    """Return how to read a file in which some values of a column are missing.

    >>> remedy_for_missing("timestamp", "time")
    '; drop_missing=[time] leaves such rows out, time_column= reads the file without times'
    """
    drop = f"drop_missing=[{column}] leaves such rows out" if column else ""
    remedies = ", ".join(filter(None, (drop, _WITHOUT.get(role, ""))))
    return f"; {remedies}" if remedies else ""
