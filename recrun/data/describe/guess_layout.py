"""Guess the layout of a text from its first lines: separator, header row, what each column holds.

They are only ever shown to a user, with the settings that would say the same; training guesses far less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from recrun.data.formats.columns.names import recognised
from recrun.data.formats.columns.sample_lines import SEPARATORS, split_line
from recrun.data.formats.delimited import looks_like_header
from recrun.data.formats.values.dates import is_date
from recrun.data.formats.values.numbers import is_number
from recrun.data.formats.values.times import find_unit
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER

ROLES: Final = (USER, ITEM, RATING, TIMESTAMP)
CANDIDATES: Final = (*SEPARATORS, "||", "\x01", "^", "~", "#")
_MOST: Final = 0.9
_LEAST: Final = 0.5
"""The share of lines that must have equally many columns for anything to be called a separator."""

STEMS: Final = {
    USER: (
        "user",
        "customer",
        "member",
        "account",
        "visitor",
        "reviewer",
        "buyer",
        "client",
        "person",
        "session",
        "uid",
    ),
    ITEM: (
        *("item", "product", "movie", "film", "book", "song", "track", "artist", "album", "article", "sku", "isbn"),
        *("business", "place", "poi", "venue", "location", "game", "recipe", "goods", "video", "news", "iid"),
    ),
    RATING: ("rating", "rate", "stars", "score", "grade", "weight", "count", "play", "click", "value"),
    TIMESTAMP: ("timestamp", "time", "date", "_at", "when", "created", "ts", "day"),
}
"""Parts of names that hint at what a column holds, the most telling first."""


def find_separator(lines: Sequence[str]) -> str | None:
    """Return what stands between the columns: what cuts most lines into equally many; None when nothing does.

    Args:
        lines: some lines, none of them blank.

    >>> find_separator(["user;title", "1;Alien, the film", "2;Brazil"]), find_separator(["one", "two"])
    (';', None)
    """
    best, best_score = None, (_LEAST, len(CANDIDATES), False, 0)
    for separator in CANDIDATES:
        if len(separator) > 1 and any(line.count(separator[0]) != 2 * line.count(separator) for line in lines):
            continue  # Two of a separator side by side are an empty column.
        counts = Counter(len(split_line(line, separator, '"' in line)) for line in lines)
        n_columns, n_lines = max(counts.items(), key=lambda item: (item[0] > 1, item[1]))
        score = (round(n_lines / len(lines), 1), len(separator), separator != " ", n_columns)
        if n_columns > 1 and score > best_score:
            best, best_score = separator, score
    return best


def columns_of(lines: Sequence[str], separator: str) -> list[list[str]]:
    """Return the values of each column, of the lines that have as many as most."""
    rows = [split_line(line, separator, '"' in line) for line in lines]
    n_columns = Counter(map(len, rows)).most_common(1)[0][0]
    return [list(column) for column in zip(*(row for row in rows if len(row) == n_columns), strict=True)]


def has_header(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Return whether a first line holds names.

    Args:
        first: its fields.
        columns: the columns below it.
    """
    if any(recognised(role, first) for role in ROLES):
        return looks_like_header(list(first)) or sum(bool(recognised(role, first)) for role in ROLES) > 1
    if not looks_like_header(list(first)):
        return False
    below = list(zip(first, columns, strict=False))
    if any(name in column for name, column in below):
        return False
    if any(are_numbers(column) for _, column in below):
        return True
    return all(any(stem in name.lower() for name in first for stem in STEMS[role]) for role in (USER, ITEM))


def are_numbers(values: Sequence[str]) -> bool:
    """Return whether most values are finite numbers."""
    return bool(values) and sum(map(is_number, values)) >= _MOST * len(values)


def are_integers(values: Sequence[str]) -> bool:
    """Return whether most values are whole numbers without a sign."""
    return bool(values) and sum(value.strip().isdecimal() for value in values) >= _MOST * len(values)


def are_times(values: Sequence[str]) -> bool:
    """Return whether most values are times since 1970, or dates."""
    if are_numbers(values):
        numbers = np.array([float(value) for value in values if is_number(value)])
        return find_unit(numbers) is not None
    return bool(values) and sum(map(is_date, values)) >= _MOST * len(values)
