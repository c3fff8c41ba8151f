"""Turn the tables of a data set into train, valid and test: number the ids, filter, split.

Original ids become internal ones (their rank in ascending order), rows are filtered, and every row gets one label.
Decisions that a user might not expect are recorded as notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from recrun.data import filters, splits
from recrun.data.datasets.numbered import Rows
from recrun.data.datasets.part_checks import (
    one_after_the_other,
    refuse_overlap,
    refuse_unlike,
    too_few_given,
    unknown_in_train,
)
from recrun.data.formats.table import Ids, Table
from recrun.data.formats.values.ids import union_ids
from recrun.data.interactions import RATING, TIMESTAMP, WEIGHT, Interactions
from recrun.data.large.pieces import concatenate
from recrun.data.splits import rules, sessions
from recrun.data.splits.preparation import Preparation as Preparation
from recrun.errors import DataError
from recrun.randomness import generator

WHOLE = "all"
"""The key of a table that is not split yet."""
_NO_IDS = Ids(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set, ready to use.

    Args:
        parts: the interactions of "train", "valid" and "test", and with held-out users those that are "given" of them;
            rows by user, then by time where there is one.
        user_ids: original id of each internal one (U,).
        item_ids: original id of each internal one (I,).
        shipped: what the files held before anything was filtered or held out: "users", "items", "interactions", and the
            rows of each table.
        notes: what a user should know.
        beginnings: which users are only the beginning of a held-out session, bool (U,); None if none are.
    """

    parts: Mapping[str, Interactions]
    user_ids: np.ndarray
    item_ids: np.ndarray
    shipped: Mapping[str, int]
    notes: tuple[str, ...]
    beginnings: np.ndarray | None = None


def prepare(tables: Mapping[str, Table], preparation: Preparation) -> Prepared:
    """Return the parts of a data set.

    Args:
        tables: one table under "all", to be split here, or those of the given parts ("train", "test", maybe "valid").
        preparation: how rows are filtered and split.

    Raises:
        DataError: given parts overlap; a filter leaves nothing; the split needs a time or rating that is not there.
    """
    preparation.check()
    notes = [note for table in tables.values() for note in table.notes]
    rows = _merge(tables, notes)
    refuse_unlike(list(tables.values()), rows.users, rows.items)
    shipped = {"users": len(rows.users.names), "items": len(rows.items.names), "interactions": len(rows)}
    shipped |= {name: len(table) for name, table in tables.items()}
    if rows.labels is not None and preparation.duplicates != "all":
        refuse_overlap(tables, rows.users, rows.items, rows.labels)
    # What the tables held is in `rows` now; letting go of it keeps the peak of memory down.
    tables = {name: replace(table, users=_NO_IDS, items=_NO_IDS, columns={}) for name, table in tables.items()}
    rows = rows.in_order()
    if preparation.session_gap is not None:
        second = sessions.units_in_a_second(list(tables.values()), _times_of(rows), "session_gap")
        rows, note = sessions.cut_at_gaps(rows, preparation.session_gap, second)
        notes.append(note)
    rows = _filter(rows, preparation, notes)
    labels = _split(tables, rows, preparation)
    beginnings = None
    names: tuple[str, ...] = splits.PARTS
    if preparation.find_split().new_users:
        kept = labels != splits.LEFT_OUT
        notes += _left_out(rows.items.codes[~kept])
        rows, labels = rows.where(kept).renumbered(), labels[kept]
        names = (*splits.PARTS, splits.GIVEN_PART)
        if preparation.of_sessions and preparation.session_targets == "each":
            rows, labels, beginnings, note = sessions.each_position(rows, labels)
            notes.append(note)
    parts = {name: _part(rows, labels == label) for label, name in enumerate(names)}
    if not len(parts["train"]):
        raise DataError("no interaction is left for train")
    notes += [f"{part} is empty: no user has enough interactions" for part in _unfilled(parts, tables, preparation)]
    split = "labelled rows" if preparation.labelled else preparation.split
    if splits.GIVEN_PART in parts:
        notes += too_few_given(parts, len(rows.users.names))
    else:
        notes += unknown_in_train(parts, len(rows.users.names), len(rows.items.names), tables, split)
    names_of = rows.users.names, rows.items.names
    return Prepared(parts, *names_of, shipped, tuple(dict.fromkeys(notes)), beginnings)


def _times_of(rows: Rows) -> np.ndarray:
    return rows.columns.get(TIMESTAMP, np.zeros(0))


def _merge(tables: Mapping[str, Table], notes: list[str]) -> Rows:
    parts = list(tables.values())
    names = [name for name in parts[0].columns if all(name in table.columns for table in parts)]
    dropped = sorted({name for table in parts for name in table.columns} - set(names))
    if dropped:
        notes.append(f"not every file has {', '.join(dropped)}; left out")
    labels = None
    if WHOLE not in tables:
        places = np.array([splits.PARTS.index(name) for name in tables], dtype=np.int8)
        labels = np.repeat(places, list(map(len, parts)))
    columns = {name: concatenate([table.columns[name] for table in parts]) for name in names}
    if TIMESTAMP in names and labels is not None and all(table.time_is_order for table in parts):
        columns[TIMESTAMP] = one_after_the_other(columns[TIMESTAMP], labels)
    users = union_ids([table.users for table in parts])
    return Rows(users, union_ids([table.items for table in parts]), columns, labels)


