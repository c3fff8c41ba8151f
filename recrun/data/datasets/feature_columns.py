"""Choose the feature columns of labelled rows from one or several files, and read their categories and numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import numpy as np

from recrun.data.formats.feature_file import LINE, FeatureFile
from recrun.data.formats.table import data_error
from recrun.data.formats.values.ids import alike
from recrun.data.formats.values.numbers import remedy_for_missing
from recrun.data.interactions import ITEM, TIMESTAMP, USER
from recrun.errors import DataError, nearest

if TYPE_CHECKING:
    import polars as pl

LABEL: Final = "label"
MISSING: Final = -1
"""The category number of a value that is not there."""
_LARGEST: Final = float(np.finfo(np.float32).max)
_WITHIN: Final = ("|", ";", ",")
"""What stands between several values in one field."""
_FEWEST: Final = 8
_ENOUGH: Final = 10_000
ROLES: Final = {LABEL: "label_column", USER: "user_column", ITEM: "item_column", TIMESTAMP: "time_column"}
"""Names that fields of recrun's own have, and the setting by which a column gets each of them."""


@dataclass(frozen=True)
class Chosen:
    """The columns that are read.

    Args:
        roles: the column of the label, and of users, items and times where there are some, by the role's name.
        sparse: names of columns of categories.
        dense: names of columns of numbers.
        multi: names of columns of several categories in a row.
        origin: the file of each feature: "rows", "user" or "item".
        unused: columns that each file has and that are not read, as they are written there.
    """

    roles: Mapping[str, str]
    sparse: tuple[str, ...]
    dense: tuple[str, ...]
    origin: Mapping[str, str] = field(default_factory=dict)
    unused: Mapping[str, Sequence[str]] = field(default_factory=dict)
    multi: tuple[str, ...] = ()

    def of(self, origin: str) -> list[str]:
        """Return the features that one file holds."""
        return [name for name in (*self.sparse, *self.multi, *self.dense) if self.origin[name] == origin]


def choose(
    files: Mapping[str, FeatureFile],
    roles: Mapping[str, str],
    sparse: Sequence[str],
    dense: Sequence[str],
    multi: Sequence[str] = (),
) -> Chosen:
    """Return which columns are read from which file.

    Args:
        files: of the "rows", and of features of the "user" and the "item" if there are such files.
        roles: the column of each role, of those that there are.
        sparse: names of columns of categories, or patterns with * and ?, which pass over columns that have a role.
        dense: names of columns of numbers.
        multi: names of columns of several categories in a row, or patterns.

    Raises:
        DataError: a column is not there, there twice, chosen twice, or holds several values and is not of `multi`.
    """
    for role, name in roles.items():
        files["rows"].require(name, ROLES[role])
    for key in ("user", "item"):
        if key in files:
            files[key].require(roles[key], ROLES[key])
    keys = {files_name: {roles[files_name]} for files_name in ("user", "item") if files_name in files}
    origins: dict[str, list[str]] = {}
    for key, file in files.items():
        for name in file.names:
            if name not in keys.get(key, set(roles.values())):
                origins.setdefault(name, []).append(key)
    found = {
        setting: _expand(setting, patterns, origins, roles, files)
        for setting, patterns in (("sparse_columns", sparse), ("dense_columns", dense), ("multi_columns", multi))
    }
    for one, other in itertools.combinations(found, 2):
        both = sorted(set(found[one]) & set(found[other]))
        if both:
            raise DataError(f"{one} and {other} both name {', '.join(map(repr, both))}; name each once")
    origin: dict[str, str] = {}
    for name in itertools.chain(*found.values()):
        if len(origins[name]) > 1:
            places = " and ".join(str(files[key].path) for key in origins[name])
            raise DataError(f"the column {name!r} is in {places}; rename one of them")
        origin[name] = origins[name][0]
        kind = files[origin[name]].kind(name)
        if kind == "float_seq" or (kind == "token_seq" and name not in found["multi_columns"]):
            remedy = "leave it out" if kind == "float_seq" else "name it in multi_columns, with multi_separator"
            message = f"{name}:{kind} holds several values in a row; {remedy}"
            raise data_error(files[origin[name]].path, 1, message)
        if name in ROLES:
            message = f"the column {name!r} cannot be a feature under this name; give it with {ROLES[name]}, or rename"
            raise data_error(files[origin[name]].path, 1, message)
    unused = {
        key: [
            file.written_names[place]
            for place, name in enumerate(file.names)
            if name not in keys.get(key, set(roles.values())) | file.selecting and name not in origin
        ]
        for key, file in files.items()
    }
    sparse_names, dense_names, multi_names = map(tuple, found.values())
    return Chosen(roles, sparse_names, dense_names, origin, unused, multi_names)


