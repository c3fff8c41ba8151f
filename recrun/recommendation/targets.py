"""Find whom to recommend to, and what to leave out, from what a user of recrun names.

Shapes: T users to recommend to, U all users of the data, N pairs of a user and an item.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recrun.data.datasets.part_checks import unit_of_times
from recrun.data.formats.columns.names import recognised
from recrun.data.formats.opening import ending_of, open_binary
from recrun.data.formats.table import Table
from recrun.data.formats.told_by_name import read_by_name
from recrun.data.formats.values.times import find_unit
from recrun.data.interactions import CSR, TIMESTAMP, Interactions, union
from recrun.data.original_ids import OriginalIds
from recrun.errors import ConfigError, DataError
from recrun.recommendation.read_ids import PARQUET, Kind, read_ids
from recrun.recommendation.recommender import Recommender
from recrun.registry.conditions import format_told_by

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Targets:
    """Whom to recommend to.

    Args:
        names: their original ids (T,).
        rows: their internal ids (T,); of new users, the rows of their histories.
        histories: the items of new users in the order of time, by rows; None for users of the data.
        notes: what was left out.
    """

    names: NDArray[Any]
    rows: Ints
    histories: CSR | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)


def known_users(
    recommender: Recommender,
    wanted: Literal["all"] | Sequence[Any] | NDArray[Any] | Path,
    *,
    skip_unknown: bool = False,
) -> Targets:
    """Return users of the data: all, those of a list of original ids, or those that a file lists.

    Raises:
        ConfigError: ids are not known, or there are none.
        DataError: the file cannot be read.
    """
    if isinstance(wanted, str):
        return Targets(recommender.users.ids, np.arange(recommender.n_users))
    ids, where = _listed(wanted, "user")
    places, notes = find_all(recommender.users, ids, where, skip_unknown=skip_unknown)
    distinct = np.sort(np.unique(places, return_index=True)[1])
    if len(distinct) < len(places):
        notes.append(f"{where}{len(places) - len(distinct):,} users are named more than once, and listed once")
    places = places[distinct]
    return Targets(recommender.users.originals(places), places, None, notes)


def new_users(recommender: Recommender, path: Path, *, skip_unknown: bool = False) -> Targets:
    """Return users that a file of interactions tells the histories of; whether the data knows them does not matter.

    Args:
        recommender: knows the items.
        path: a file of users, items and optionally times, in a format that its extension tells.
        skip_unknown: leave out items that are not known, and users without any other, instead of refusing them.

    Raises:
        ConfigError: items are not known, or there are no users.
        DataError: the file cannot be read, or its times are in another unit than those that a model of times learned.
    """
    table = read_by_name(path)
    place_of, notes = _places(recommender.items, table.items.names, f"{path}: ", skip_unknown)
    items_N = place_of[table.items.codes]
    kept = items_N >= 0
    times = {name: values[kept] for name, values in table.columns.items() if name == TIMESTAMP}
    rows = Interactions(table.users.codes[kept], items_N[kept].astype(np.int32), times)
    histories = rows.histories(len(table.users.names))
    if table.time_is_order:
        histories = replace(histories, times=None)
    elif getattr(recommender.model, "timed", False) and TIMESTAMP in table.columns:
        _refuse_other_unit(recommender, table)
    return _told(table.users.names, histories, notes, f"{path}: ", f"{path} tells the history of no user")


def _refuse_other_unit(recommender: Recommender, table: Table) -> None:
    """Raise a DataError if the times of a table are in another unit than those that a model of times learned from."""
    learned = find_unit(recommender.base.interactions("train").columns[TIMESTAMP])
    found = unit_of_times(table)
    if found != learned:
        told, expected = (f"{each} since 1970" if each else "no times since 1970" for each in (found, learned))
        message = f"its times are {told}, and those that the model was trained on are {expected}; write both alike"
        raise DataError(message, path=table.path)


def told_users(
    recommender: Recommender, histories: Mapping[Any, Sequence[Any]], *, skip_unknown: bool = False
) -> Targets:
    """Return users whose histories are told; whether the data knows them does not matter.

    Args:
        recommender: knows the items.
        histories: the original ids of each user's items, in the order of time.
        skip_unknown: as for `new_users`.

    Raises:
        ConfigError: items are not known, or a user has none.
    """
    empty = [str(user) for user, items in histories.items() if not len(items)]
    if empty or not histories:
        whose = f"the history of {empty[0]} is empty" if empty else "there is no history"
        raise ConfigError(f"{whose}: expected the items of each user, as {{user: [item, ...]}}")
    rows = np.repeat(np.arange(len(histories)), [len(items) for items in histories.values()])
    place_of, notes = _places(
        recommender.items, [item for each in histories.values() for item in each], "", skip_unknown
    )
    kept = place_of >= 0
    known = CSR.from_pairs(rows[kept], place_of[kept], len(histories), sort=False, unique=False)
    return _told(np.asarray(list(histories)), known, notes, "", "no user has an item that is known")


def _told(names: NDArray[Any], histories: CSR, notes: list[str], where: str, nobody: str) -> Targets:
    """Return the users whose histories hold a known item.

    Raises:
        ConfigError: there is none, as `nobody` says.
    """
    told = np.flatnonzero(histories.lengths)
    if len(told) < len(names):
        notes.append(f"{where}{len(names) - len(told):,} users are left out: none of their items is known")
    if not len(told):
        raise ConfigError(nobody)
    return Targets(names[told], np.arange(len(told)), histories.take(told), notes)


def excluded_pairs(
    recommender: Recommender, targets: Targets, exclude: Sequence[str], *, skip_unknown: bool = False
) -> tuple[CSR | None, Ints | None, list[str]]:
    """Return what is not recommended: items of each user, items of nobody's list, and notes.

    Args:
        recommender: knows the seen items.
        targets: whom is recommended to.
        exclude: "seen" for the items that a user is known to have; "none"; or files: of users and items, for each user
            its own, or of items alone, for everyone.
        skip_unknown: leave out users and items that are not known, instead of refusing them.

    Raises:
        ConfigError: "none" is given together with others, or ids are not known.
        DataError: a file cannot be read.
    """
    if "none" in exclude and len(exclude) > 1:
        raise ConfigError("--exclude none contradicts the others; leave it out")
    pairs: CSR | None = None
    barred: list[Ints] = []
    notes: list[str] = []
    for each in dict.fromkeys(exclude):
        if each == "none":
            continue
        if each == "seen":
            found = recommender.seen if targets.histories is None else targets.histories.distinct()
        elif _lists_items_alone(Path(each)):
            places, more = find_all(recommender.items, *_listed(Path(each), "item"), skip_unknown=skip_unknown)
            barred.append(places)
            notes += more
            continue
        else:
            found, more = _pairs_of_file(recommender, targets, Path(each), skip_unknown)
            notes += more
        pairs = found if pairs is None else union(pairs, found)
    return pairs, np.unique(np.concatenate(barred)) if barred else None, notes


def others_than(
    recommender: Recommender, wanted: Sequence[Any] | NDArray[Any] | Path, *, skip_unknown: bool = False
) -> tuple[Ints, list[str]]:
    """Return the items that are not wanted, ascending, and notes: all but those may be recommended.

    Args:
        recommender: knows the items.
        wanted: original ids, or a file that lists them.
        skip_unknown: leave out items that are not known, instead of refusing them.

    Raises:
        ConfigError: ids are not known, or there are none.
        DataError: the file cannot be read.
    """
    ids, where = _listed(wanted, "item")
    places, notes = find_all(recommender.items, ids, where, skip_unknown=skip_unknown)
    is_other = np.ones(recommender.n_items, dtype=bool)
    is_other[places] = False
    return np.flatnonzero(is_other), notes


def _listed(wanted: Sequence[Any] | NDArray[Any] | Path, kind: Kind) -> tuple[NDArray[Any], str]:
    """Return original ids, which a file may list, and how messages about them begin."""
    return (read_ids(wanted, kind), f"{wanted}: ") if isinstance(wanted, Path) else (np.asarray(wanted), "")


def find_all(
    known: OriginalIds, wanted: NDArray[Any] | Sequence[Any], where: str = "", *, skip_unknown: bool = False
) -> tuple[Ints, list[str]]:
    """Return the internal ids of original ones, and what was left out.

    Args:
        known: the ids of the data.
        wanted: original ids.
        where: the beginning of messages.
        skip_unknown: leave out ids that are not known, instead of refusing them.

    Raises:
        ConfigError: ids are not known, or none are left.
    """
    places, notes = _places(known, wanted, where, skip_unknown)
    places = places[places >= 0]
    if not len(places):
        raise ConfigError(f"{where}none of the {known.kind}s is known" if len(wanted) else f"{where}no {known.kind}s")
    return places, notes


def _places(
    known: OriginalIds, wanted: NDArray[Any] | Sequence[Any], where: str, skip_unknown: bool
) -> tuple[Ints, list[str]]:
    """Return the internal id of each original one, -1 for one that is not known and may be skipped, and notes."""
    places = known.find(wanted)
    unknown = [wanted[int(position)] for position in np.flatnonzero(places < 0)]
    if unknown and not skip_unknown:
        raise ConfigError(f"{where}{known.explain(unknown)}; correct it, or skip what is not known: --skip-unknown")
    return places, [f"{where}{known.explain(unknown)}; skipped"] if unknown else []


def _pairs_of_file(recommender: Recommender, targets: Targets, path: Path, skip_unknown: bool) -> tuple[CSR, list[str]]:
    """Return the pairs of a file as rows of the targets; pairs of users who are no targets do not matter."""
    table = read_by_name(path)
    items, notes = _places(recommender.items, table.items.names, f"{path}: ", skip_unknown)
    if targets.histories is None:
        users, more = _places(recommender.users, table.users.names, f"{path}: ", skip_unknown)
        notes += more
        n_rows = recommender.n_users
    else:
        users, n_rows = OriginalIds(targets.names, "user").find(table.users.names), len(targets)
    rows_N, items_N = users[table.users.codes], items[table.items.codes]
    kept = (rows_N >= 0) & (items_N >= 0)
    return CSR.from_pairs(rows_N[kept], items_N[kept], n_rows), notes


def _lists_items_alone(path: Path) -> bool:
    """Return whether a file lists items without users: by its extension, or by the names of its columns."""
    from recrun.data.formats.polars_files import parquet_names

    ending = ending_of(path)
    if format_told_by(path.name) is None:
        return True
    if ending in PARQUET:
        return not recognised("user", parquet_names(path))
    if ending not in (".csv", ".tsv", ".jsonl", ".ndjson"):
        return False
    with open_binary(path) as file:
        first = file.readline(1 << 16).decode("utf-8-sig", errors="replace").strip()
    if ending in (".jsonl", ".ndjson"):
        try:
            record = json.loads(first)
        except (ValueError, RecursionError):
            return False
        if not isinstance(record, dict):
            return isinstance(record, (int, str))
        columns = list(record)
    else:
        columns = next(csv.reader([first], delimiter="\t" if ending == ".tsv" else ","), [])
    return len(columns) == 1 or (bool(recognised("item", columns)) and not recognised("user", columns))
