"""Read a column of times: numbers, dates in one known form, or dates in the form that a user names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from recrun.data.formats.table import data_error, rows_error, shown
from recrun.data.formats.values.dates import DateForm, candidates, parse_format, written_out
from recrun.data.formats.values.numbers import (
    are_numbers,
    bare_texts,
    is_number,
    largest_exact,
    not_a_number,
    numbers_of,
    remedy_for,
    remedy_for_missing,
)
from recrun.data.formats.values.times import check_times
from recrun.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_LARGEST_EXACT: Final = 2.0**53
_SAMPLE: Final = 1000
_PER_SECOND: Final = {"ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True, eq=False)
class Times:
    """A column of times.

    Args:
        values: int64 where all are whole numbers, else float64 (N,); of dates, the seconds since 1970 in UTC.
        are_dates: they were written as dates.
        have_zone: each date says how far its clock is ahead of UTC.
        notes: what a user should know.
    """

    values: np.ndarray
    are_dates: bool = False
    have_zone: bool = False
    notes: tuple[str, ...] = ()


def read_times(
    values: pl.Series, path: Path, line_of: Callable[[int], int], *, time_format: str | None = None, column: str = ""
) -> Times:
    """Return the times of a column, checked.

    Args:
        values: numbers, dates or text, called by their role.
        path: the file, for messages.
        line_of: the line of each value.
        time_format: the strftime format of the dates; None finds out.
        column: the name of the column in the file.

    Raises:
        DataError: a value is missing, is not what most values of the column are, or cannot be a time; all dates can be
            read in two ways; time_format does not fit.
    """
    import polars as pl

    if values.dtype == pl.String:
        values = bare_texts(values)
        if values.null_count():
            message = f"the {values.name} is missing{remedy_for_missing(values.name, column)}"
            rows = values.is_null().arg_true().to_numpy()
            raise rows_error(path, "missing-value", rows, line_of, lambda row: message)
    times = _read(values, path, line_of, time_format, column)
    notes = check_times(times.values, path, line_of, are_dates=times.are_dates)
    return replace(times, notes=(*times.notes, *notes))


def refuse_format(time_format: str | None, path: Path) -> None:
    """Refuse a time_format where no column of times is read.

    Raises:
        DataError: there is one.
    """
    if time_format is not None:
        told = f"time_format {time_format!r} has no effect: no column of times is read"
        raise data_error(path, None, f"{told}; name it with time_column, or leave time_format out")


def _read(values: pl.Series, path: Path, line_of: Callable[[int], int], time_format: str | None, column: str) -> Times:
    import polars as pl

    if values.dtype.is_temporal():
        if time_format is not None:
            told = f"time_format {time_format!r} has no effect: the {values.name} holds dates already ({values.dtype})"
            raise data_error(path, None, f"{told}; leave it out")
        return _of_datetimes(values, path)
    if time_format is not None:
        return _in_form(parse_format(time_format), values.cast(pl.String), path, line_of, column)
    if values.dtype == pl.String and not are_numbers(values).all():
        return _of_dates(values, path, line_of, column)
    if values.dtype.is_integer():
        integers: np.ndarray = values.cast(pl.Int64).to_numpy()
        return Times(integers)
    numbers = numbers_of(values, path, line_of, column)
    whole = bool(((numbers == np.floor(numbers)) & (np.abs(numbers) < _LARGEST_EXACT)).all())
    return Times(numbers.astype(np.int64, copy=False) if whole else numbers, notes=_on_rounding(values, path))


def _on_rounding(values: pl.Series, path: Path) -> tuple[str, ...]:
    """Return a note where times are floats of so few bits that several of them are one."""
    if not values.dtype.is_float():
        return ()
    largest = np.abs(values.to_numpy()).max()
    if largest < largest_exact(largest):
        return ()
    steps = f"times are {values.dtype}, in steps of {np.spacing(largest):.0f}"
    return (f"{path.name}: {steps}; equal ones are in the order of the file",)


def _of_datetimes(values: pl.Series, path: Path) -> Times:
    import polars as pl

    counts: np.ndarray = values.to_physical().cast(pl.Int64).to_numpy()
    if values.dtype == pl.Date:
        return Times(counts * 86_400, are_dates=True)
    assert isinstance(values.dtype, pl.Datetime)
    scale = _PER_SECOND[values.dtype.time_unit]
    seconds, notes = _with_fractions(counts // scale, counts % scale * (10**9 // scale), path)
    return Times(seconds, True, values.dtype.time_zone is not None, notes)


def _with_fractions(seconds: np.ndarray, nanoseconds: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return whole seconds as they are, and others to the microsecond, which float64 holds; and notes."""
    if not nanoseconds.any():
        return seconds, ()
    micro = nanoseconds // 1000
    notes = (f"{path.name}: times are read to the microsecond",) if (nanoseconds % 1000).any() else ()
    return (seconds * 1_000_000 + micro) / 1e6 if micro.any() else seconds, notes


