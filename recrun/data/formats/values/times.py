"""Check that a column of times is consistent: one unit since 1970, nothing negative, nothing after 2100.

Only the order of times ever decides anything, so a column in milliseconds is as good as one in seconds, and so is a
column of years or counters. What would tear that order is refused: two units in one column, times that stand for
"missing", dates that cannot be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from recrun.data.formats.table import rows_error

UNITS: Final = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
"""How many of each unit make a second."""

_EARLIEST: Final = 100_000_000
"""March 1973, in seconds; the times of two units never look alike from there to 2100."""
_LATEST: Final = 4_102_444_800
"""The first second of 2100."""
_EARLIEST_DATE: Final = -2_208_988_800
"""The first second of 1900; what is written as a date may lie before 1970."""


@dataclass(frozen=True, eq=False)
class Suspicion:
    """Times of one column that cannot be what they should be, or may surprise.

    Args:
        kind: "time-units", "time-absurd", "time-negative", "time-early", "time-unit" or "time-order".
        is_refused: whether the column cannot be used.
        rows: positions of the times concerned, ascending; none when it is about the column as a whole.
        message: what is wrong with the first of them.
    """

    kind: str
    is_refused: bool
    rows: np.ndarray
    message: str


def find_unit(times: np.ndarray) -> str | None:
    """Return the unit most times are in, counted from 1970; None when most of them are no such times.

    >>> find_unit(np.array([978300760, 978302109])), find_unit(np.array([1, 2, 3]))
    ('seconds', None)
    """
    counts = {unit: int(_in_unit(times, unit).sum()) for unit in UNITS}
    unit = max(counts, key=lambda name: counts[name])
    return unit if counts[unit] and 2 * sum(counts.values()) >= len(times) else None


def calendar_kind(times: np.ndarray) -> str | None:
    """Return which digits of the calendar numbers are, all of them, such as years; None when they are no such numbers.

    >>> calendar_kind(np.array([2010, 2011])), calendar_kind(np.array([20140101])), calendar_kind(np.array([7]))
    ('years', 'days written YYYYMMDD', None)
    """
    if times.dtype.kind != "i" or not len(times):
        return None
    low, high = _bounds(times)
    if low >= 1900 and high <= 2100:
        return "years"
    if low >= 190_001 and high <= 210_012 and _within(times % 100, 12):
        return "months written YYYYMM"
    if low >= 19_000_101 and high <= 21_001_231 and _within(times % 100, 31) and _within(times // 100 % 100, 12):
        return "days written YYYYMMDD"
    return None


def suspicions(times: np.ndarray, *, are_dates: bool = False) -> list[Suspicion]:
    """Return what is strange about the times of a column.

    Args:
        times: finite numbers, shape (N,).
        are_dates: they were written as dates and turned into seconds, so that they may lie before 1970.
    """
    if not len(times):
        return []
    unit = "seconds" if are_dates else find_unit(times)
    if unit is None:
        return list(_of_no_unit(times))
    scale = UNITS[unit]
    low, high = _bounds(times)
    if _EARLIEST * scale <= low and high < _LATEST * scale:
        return [] if unit == "seconds" else [_whole(unit, times)]
    return list(_of_dates(times) if are_dates else _of_unit(times, unit))


def check_times(times: np.ndarray, path: Path, line_of: Callable[[int], int], *, are_dates: bool) -> list[str]:
    """Return notes on the times of a file.

    Args:
        times: finite numbers, shape (N,).
        path: the file, for messages.
        line_of: the line of each of them.
        are_dates: as for `suspicions`.

    Raises:
        DataError: they would be sorted wrongly; the message names the first line at fault.
    """
    found = suspicions(times, are_dates=are_dates)
    refused = [suspicion for suspicion in found if suspicion.is_refused]
    if refused:
        first = min(refused, key=lambda suspicion: int(suspicion.rows[0]))
        told = first.message.partition(", found")[0]

        def message_of(row: int) -> str:
            found = first.message if row == first.rows[0] else f"{told}, found {times[row]:.15g}"
            return f"{found} (time_column= reads the file without times)"

        raise rows_error(path, first.kind, first.rows, line_of, message_of)
    return [f"{path.name}: {suspicion.message}" for suspicion in found if len(suspicion.rows)]


def date_text(time: float, unit: str | None) -> str:
    """Return a time as a date where it is one.

    >>> date_text(978300760, "seconds"), date_text(17, None)
    ('2000-12-31 22:12:40', '17')
    """
    if unit is None:
        return f"{time:g}" if isinstance(time, float) else str(time)
    seconds = int(time // UNITS[unit])
    return str(np.datetime64(seconds, "s")).replace("T", " ") if abs(seconds) < 10**12 else str(time)


def _in_unit(times: np.ndarray, unit: str) -> np.ndarray:
    found: np.ndarray = (times >= _EARLIEST * UNITS[unit]) & (times < _LATEST * UNITS[unit])
    return found


def _bounds(times: np.ndarray) -> tuple[float, float]:
    return times.min().item(), times.max().item()


def _within(numbers: np.ndarray, most: int) -> bool:
    return bool(((numbers >= 1) & (numbers <= most)).all())


def _whole(unit: str, times: np.ndarray) -> Suspicion:
    low, high = (date_text(bound, unit) for bound in _bounds(times))
    return _note("time-unit", f"times are {unit} since 1970, from {low} to {high}; only their order counts")


def _note(kind: str, message: str, rows: np.ndarray | None = None) -> Suspicion:
    return Suspicion(kind, False, np.zeros(0, dtype=np.int64) if rows is None else rows, message)


def _of_no_unit(times: np.ndarray) -> Iterator[Suspicion]:
    low, high = _bounds(times)
    yield _note("time-order", f"times from {low} to {high} are no times since 1970; only their order counts")
    negative = np.flatnonzero(times < 0)
    if len(negative):
        yield _note(
            "time-early", f"{len(negative)} times are negative, such as {times[negative[0]]}; they sort first", negative
        )


def _of_unit(times: np.ndarray, unit: str) -> Iterator[Suspicion]:
    scale = UNITS[unit]
    others = {name: np.flatnonzero(_in_unit(times, name)) for name in UNITS if name != unit}
    for other, rows in others.items():
        if len(rows):
            told = f"expected {unit} since 1970 as most times of the column, found {times[rows[0]]}"
            yield Suspicion("time-units", True, rows, f"{told}, which looks like {other}")
    is_other = np.zeros(len(times), dtype=bool)
    is_other[np.concatenate([*others.values()])] = True
    absurd = np.flatnonzero((times >= _LATEST * scale) & ~is_other)
    if len(absurd):
        yield Suspicion("time-absurd", True, absurd, f"expected a time before 2100, found {times[absurd[0]]}")
    negative = np.flatnonzero(times < 0)
    if len(negative):
        message = f"expected a time >= 0, found {times[negative[0]]}; is it a missing one?"
        yield Suspicion("time-negative", True, negative, message)
    rows = np.flatnonzero((times >= 0) & (times < _EARLIEST * scale) & ~is_other)
    if len(rows):
        n_early = f"{len(rows)} times lie before March 1973, such as {times[rows[0]]}"
        yield _note("time-early", f"{n_early} (a missing one?); they sort first", rows)
    if unit != "seconds":
        yield _whole(unit, times)


def _of_dates(seconds: np.ndarray) -> Iterator[Suspicion]:
    absurd = np.flatnonzero((seconds >= _LATEST) | (seconds < _EARLIEST_DATE))
    if len(absurd):
        found = date_text(seconds[absurd[0]].item(), "seconds")
        yield Suspicion("time-absurd", True, absurd, f"expected a date from 1900 to 2099, found {found}")
    early = np.flatnonzero((seconds < 0) & (seconds >= _EARLIEST_DATE))
    if len(early):
        found = date_text(seconds[early[0]].item(), "seconds")
        yield _note("time-early", f"{len(early)} dates lie before 1970, such as {found}", early)
