"""Turn a polars frame with the columns "user", "item", "rating" and "timestamp" into a checked table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recrun.data.formats.column_names import REQUIRED_ROLES
from recrun.data.formats.table import MAX_ID_LENGTH, Ids, Table, data_error, rows_error
from recrun.data.formats.times import check_times
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER
from recrun.errors import DataError

if TYPE_CHECKING:
    import polars as pl

Explain = Callable[[], DataError | None]
"""Looks for the row that is at fault, slowly; None when every row is well formed."""

MISSING_WORDS = frozenset({"nan", "null", "none", "nil", "na", "n/a", "<na>", "#n/a", "undefined", "\\n", "-", "?"})
"""What programs write where a value is missing, in lower case."""
_POWERS_OF_TEN = 10 ** np.arange(1, 19, dtype=np.int64)
_LARGEST_EXACT = 2.0**53


def frame_to_table(
    frame: pl.DataFrame,
    path: Path,
    first_line: int,
    explain: Explain,
    notes: tuple[str, ...] = (),
    kept: np.ndarray | None = None,
) -> Table:
    """Return the table of a frame; rows in which every column is null (blank lines) are left out.

    Args:
        frame: columns "user" and "item" (text or integers), "rating" and "timestamp" (numbers, text or times) if any.
        path: the file, for messages.
        first_line: the line (or row number) of the frame's first row.
        explain: called when a value is missing or is not what it should be.
        notes: what is known about the file already.
        kept: which rows of the file are in the frame, ascending; None for all.

    Raises:
        DataError: no rows; a missing value; a negative id; a rating or time that is not a finite number; times that
            would be sorted wrongly.
    """
    import polars as pl

    try:
        return _to_table(frame, path, first_line, explain, notes, kept)
    except pl.exceptions.PolarsError as error:
        types = ", ".join(f"{name}: {kind}" for name, kind in frame.schema.items())
        reason = str(error).splitlines()[0]
        raise explain() or data_error(path, None, f"holds values that cannot be used ({types}; {reason})") from error


def wrong_types(frame: pl.DataFrame) -> str:
    """Return which columns hold something that their role cannot be made of, and what; "" when none does."""
    import polars as pl

    found = []
    for role, kind in frame.schema.items():
        is_number = kind.is_numeric() and not (isinstance(kind, pl.Decimal) and kind.scale and role in REQUIRED_ROLES)
        is_text = kind == pl.String or isinstance(kind, (pl.Categorical, pl.Enum))
        is_other = kind in {RATING: (pl.Boolean,), TIMESTAMP: (pl.Date, pl.Datetime)}.get(role, ())
        if not (is_number or is_text or is_other):
            found.append(f"the {role} cannot be made of {kind}")
    return "; ".join(found)


def _to_table(
    frame: pl.DataFrame, path: Path, first_line: int, explain: Explain, notes: tuple[str, ...], kept: np.ndarray | None
) -> Table:
    n_rows = frame.height
    frame, rows = _without_blank_rows(frame)
    skipped = {}
    if rows is not None:
        notes = (*notes, f"{path.name}: blank lines are skipped")
        blank = np.setdiff1d(np.arange(n_rows), rows, assume_unique=True)
        skipped["blank-lines"] = first_line + (blank if kept is None else kept[blank])
    if not frame.height:
        raise data_error(path, None, "holds no interactions", kind="empty")

    def line_of(row: int) -> int:
        row = row if rows is None else int(rows[row])
        return first_line + (row if kept is None else int(kept[row]))

    _refuse_missing(frame, path, line_of, explain)
    strange = wrong_types(frame)
    if strange:
        raise data_error(path, None, strange, "column")
    users, items = (ids_of(frame[role], path, line_of) for role in REQUIRED_ROLES)
    columns, are_dates = {}, False
    if RATING in frame.columns:
        columns[RATING] = _numbers(frame[RATING], path, line_of, explain).astype(np.float32, copy=False)
    if TIMESTAMP in frame.columns:
        times, are_dates = times_of(frame[TIMESTAMP], path, line_of, explain)
        columns[TIMESTAMP] = times
        notes = (*notes, *check_times(times, path, line_of, are_dates=are_dates))
    return Table(
        path,
        users,
        items,
        columns,
        line_of,
        time_is_date=are_dates,
        notes=notes,
        skipped=skipped,
        is_selected=kept is not None,
    )


def _refuse_missing(frame: pl.DataFrame, path: Path, line_of: Callable[[int], int], explain: Explain) -> None:
    import polars as pl

    if not any(frame[name].null_count() for name in frame.columns):
        return

    def message_of(row: int) -> str:
        return f"the {next(name for name in frame.columns if frame[name][row] is None)} is missing"

    rows = np.flatnonzero(frame.select(pl.any_horizontal(pl.all().is_null())).to_series().to_numpy())
    raise explain() or rows_error(path, "missing-value", rows, line_of, message_of)


def _without_blank_rows(frame: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray | None]:
    """Return the frame without rows that hold nothing, and the positions of the others when some were dropped."""
    import polars as pl

    if not frame[USER].null_count() or not frame[ITEM].null_count():
        return frame, None
    filled = frame.select(~pl.all_horizontal(pl.all().is_null())).to_series()
    if filled.all():
        return frame, None
    return frame.filter(filled), np.flatnonzero(filled.to_numpy())


def ids_of(values: pl.Series, path: Path, line_of: Callable[[int], int]) -> Ids:
    import polars as pl

    if values.dtype.is_float():
        fractions = values.to_numpy()
        if not bool(((np.abs(fractions) < _LARGEST_EXACT) & (np.floor(fractions) == fractions)).all()):
            raise data_error(path, None, f"the {values.name} ids are fractions; expected integers or text")
        values = values.cast(pl.Int64)
    try:
        numbers = values.cast(pl.Int64)
    except pl.exceptions.PolarsError:
        text = values.cast(pl.String)
        bare = text.str.strip_chars()
        # Blanks around a column of numbers mean nothing; in text they are kept.
        if bool((bare.str.len_bytes() != text.str.len_bytes()).any()) and _are_integers(bare):
            return ids_of(bare, path, line_of)
        return _text_ids(text, path, line_of)
    if values.dtype.is_integer():
        return _integer_ids(numbers, path, line_of)
    values = values.cast(pl.String)
    ids = _integer_ids(numbers, path, line_of)
    # Ids written with leading zeros are longer than their numbers: these are texts, "007" is not 7.
    written = int(values.str.len_bytes().sum() or 0)
    n_digits = np.searchsorted(_POWERS_OF_TEN, ids.names, side="right") + 1
    if written == int((n_digits * np.bincount(ids.codes, minlength=len(ids.names))).sum()):
        return ids
    return _text_ids(values, path, line_of)


def _are_integers(text: pl.Series) -> bool:
    import polars as pl

    return not text.cast(pl.Int64, strict=False).null_count()


def _integer_ids(values: pl.Series, path: Path, line_of: Callable[[int], int]) -> Ids:
    numbers = values.to_numpy()
    if int(numbers.min()) < 0:
        rows = np.flatnonzero(numbers < 0)
        message = f"expected a {values.name} >= 0, found "
        raise rows_error(path, "negative-id", rows, line_of, lambda row: f"{message}{numbers[row]}")
    return Ids.of_integers(numbers)


def _text_ids(values: pl.Series, path: Path, line_of: Callable[[int], int]) -> Ids:
    import polars as pl

    codes = values.cast(pl.Categorical).to_physical().to_numpy()
    first_row = np.full(int(codes.max()) + 1, -1, dtype=np.int64)
    first_row[codes[::-1]] = np.arange(len(codes) - 1, -1, -1, dtype=np.int64)
    present = np.flatnonzero(first_row >= 0)
    names = values.gather(first_row[present])
    lengths = names.str.len_chars().to_numpy()
    wrong = (lengths > MAX_ID_LENGTH) | (lengths == 0)
    if bool(wrong.any()):
        rows = np.flatnonzero(np.isin(codes, present[wrong]))
        expected = f"expected a {values.name} id of 1 to {MAX_ID_LENGTH} characters, found "
        raise rows_error(path, "long-id", rows, line_of, lambda row: expected + _length(values[row]))
    doubtful = next(_doubtful_ids(names), None)
    if doubtful is not None:
        kind, places, why = doubtful
        rows = np.flatnonzero(np.isin(codes, present[places]))
        raise rows_error(path, kind, rows, line_of, lambda row: f"the {values.name} is {values[row]!r}{why}")
    order = names.arg_sort().to_numpy()
    table = np.zeros(len(first_row), dtype=np.int32)
    table[present[order]] = np.arange(len(present), dtype=np.int32)
    return Ids(table[codes], names.gather(order).to_numpy().astype(np.str_))


def _length(text: str) -> str:
    return f"one of {len(text)} characters" if text else "an empty one"


def _doubtful_ids(names: pl.Series) -> Iterator[tuple[str, np.ndarray, str]]:
    """Yield (kind, positions, what they are) of text ids that surely are not meant as ones.

    These are words for a missing value where all other ids are numbers, and ids that differ from another one only by
    the blanks around them.

    Args:
        names: distinct ids, text.
    """
    import polars as pl

    missing = names.str.to_lowercase().is_in(list(MISSING_WORDS))
    others = names.filter(~missing)
    if missing.any() and len(others) and not others.cast(pl.Float64, strict=False).null_count():
        yield "missing-id", missing.arg_true().to_numpy(), " where all other ids are numbers (a missing value?)"
    bare = names.str.strip_chars()
    again = bare.is_duplicated()
    if again.any():
        padded = again & (bare != names)
        yield "like-ids", padded.arg_true().to_numpy(), ", which differs from another id only by the blanks around it"


def _numbers(values: pl.Series, path: Path, line_of: Callable[[int], int], explain: Explain) -> np.ndarray:
    import polars as pl

    try:
        numbers: np.ndarray = values.cast(pl.Float32 if values.name == RATING else pl.Float64).to_numpy()
    except pl.exceptions.PolarsError:
        raise explain() or data_error(path, None, f"the {values.name} holds text where numbers belong") from None
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        message = f"expected a finite number as {values.name}, found "
        raise rows_error(path, "not-a-number", bad, line_of, lambda row: f"{message}{numbers[row]}")
    return numbers


def times_of(values: pl.Series, path: Path, line_of: Callable[[int], int], explain: Explain) -> tuple[np.ndarray, bool]:
    """Return timestamps as int64 where all are whole numbers, else float64, and whether they were dates.

    Dates become seconds since 1970 (UTC).
    """
    import polars as pl

    if values.dtype == pl.String:
        parsed = _parse_dates(values)
        if parsed is None:
            raise explain() or _bad_times(values, path, line_of)
        values = parsed
    if values.dtype.is_temporal():
        microseconds: np.ndarray = values.cast(pl.Datetime("us")).to_physical().to_numpy()
        seconds: np.ndarray = microseconds / 1e6 if (microseconds % 1_000_000).any() else microseconds // 1_000_000
        return seconds, True
    if values.dtype.is_integer():
        integers: np.ndarray = values.cast(pl.Int64).to_numpy()
        return integers, False
    numbers = _numbers(values, path, line_of, explain)
    whole = bool(((numbers == np.floor(numbers)) & (np.abs(numbers) < _LARGEST_EXACT)).all())
    return numbers.astype(np.int64) if whole else numbers, False


def _bad_times(values: pl.Series, path: Path, line_of: Callable[[int], int]) -> DataError:
    """Return the error that names the rows that are not what most are, numbers or dates."""
    import polars as pl

    best, expected = values.cast(pl.Float64, strict=False), "a number"
    for parse in (values.str.to_datetime, values.str.to_date):
        try:
            parsed = parse(strict=False)
        except pl.exceptions.PolarsError:  # no format fits the first value
            continue
        if parsed.null_count() <= best.null_count():
            best, expected = parsed, "a date"
    if best.null_count() == len(values):
        expected = "a number or a date"
    rows = best.is_null().arg_true().to_numpy()
    message = f"expected {expected} as {values.name}, found "
    return rows_error(path, "not-a-number", rows, line_of, lambda row: f"{message}{values[row]!r}")


def _parse_dates(values: pl.Series) -> pl.Series | None:
    import polars as pl

    for parse in (
        lambda: values.cast(pl.Float64),
        lambda: values.str.to_datetime(time_unit="us"),
        lambda: values.str.to_date(),
    ):
        try:
            return parse()
        except pl.exceptions.PolarsError:
            continue
    return None
