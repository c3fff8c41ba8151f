"""Read all columns of the rows that a data set was made of, for export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.preparation import prepare
from recrun.data.formats.table import Table
from recrun.data.formats.values.dates import candidates
from recrun.data.formats.values.numbers import bare_texts
from recrun.data.interactions import ITEM, TIMESTAMP, USER, Interactions
from recrun.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_ROW: Final = "row"
_INTEGER: Final = r"^(0|-?[1-9][0-9]{0,17})$"
_NUMBER: Final = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?$"
_N_EXACT: Final = 15
"""So many decimal digits are the same after they were float64."""


@dataclass(frozen=True, eq=False)
class Originals:
    """All columns of the rows of each part.

    Args:
        frames: the rows of each part, in its order, with the names and values of the file.
        roles: the name of the column of each role.
        time_format: how dates are written whose days and months could be taken for each other, or "".
        typed: the same columns, where asked for with types of numbers where all values of the file are numbers.
    """

    frames: Mapping[str, pl.DataFrame]
    roles: Mapping[str, str]
    time_format: str
    typed: Mapping[str, pl.DataFrame]


def read_originals(dataset: RecDataSet, *, with_types: bool) -> Originals | None:
    """Read the files of a data set again, with all columns; None where they have no columns, or there are no files.

    The columns are held as text, once for the rows of all parts.

    Args:
        dataset: the data set.
        with_types: find out which columns of text are numbers.

    Raises:
        DataError: the files are not what they were when the data set was loaded, or cannot be read.
    """
    import polars as pl

    if not dataset.files or type(dataset).rename is not RecDataSet.rename:
        return None
    tables = dataset.read(dataset.files)
    if any(leaf.origin is None for table in tables.values() for leaf in _leaves(table)):
        return None
    starts = np.cumsum([0, *map(len, tables.values())])
    numbered = {
        name: replace(table, columns={**table.columns, _ROW: np.arange(start, start + len(table))})
        for start, (name, table) in zip(starts.tolist(), tables.items(), strict=False)
    }
    prepared = prepare(numbered, dataset.preparation)
    for part, again in prepared.parts.items():
        _refuse_other_rows(dataset, dataset.interactions(part), again)  # type: ignore[arg-type]
    rows = {part: again.columns[_ROW] for part, again in prepared.parts.items() if len(again)}
    roles = {
        role: name
        for role, name in _roles(next(iter(tables.values()))).items()
        if role in (USER, ITEM) or role in dataset.interactions("train").columns
    }
    frames: dict[str, pl.DataFrame] = {}
    typed: dict[str, pl.DataFrame] = {}
    for start, table in zip(starts.tolist(), tables.values(), strict=False):
        # The rows of a part are all of one table.
        own = {part: index - start for part, index in rows.items() if 0 <= index[0] - start < len(table)}
        if not own:
            continue
        try:
            frame = _renamed(_gather(table, np.concatenate(list(own.values()))), _roles(table), roles)
        except (pl.exceptions.PolarsError, UnicodeError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{table.path}: all columns cannot be read ({reason})") from error
        is_text = all(leaf.origin is not None and leaf.origin.is_text for leaf in _leaves(table))
        numbers = _typed(frame, roles) if is_text and with_types else frame
        place = 0
        for part, index in own.items():
            frames[part], typed[part] = (each.slice(place, len(index)) for each in (frame, numbers))
            place += len(index)
    return Originals(frames, roles, _time_format(dataset, frames, roles), typed)


def _leaves(table: Table) -> Iterator[Table]:
    if not table.pieces:
        yield table
    for piece in table.pieces:
        yield from _leaves(piece)


def _roles(table: Table) -> Mapping[str, str]:
    origin = next(_leaves(table)).origin
    assert origin is not None
    return origin.roles


def _refuse_other_rows(dataset: RecDataSet, rows: Interactions, again: Interactions) -> None:
    columns = {name: values for name, values in again.columns.items() if name != _ROW}
    pairs = [(rows.users, again.users), (rows.items, again.items)]
    is_same = set(columns) == set(rows.columns) and all(
        np.array_equal(one, other)
        for one, other in [*pairs, *((rows.columns[name], columns[name]) for name in columns)]
    )
    if not is_same:
        paths = ", ".join(map(str, dataset.files.values()))
        raise DataError(f"{paths} changed after being read; start again when it is complete")


def _gather(table: Table, rows: np.ndarray) -> pl.DataFrame:
    """Return all columns of some rows of a table, which may have been joined of files."""
    import polars as pl

    if not table.pieces:
        assert table.origin is not None
        return table.origin.read(table.file_rows(rows))
    frames, places, start = [], [], 0
    for piece in table.pieces:
        own = np.flatnonzero((rows >= start) & (rows < start + len(piece)))
        if len(own):
            frame = _gather(piece, rows[own] - start)
            # Two files have categories of their own.
            kinds: Any = {name: pl.String for name, kind in frame.schema.items() if isinstance(kind, pl.Categorical)}
            frames.append(_renamed(frame.cast(kinds), _roles(piece), _roles(table)))
            places.append(own)
        start += len(piece)
    return pl.concat(frames, how="diagonal_relaxed")[np.argsort(np.concatenate(places))]


def _renamed(frame: pl.DataFrame, roles: Mapping[str, str], wanted: Mapping[str, str]) -> pl.DataFrame:
    """Return a frame whose columns of roles are called as in another file."""
    return frame.rename({roles[role]: name for role, name in wanted.items() if role in roles and roles[role] != name})


def _typed(frame: pl.DataFrame, roles: Mapping[str, str]) -> pl.DataFrame:
    """Return columns of text as integers or numbers where no value loses anything by that."""
    import polars as pl

    def column(values: Any) -> Any:
        if values.null_count() == len(values):
            return values
        if values.str.contains(_INTEGER).all():
            return values.cast(pl.Int64)
        is_id = values.name in (roles[USER], roles[ITEM])
        if is_id or not values.str.contains(_NUMBER).all():
            return values
        n_digits = values.str.replace(r"[eE].*$", "").str.count_matches("[0-9]").max()
        return values.cast(pl.Float64) if isinstance(n_digits, int) and n_digits <= _N_EXACT else values

    return frame.select(column(values) for values in frame)


def _time_format(dataset: RecDataSet, frames: Mapping[str, pl.DataFrame], roles: Mapping[str, str]) -> str:
    """Return how dates are written whose days and months could be taken for each other in a part alone, or ""."""
    import polars as pl

    chosen: Any = dataset.settings.get("time_format")
    if chosen or TIMESTAMP not in roles:
        return chosen or ""
    texts = {part: frame[roles[TIMESTAMP]] for part, frame in frames.items()}
    if not all(values.dtype == pl.String for values in texts.values()):
        return ""
    read = [
        (bare_texts(values), np.floor(dataset.interactions(part).columns[TIMESTAMP]))  # type: ignore[arg-type]
        for part, values in texts.items()
    ]
    forms = candidates(read[0][0][0])
    fitting = (form for form in forms if all(np.array_equal(form.read(values)[0], times) for values, times in read))
    return next((form.format for form in fitting), "") if len(forms) > 1 else ""