def _filter(rows: Rows, preparation: Preparation, notes: list[str]) -> Rows:
    """Return the rows that are kept, of rows that stand in the order of time."""
    n_before = len(rows)
    if preparation.rating_threshold is not None:
        name = next((name for name in (RATING, WEIGHT) if name in rows.columns), None)
        if name is None:
            raise DataError("rating_threshold is set, but the data has no rating; name its column with rating_column")
        rows = rows.where(rows.columns[name] >= preparation.rating_threshold)
        _refuse_nothing(rows, f"no {name} reaches rating_threshold {preparation.rating_threshold}")
    distinct = filters.without_repeats(rows.users.codes, rows.items.codes, preparation.duplicates)
    if not distinct.all():
        n_repeats = len(rows) - int(distinct.sum())
        notes.append(
            f"{n_repeats} repeated interactions of a user with an item; the {preparation.duplicates} ones are kept"
        )
        rows = rows.where(distinct)
    minima = preparation.min_user_interactions, preparation.min_item_interactions
    if max(minima) > 1:
        mask = filters.k_core(
            rows.users.codes, rows.items.codes, min_user_interactions=minima[0], min_item_interactions=minima[1]
        )
        rows = rows.where(mask)
        _refuse_nothing(rows, f"no interactions have {minima[0]} by their user and {minima[1]} by their item")
    return rows if len(rows) == n_before else rows.renumbered()


def _refuse_nothing(rows: Rows, reason: str) -> None:
    if not len(rows):
        raise DataError(f"the filters leave nothing: {reason}")


def _left_out(items: np.ndarray) -> list[str]:
    """Return notes on the items of rows that a split leaves out."""
    n_items = len(np.unique(items))
    told = f"{len(items):,} interactions of held-out users are left out: no train user has their {n_items:,} items"
    return [told] if n_items else []


def _split(tables: Mapping[str, Table], rows: Rows, preparation: Preparation) -> np.ndarray:
    if rows.labels is not None:
        keeps = "valid" in tables or not preparation.valid_ratio
        return rows.labels if keeps else _with_valid(rows.labels, rows, preparation)
    split = preparation.find_split()
    if split.needs_time or (split.new_users and preparation.fold_in_by == "time"):
        _require_times(tables[WHOLE], rows, preparation.split, split)
    by_days = preparation.test_days is not None or preparation.valid_days is not None
    second = sessions.units_in_a_second([tables[WHOLE]], _times_of(rows), "split by days") if by_days else 1
    unsplit = splits.Unsplit(
        users=rows.users.codes,
        items=rows.items.codes,
        times=rows.columns.get(TIMESTAMP, np.zeros(len(rows), dtype=np.int8)),
        n_users=len(rows.users.names),
        n_items=len(rows.items.names),
        test_ratio=preparation.test_ratio,
        valid_ratio=preparation.valid_ratio,
        n_held_out=preparation.n_held_out,
        n_folds=preparation.n_folds,
        test_fold=preparation.test_fold,
        rng=generator(preparation.split_seed, 0, "split"),
        fold_in_ratio=preparation.fold_in_ratio,
        fold_in_by=preparation.fold_in_by,
        test_days=preparation.test_days,
        valid_days=preparation.valid_days,
        second=second,
    )
    return split.label(unsplit, preparation.split)


def _with_valid(labels: np.ndarray, rows: Rows, preparation: Preparation) -> np.ndarray:
    """Return the labels of given parts with a share of train labelled as valid."""
    labels = labels.copy()
    train = labels == splits.TRAIN
    users, n_users = rows.users.codes[train], len(rows.users.names)
    shares = {"test_ratio": 0.0, "valid_ratio": preparation.valid_ratio}
    if preparation.valid_from == "end":
        labels[train] = rules.by_user_time(users, np.arange(len(users)), n_users, **shares)
    else:
        labels[train] = rules.by_ratio(users, n_users, rng=generator(preparation.split_seed, 0, "split"), **shares)
    return labels


def _require_times(table: Table, rows: Rows, name: str, split: splits.Split) -> None:
    if TIMESTAMP not in rows.columns:
        raise DataError(
            f"split={name} needs the time of each interaction, and {table.path} has none; name its column with "
            f"time_column, or use split=ratio"
        )
    if table.time_is_order and split.compares_users:
        raise DataError(
            f"split={name} needs times that compare between users, and {table.path} only tells the order of each "
            f"user's own interactions; use split=user_time, leave_one_out or ratio"
        )


def _part(rows: Rows, mask: np.ndarray) -> Interactions:
    part = rows.where(mask)
    return Interactions(part.users.codes, part.items.codes, part.columns)


def _unfilled(parts: Mapping[str, Interactions], tables: Mapping[str, Table], preparation: Preparation) -> list[str]:
    """Return the parts that were asked for and hold nothing."""
    wanted = {"test": WHOLE in tables and bool(preparation.test_ratio > 0 or preparation.find_split().without_share)}
    wanted["valid"] = "valid" not in tables and preparation.valid_ratio > 0
    return [part for part, is_wanted in wanted.items() if is_wanted and not len(parts[part])]
