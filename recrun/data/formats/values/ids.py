"""Read a column of ids: integers where every one is written as an integer, else text; refuse doubtful ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from recrun.data.formats.table import MAX_ID_LENGTH, Ids, rows_error
from recrun.data.formats.values.numbers import MISSING_WORDS, are_numbers, largest_exact, remedy_for_missing
from recrun.data.large.pieces import concatenate, look_up
from recrun.data.orders import sorted_distinct

if TYPE_CHECKING:
    import polars as pl

_POWERS_OF_TEN = 10 ** np.arange(1, 19, dtype=np.int64)
_INVISIBLE: Final = "\\s\u200b\u200e\u200f\u2060\ufeff"
"""Blanks of all kinds, and marks that no one sees, as a class of characters."""


def ids_of(values: pl.Series, path: Path, line_of: Callable[[int], int], column: str = "") -> Ids:
    """Return a column of ids.

    Args:
        values: integers, whole floats or text, called by their role; without missing ones.
        path: the file, for messages.
        line_of: the line of each value.
        column: the column's name in the file, if it has one.

    Raises:
        DataError: an id is negative, empty, too long, a fraction, a word for a missing value, or differs from another
            one only in how it is written.
    """
    import polars as pl

    if values.dtype.is_float():
        fractions = values.to_numpy()
        rows = np.flatnonzero(np.floor(fractions) != fractions)
        if len(rows):
            message = f"the {values.name} ids are fractions; expected integers or text, found "
            raise rows_error(path, "not-an-integer", rows, line_of, lambda row: f"{message}{fractions[row]}")
        rows = np.flatnonzero(~(np.abs(fractions) < largest_exact(fractions)))
        if len(rows):
            told = f", which {values.dtype} cannot tell from its neighbours; write the ids as integers or text"
            raise rows_error(
                path, "rounded-id", rows, line_of, lambda row: f"the {values.name} is {fractions[row]:.0f}{told}"
            )
        values = values.cast(pl.Int64)
    try:
        numbers = values.cast(pl.Int64)
    except pl.exceptions.PolarsError:
        text = values.cast(pl.String)
        bare = text.str.strip_chars()
        # Blanks around a column of numbers mean nothing; in text they are kept.
        if bool((bare.str.len_bytes() != text.str.len_bytes()).any()) and _are_integers(bare):
            return ids_of(bare, path, line_of, column)
        return _text_ids(text, path, line_of, column)
    if values.dtype.is_integer():
        return _integer_ids(numbers, path, line_of)
    values = values.cast(pl.String)
    ids = _integer_ids(numbers, path, line_of)
    # Ids written with leading zeros are longer than their numbers: these are texts, "007" is not 7.
    written = int(values.str.len_bytes().sum() or 0)
    n_digits = np.searchsorted(_POWERS_OF_TEN, ids.names, side="right") + 1
    if written == int((n_digits * np.bincount(ids.codes, minlength=len(ids.names))).sum()):
        return ids
    return _text_ids(values, path, line_of, column)


def alike(names: pl.Series) -> dict[int, tuple[int, str]]:
    """Return the names that differ from another one only in how they are written.

    Args:
        names: distinct ids, text.

    Returns:
        For the position of each such name: that of the other one, and what the difference is.
    """
    for plain, difference in _plain_forms(names):
        again = plain.is_duplicated()
        if again.any():
            first: dict[str, int] = {}
            places = again.arg_true().to_list()
            # Where one of several is written plainly, the others are at fault; else all but the first.
            for place in sorted(places, key=lambda place: names[place] != plain[place]):
                first.setdefault(plain[place], place)
            return {place: (first[plain[place]], difference) for place in places if first[plain[place]] != place}
    return {}


def _plain_forms(names: pl.Series) -> Iterator[tuple[pl.Series, str]]:
    """Yield ids written more and more plainly, and what tells an id from the plain one."""
    is_special = bool((names.str.len_bytes() != names.str.len_chars()).any())
    edges = f"^[{_INVISIBLE}]+|[{_INVISIBLE}]+$"
    plain = names.str.replace_all(edges, "") if is_special else names.str.strip_chars()
    yield plain, "the blanks around it"
    if plain.str.starts_with('"').any():
        plain = plain.str.replace(r'^"(.*)"$', "${1}")
        yield plain, "the quotes around it"
    if is_special:
        plain = plain.str.normalize("NFC")
        yield plain, "how Unicode composes its letters (NFC or NFD)"
    if plain.str.contains(r"^[0-9]+\.0*$").any():
        plain = plain.str.replace(r"^([0-9]+)\.0*$", "${1}")
        yield plain, "a point and zeros, which programs write behind integers where values were missing"
    if plain.str.starts_with("0").any() and are_numbers(plain).all():
        plain = plain.str.replace(r"^0+([0-9])", "${1}")
        yield plain, "leading zeros"


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


def _text_ids(values: pl.Series, path: Path, line_of: Callable[[int], int], column: str) -> Ids:
    import polars as pl

    # Only equality of these codes counts: how they are given out depends on the version of polars and its caches.
    codes = values.cast(pl.Categorical).to_physical().to_numpy()
    first_row = np.full(int(codes.max()) + 1, -1, dtype=np.int64)
    first_row[codes[::-1]] = np.arange(len(codes) - 1, -1, -1, dtype=np.int64)
    present = np.flatnonzero(first_row >= 0)
    names = values.gather(first_row[present])
    lengths = names.str.len_chars().to_numpy()
    is_blank = (names.str.strip_chars().str.len_bytes() == 0).to_numpy() & (lengths > 0)
    wrong = (lengths > MAX_ID_LENGTH) | (lengths == 0)
    if bool(is_blank.any()):
        rows = np.flatnonzero(np.isin(codes, present[is_blank]))
        told = f"the {values.name} is missing{remedy_for_missing(values.name, column)}"
        raise rows_error(path, "missing-value", rows, line_of, lambda row: told)
    if bool(wrong.any()):
        rows = np.flatnonzero(np.isin(codes, present[wrong]))
        expected = f"expected a {values.name} id of 1 to {MAX_ID_LENGTH} characters, found "
        raise rows_error(path, "long-id", rows, line_of, lambda row: expected + _length(values[row]))
    kind, reasons = _doubtful_ids(names, lambda place: line_of(int(first_row[present[place]])), column)
    if reasons:
        rows = np.flatnonzero(np.isin(codes, present[list(reasons)]))
        reason_of = {int(present[place]): reason for place, reason in reasons.items()}
        raise rows_error(
            path, kind, rows, line_of, lambda row: f"the {values.name} is {values[row]!r}{reason_of[int(codes[row])]}"
        )
    order = names.arg_sort().to_numpy()
    table = np.zeros(len(first_row), dtype=np.int32)
    table[present[order]] = np.arange(len(present), dtype=np.int32)
    return Ids(table[codes], names.gather(order).to_numpy().astype(np.str_))


def _length(text: str) -> str:
    return f"one of {len(text)} characters" if text else "an empty one"


def _doubtful_ids(names: pl.Series, line_of: Callable[[int], int], column: str) -> tuple[str, dict[int, str]]:
    """Return (kind, what they are by position) of text ids that surely are not meant as ones.

    These are ids with characters of a damaged file, words for a missing value where all other ids are numbers, large
    numbers whose digits are lost, and ids that differ from another one only in how they are written.

    Args:
        names: distinct ids, text.
        line_of: a line of each.
        column: the name of their column in the file, if it has one.
    """
    damaged = names.str.contains("[\0\r]")
    if damaged.any():
        told = ", which holds a byte 0 or a carriage return (a damaged file?)"
        return "encoding", dict.fromkeys(damaged.arg_true().to_list(), told)
    missing = names.str.to_lowercase().is_in(list(MISSING_WORDS))
    rounded = names.str.contains(r"^[0-9]\.[0-9]+[eE]\+?[0-9]+$")
    if (missing.any() or rounded.any()) and not missing.all() and are_numbers(names.filter(~missing)).all():
        if missing.any():
            told = f" where all other ids are numbers (a missing value?){remedy_for_missing(names.name, column)}"
            return "missing-id", dict.fromkeys(missing.arg_true().to_list(), told)
        told = ", a rounded number, as spreadsheets write large ids; write all digits"
        return "rounded-id", dict.fromkeys(rounded.arg_true().to_list(), told)
    reasons = {
        place: f", which differs from {names[other]!r} (line {line_of(other)}) only by {difference}; write both alike"
        for place, (other, difference) in alike(names).items()
    }
    return "like-ids", reasons


def union_ids(columns: Sequence[Ids]) -> Ids:
    """Return several columns of ids, one after the other, under one numbering."""
    if len(columns) == 1:
        return columns[0]
    if not all(ids.are_integers for ids in columns):
        columns = [_as_text(ids) for ids in columns]
    names = sorted_distinct(np.concatenate([ids.names for ids in columns]))
    codes = [look_up(np.searchsorted(names, ids.names).astype(np.int32), ids.codes) for ids in columns]
    return Ids(concatenate(codes), names)


def checked_together(role: str, ids: Ids, path: Path, line_of: Callable[[int], int]) -> Ids:
    """Return ids that were read in pieces, if text ids go together as those of one piece have to.

    Args:
        role: "user" or "item".
        ids: of all pieces.
        path: the file, for messages.
        line_of: the line of each row.

    Raises:
        DataError: as for `ids_of`.
    """
    if ids.are_integers:
        return ids
    import polars as pl

    first_row = np.zeros(len(ids.names), dtype=np.int64)
    first_row[ids.codes[::-1]] = np.arange(len(ids.codes) - 1, -1, -1)
    distinct = ids_of(pl.Series(role, ids.names), path, lambda code: line_of(int(first_row[code])))
    return Ids(look_up(distinct.codes, ids.codes), distinct.names)


def _as_text(ids: Ids) -> Ids:
    return Ids(ids.codes, ids.names.astype(np.str_)) if ids.are_integers else ids