def _expand(
    setting: str,
    patterns: Sequence[str],
    origins: Mapping[str, Collection[str]],
    roles: Mapping[str, str],
    files: Mapping[str, FeatureFile],
) -> list[str]:
    """Return the columns that names and patterns stand for, each once, in the order of the patterns."""
    chosen: dict[str, None] = {}
    for pattern in patterns:
        if pattern in roles.values():
            role = next(role for role, name in roles.items() if name == pattern)
            raise DataError(f"{setting} names {pattern!r}, which is the {role} already ({ROLES[role]}); leave it out")
        matches = [pattern] if pattern in origins else [name for name in origins if fnmatchcase(name, pattern)]
        if not matches:
            near = nearest(pattern, list(origins))
            hint = f"; did you mean {near!r}?" if near else ""
            there = ", ".join(map(repr, list(origins)[:60]))
            where = ", ".join(str(file.path) for file in files.values())
            raise DataError(f"{where}: there is no column {pattern!r}, which {setting} names{hint} Found: {there}")
        chosen |= dict.fromkeys(matches)
    return list(chosen)


def refuse_missing(rows: pl.DataFrame, roles: Mapping[str, str], file: FeatureFile) -> None:
    """Refuse rows without a user, an item or a time where a column says so, or without a label.

    Raises:
        DataError: there is one.
    """
    for role, name in roles.items():
        missing = rows[name].is_null()
        if missing.any():
            line = file.line(int(rows[LINE][int(missing.arg_max() or 0)]))
            told = f"the {role} is missing (column {name!r}; {int(missing.sum())} such rows)"
            raise data_error(file.path, line, told + remedy_for_missing(role, name))


def joined(
    rows: pl.DataFrame, file: FeatureFile, key: str, names: Sequence[str], dense: Collection[str]
) -> tuple[pl.DataFrame, int]:
    """Return rows with features of their users (or items) beside, and how many rows have one that the file lacks.

    Args:
        rows: the labelled rows.
        file: features, a line for each user.
        key: the column of users' ids in both.
        names: the features.
        dense: those of them that are numbers.

    Raises:
        DataError: a user has two lines, or none, or is written in another way in the rows.
    """
    features = file.read([key, *names], quantities=dense)
    again = features.filter(features[key].is_duplicated() | features[key].is_null())
    if again.height:
        line, found = file.line(int(again[LINE][-1])), again[key][-1]
        message = f"the {key} is missing" if found is None else f"the {key} {found!r} has a line of features already"
        raise data_error(file.path, line, message)
    unknown = rows[key].filter(~rows[key].is_in(features[key].implode()))
    n_unknown = len(unknown)
    if n_unknown:
        _refuse_like_ids(unknown.unique(maintain_order=True), features, file, key)
    return rows.join(features.drop(LINE), on=key, how="left", maintain_order="left"), n_unknown


def _refuse_like_ids(unknown: pl.Series, features: pl.DataFrame, file: FeatureFile, key: str) -> None:
    """Refuse features of an id that differs from one without features only in how it is written."""
    import polars as pl

    names = pl.concat([features[key], unknown])
    for place, (other, difference) in alike(names).items():
        known, lacking = sorted((place, other))
        if known < features.height <= lacking:
            told = f"the {key} {names[known]!r} differs from the {key} {names[lacking]!r} of the rows only by"
            line = file.line(int(features[LINE][known]))
            raise data_error(file.path, line, f"{told} {difference}; write both alike", kind="like-ids")