def _of_dates(values: pl.Series, path: Path, line_of: Callable[[int], int], column: str) -> Times:
    possible = [(form, *form.read(values)) for form in candidates(values[0])]
    fitting = [each for each in possible if each[3].all()]
    if not fitting:
        raise _unlike_most(values, path, line_of, column)
    form, seconds, nanoseconds, _ = fitting[0]
    for other, other_seconds, *_ in fitting[1:]:
        differ = np.flatnonzero(seconds != other_seconds)
        if len(differ):
            raise _two_readings(values, int(differ[0]), [(form, seconds), (other, other_seconds)], path, line_of)
    seconds, notes = _with_fractions(seconds, nanoseconds, path)
    if len(possible) > len(fitting):
        told = "dates are read as {}, the only order of day and month that all of them allow"
        notes = (*notes, f"{path.name}: {told.format(form.format)}")
    return Times(seconds, True, form.has_zone, notes)


def _in_form(form: DateForm, values: pl.Series, path: Path, line_of: Callable[[int], int], column: str) -> Times:
    seconds, nanoseconds, fits = form.read(values)
    rows = np.flatnonzero(~fits)
    if len(rows):
        hint = ""
        if len(rows) == len(values):
            if are_numbers(values).all():
                hint = "; the column holds numbers: leave time_format out"
            elif known := [each.format for each in candidates(values[0]) if each.read(values)[2].all()]:
                hint = f"; all values have the form {' and the form '.join(known)}"
        expected = f"expected a date in the form {form.format} (time_format) as {values.name}"
        message = f"{expected}{_place(column)}, found "
        raise rows_error(
            path,
            "not-a-date",
            rows,
            line_of,
            lambda row: message + shown(values[row]) + (hint or remedy_for(values[row], values.name, column)),
        )
    seconds, notes = _with_fractions(seconds, nanoseconds, path)
    return Times(seconds, True, form.has_zone, notes)


def _two_readings(
    values: pl.Series,
    row: int,
    readings: list[tuple[DateForm, np.ndarray]],
    path: Path,
    line_of: Callable[[int], int],
) -> DataError:
    told = " or ".join(f"{written_out(int(seconds[row]))} ({form.format})" for form, seconds in readings)
    remedy = " or ".join(f'time_format="{form.format}"' for form, _ in readings)
    message = (
        f"the {values.name} {shown(values[row])} can be {told}, and all values of the column can be read either way"
    )
    return data_error(path, line_of(row), f"{message}; set {remedy}", kind="date-order")


def _unlike_most(values: pl.Series, path: Path, line_of: Callable[[int], int], column: str) -> DataError:
    """Return the error that names the rows that are not what most are: numbers, or dates of one form."""
    is_numeric = are_numbers(values)
    forms: dict[str, DateForm | None] = {}
    for value in [values[0], *values.gather_every(max(1, len(values) // _SAMPLE)).unique(maintain_order=True)]:
        if is_number(value):
            forms.setdefault("", None)
        forms |= {form.format: form for form in candidates(value) if form.format not in forms}
    fits = {name: is_numeric.to_numpy() if form is None else form.read(values)[2] for name, form in forms.items()}
    best = max(fits, key=lambda name: int(fits[name].sum()), default=None)
    if best is None or not fits[best].any():
        message = f"expected a number or a date as {values.name}{_place(column)}, found "
        remedy = "; time_format says how dates are written (a strftime format)"
        return rows_error(
            path,
            "not-a-date",
            np.arange(len(values)),
            line_of,
            lambda row: message + shown(values[row]) + remedy + remedy_for(values[row], values.name, column),
        )
    rows = np.flatnonzero(~fits[best])
    if not best:
        return rows_error(path, "not-a-number", rows, line_of, lambda row: not_a_number(values, row, column))
    message = f"expected a date in the form {best}, as most have, as {values.name}{_place(column)}, found "
    return rows_error(
        path,
        "not-a-date",
        rows,
        line_of,
        lambda row: message + shown(values[row]) + remedy_for(values[row], values.name, column),
    )


def _place(column: str) -> str:
    return f" (column {column!r})" if column else ""
