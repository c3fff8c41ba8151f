"""Columns that share their categories with another, such as the items that a user clicked before with the item shown.

N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from recrun.data.datasets.feature_columns import ROLES, Chosen, categories
from recrun.data.multi_columns.multi_field import NOTHING, several, take_apart
from recrun.errors import DataError, nearest

if TYPE_CHECKING:
    import polars as pl


def check_shared(shared: Mapping[str, str], chosen: Chosen) -> None:
    """Check that columns of several categories share those of columns of one.

    Args:
        shared: the column whose categories each column shares.
        chosen: the columns that are read.

    Raises:
        DataError: a column is not of `multi_columns`, or the other not of `sparse_columns`.
    """
    kinds = {
        **dict.fromkeys(chosen.dense, "holds numbers (dense_columns)"),
        **dict.fromkeys(chosen.multi, "has several categories in a row itself (multi_columns)"),
        **{
            name: f"is the {role} ({ROLES[role]}); leave {ROLES[role]} out and name it in sparse_columns"
            for role, name in chosen.roles.items()
        },
    }
    for name, other in shared.items():
        if name not in chosen.multi:
            found = _absent(name, chosen.multi, "multi_columns")
            raise DataError(f"shared_columns: {found}; only those share the categories of another")
        if other not in chosen.sparse:
            why = f"{other!r} {kinds[other]}" if other in kinds else _absent(other, chosen.sparse, "sparse_columns")
            raise DataError(f"shared_columns: {name!r} can share the categories of a column of sparse_columns; {why}")


def _absent(name: str, there: tuple[str, ...], setting: str) -> str:
    near = nearest(name, list(there))
    hint = f"did you mean {near!r}?" if near else f"found {', '.join(map(repr, there)) or 'none'}"
    return f"{name!r} is not of {setting} ({hint})"


def number_categories(
    rows: pl.DataFrame,
    chosen: Chosen,
    shared: Mapping[str, str],
    separator: str,
    fail: Callable[[int, str, str], DataError],
) -> dict[str, np.ndarray]:
    """Return the numbers of all categories by column, in the order of all distinct ones of a column.

    Columns that share their categories have the order of all distinct ones of both; blanks around them are left out.

    Args:
        rows: the columns, text; null where nothing is written.
        chosen: the columns that are read.
        shared: the column whose categories each column of several shares.
        separator: what stands between two categories of a row.
        fail: makes the error for a row and a column.

    Returns:
        int32 (N,) for a column of one category, `MISSING` where there is none; (N, L) for one of several, `NOTHING` in
        places that are not filled.

    Raises:
        DataError: a row has too many, or two columns that share have no category in common.
    """
    together = _number_shared(rows, shared, separator, fail)
    numbers = {name: together[name] if name in together else categories(rows[name]) for name in chosen.sparse}
    for name in chosen.multi:
        alone = name not in together
        numbers[name] = several(rows[name], separator, _of(fail, name)) if alone else together[name]
    return numbers


def _number_shared(
    rows: pl.DataFrame, shared: Mapping[str, str], separator: str, fail: Callable[[int, str, str], DataError]
) -> dict[str, np.ndarray]:
    import polars as pl

    numbers: dict[str, np.ndarray] = {}
    for other in dict.fromkeys(shared.values()):
        names = [name for name in shared if shared[name] == other]
        apart = [take_apart(rows[name], separator, _of(fail, name)) for name in names]
        one = rows[other].str.strip_chars()
        columns = [pl.select(pl.when(one != "").then(one)).to_series(), *(pieces.values for pieces in apart)]
        codes = categories(pl.concat([column.alias(other) for column in columns]))
        first, *rest = np.split(codes, np.cumsum([len(column) for column in columns])[:-1])
        known = np.unique(first)
        for name, pieces, its in zip(names, apart, rest, strict=True):
            if len(its) and not np.isin(its, known).any():
                message = f"no category of {name} is one of {other}, as {pieces.values[0]!r} is not"
                raise fail(int(pieces.rows[0]), f"{message}; is multi_separator {separator!r} right?", name)
            numbers[name] = pieces.arrange(its)
        numbers[other] = first
    return numbers


def fitted_to(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return what a field is fitted to: the values (N,) of its column, and those (N, L) of columns that share them."""
    first, *others = columns
    return np.concatenate([first, *(values[values != NOTHING] for values in others)])


def _of(fail: Callable[[int, str, str], DataError], name: str) -> Callable[[int, str], DataError]:
    return lambda row, message: fail(row, message, name)