def numbers(values: pl.Series, fail: Callable[[int, str], DataError]) -> np.ndarray:
    """Return the numbers of a column of text, float64 (N,), NaN where nothing is written.

    Args:
        values: the column.
        fail: makes the error for a row.

    Raises:
        DataError: something else is written, or a number that is not finite, or not as 32 bits.
    """
    import polars as pl

    found = values.str.strip_chars().cast(pl.Float64, strict=False)
    wrong = values.is_not_null() & (found.is_null() | ~found.is_finite())
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise fail(row, f"expected a finite number as {values.name}, found {values[row]!r}")
    large = (found.abs() > _LARGEST).fill_null(False)
    if large.any():
        row = int(large.arg_max() or 0)
        told = "which 32 bits cannot hold (a missing one?); write it smaller, or leave it empty"
        raise fail(row, f"the {values.name} is {values[row]}, {told}")
    result: np.ndarray = found.fill_null(float("nan")).to_numpy()
    return result


def truths(values: pl.Series) -> pl.Series:
    """Return a column of text with true and false as 1 and 0, if it holds nothing else."""
    words = values.str.strip_chars().str.to_lowercase()
    if not words.drop_nulls().is_in(["true", "false"]).all():
        return values
    written: pl.Series = words.replace({"true": "1", "false": "0"})
    return written


def categories(values: pl.Series) -> np.ndarray:
    """Return the number of each value in the order of all distinct ones, int32 (N,), `MISSING` where there is none."""
    import polars as pl

    codes: np.ndarray = (values.rank("dense").cast(pl.Int32) - 1).fill_null(MISSING).to_numpy()
    return codes


def notes_on_categories(values: pl.Series, n_categories: int) -> list[str]:
    """Return what may surprise about a column of categories; arguments as for `several_values_note`."""
    return [*several_values_note(values, n_categories), *filter(None, [like_categories(values)])]


def several_values_note(values: pl.Series, n_categories: int) -> list[str]:
    """Return the note on a column of categories that holds several values in a field, such as `Action|Comedy`.

    Told from ten thousand rows spread over the column: half of their values hold a separator, and taken apart they
    have at most half as many pieces, as those recur. Names of places ("Paris, France") have more pieces than values.

    Args:
        values: the column, text.
        n_categories: how many values differ.
    """
    wholes = values.gather_every(max(1, len(values) // _ENOUGH)).drop_nulls().unique().to_list()
    if len(wholes) < _FEWEST:
        return []
    for separator in _WITHIN:
        n_joined = sum(separator in whole for whole in wholes)
        if 2 * n_joined >= len(wholes):
            pieces = {piece.strip(" []'\"") for whole in wholes for piece in whole.split(separator)}
            if 2 * len(pieces) <= len(wholes):
                share = "all" if n_joined == len(wholes) else "most"
                told = f"{values.name}: {n_categories} categories, {share} hold {separator!r}"
                return [f"{told}; only multi_columns takes several values in one field apart"]
    return []


def like_categories(values: pl.Series) -> str:
    """Return a note on two categories that differ only in how they are written, or "".

    They may be meant as two, as versions 9 and 9.0 of a program are; or a program wrote integers as 9.0 in one file.
    """
    if not values.str.contains(r"\.0$|^\s|\s$").any():
        return ""
    distinct = values.drop_nulls().unique(maintain_order=True)
    for place, (other, difference) in alike(distinct).items():
        told = f"{distinct[other]!r} and {distinct[place]!r} of {values.name} differ only by {difference}"
        return f"{told}; they are two categories"
    return ""


def labels(values: np.ndarray, threshold: float | None, name: str, fail: Callable[[int, str], DataError]) -> np.ndarray:
    """Return labels 0 and 1, float32 (N,).

    Args:
        values: what is written.
        threshold: the least value that counts as 1; None where values are labels already.
        name: of the column.
        fail: makes the error for a row.

    Raises:
        DataError: one is no label.
    """
    if threshold is not None:
        return (values >= threshold).astype(np.float32)
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        row = int(wrong.argmax())
        message = f"expected 0 or 1 as label (column {name!r}), found {values[row]:g}; or set label_threshold"
        raise fail(row, message)
    return values.astype(np.float32)


def counts_listed(counts: Mapping[str, int], limit: int = 10) -> str:
    """Return counts by name for people, the largest first.

    >>> counts_listed({"a": 1, "b": 1200}), counts_listed({"a": 1, "b": 2}, limit=1)
    ('b (1,200), a (1)', 'b (2) and 1 more column')
    """
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    shown = ", ".join(f"{name} ({count:,})" for name, count in ordered[:limit])
    n_more = len(ordered) - limit
    return shown if n_more <= 0 else f"{shown} and {n_more:,} more column{'s' if n_more > 1 else ''}"
