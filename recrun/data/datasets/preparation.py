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
from recrun.data.interactions import RATING, TIMESTAMP, WEIGHT, Interactions, chronological_order
from recrun.data.splits import rules
from recrun.errors import DataError, RegistryError
from recrun.randomness import generator

WHOLE = "all"
"""The key of a table that is not split yet."""
DEFAULT_TEST_RATIO = 0.1
_NO_IDS = Ids(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64))
DEFAULT_FOLDS = 5
DEFAULT_FOLD_IN = (0.8, "random")
_GIVEN = splits.Split(lambda rows: np.zeros(len(rows.users), dtype=np.int8), without_share="the parts are given")


@dataclass(frozen=True)
class Preparation:
    """How rows are filtered and split. See `docs/data.md` for what each means to a user.

    Args:
        split: a name from `recrun list splits`, or `path/to/file.py:function`; "given" for tables that are parts.
        test_ratio: share of test; not for "given" and splits that say how much they test on.
        valid_ratio: share of valid; 0 for none. Parts that come with a valid part keep theirs.
        valid_from: where in each user's train rows valid is taken of given parts: "random", or the "end" of the row.
        split_seed: seed of random splits.
        min_user_interactions: k-core over users.
        min_item_interactions: k-core over items.
        rating_threshold: the least rating that counts as an interaction; None counts all.
        duplicates: which one of several interactions of a user with an item is kept, "first" or "last" in time, or
            "all", so that a pair may be in several parts.
        labelled: whether a row is an event with a label of its own.
        n_held_out: for "leave_k": how many of each user's latest interactions are tested.
        n_folds: for "k_fold": how many folds there are.
        test_fold: for "k_fold": which of them is tested, from 1.
        fold_in_ratio: for "new_users": share of a held-out user's rows that is given, above 0 and below 1.
        fold_in_by: for "new_users": whether "random" ones are given, or the earliest ("time").
    """

    split: str = "ratio"
    test_ratio: float = DEFAULT_TEST_RATIO
    valid_ratio: float = 0.1
    valid_from: str = "random"
    split_seed: int = 0
    min_user_interactions: int = 0
    min_item_interactions: int = 0
    rating_threshold: float | None = None
    duplicates: str = "last"
    labelled: bool = False
    n_held_out: int = 1
    n_folds: int = DEFAULT_FOLDS
    test_fold: int = 1
    fold_in_ratio: float = DEFAULT_FOLD_IN[0]
    fold_in_by: str = DEFAULT_FOLD_IN[1]

    def find_split(self) -> splits.Split:
        """Return what `split` names.

        Raises:
            DataError: there is no such split, or it cannot be imported.
        """
        try:
            return _GIVEN if self.split == "given" else splits.find_split(self.split)
        except RegistryError as error:
            raise DataError(str(error)) from None

    def check(self) -> None:
        """Check what a single option's type cannot tell.

        Raises:
            DataError: there is no such split, nothing would be left for train, or a share is set that does not count.
        """
        split = self.find_split()
        if self.split != "leave_k" and self.n_held_out != 1:
            raise DataError(
                f"n_held_out {self.n_held_out} is for split=leave_k, found split={self.split}; leave it out"
            )
        if self.split != "k_fold" and (self.n_folds, self.test_fold) != (DEFAULT_FOLDS, 1):
            raise DataError(f"n_folds and test_fold are for split=k_fold, found split={self.split}; leave them out")
        if self.test_fold > self.n_folds:
            raise DataError(
                f"test_fold {self.test_fold} is not there: n_folds is {self.n_folds}, and they are counted from 1"
            )
        if not split.new_users and (self.fold_in_ratio, self.fold_in_by) != DEFAULT_FOLD_IN:
            raise DataError(
                f"fold_in_ratio and fold_in_by are for split=new_users, found split={self.split}; leave them out"
            )
        if not 0 < self.fold_in_ratio < 1 or self.fold_in_by not in ("random", "time"):
            raise DataError(
                f"expected a fold_in_ratio above 0 and below 1, and fold_in_by random or time; found "
                f"{self.fold_in_ratio} and {self.fold_in_by}"
            )
        if split.without_share:
            if self.test_ratio != DEFAULT_TEST_RATIO:
                raise DataError(
                    f"test_ratio {self.test_ratio} has no meaning here: {split.without_share}; leave it out"
                )
        elif self.test_ratio + self.valid_ratio >= 1:
            raise DataError(
                f"test_ratio {self.test_ratio} and valid_ratio {self.valid_ratio} together must be less than 1, "
                f"so that something is left for train"
            )


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
    """

    parts: Mapping[str, Interactions]
    user_ids: np.ndarray
    item_ids: np.ndarray
    shipped: Mapping[str, int]
    notes: tuple[str, ...]


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
    order = chronological_order(rows.users.codes, rows.columns.get(TIMESTAMP))
    rows = rows if order is None else rows.take(order)
    del order
    rows = _filter(rows, preparation, notes)
    labels = _split(tables, rows, preparation)
    names: tuple[str, ...] = splits.PARTS
    if preparation.find_split().new_users:
        kept = labels != splits.LEFT_OUT
        notes += _left_out(rows.items.codes[~kept])
        rows, labels = rows.take(np.flatnonzero(kept)).renumbered(), labels[kept]
        names = (*splits.PARTS, splits.GIVEN_PART)
    parts = {name: _part(rows, np.flatnonzero(labels == label)) for label, name in enumerate(names)}
    if not len(parts["train"]):
        raise DataError("no interaction is left for train")
    notes += [f"{part} is empty: no user has enough interactions" for part in _unfilled(parts, tables, preparation)]
    split = "labelled rows" if preparation.labelled else preparation.split
    if splits.GIVEN_PART in parts:
        notes += too_few_given(parts, len(rows.users.names))
    else:
        notes += unknown_in_train(parts, len(rows.users.names), len(rows.items.names), tables, split)
    return Prepared(parts, rows.users.names, rows.items.names, shipped, tuple(dict.fromkeys(notes)))


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
    columns = {name: np.concatenate([table.columns[name] for table in parts]) for name in names}
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
        rows = rows.take(np.flatnonzero(rows.columns[name] >= preparation.rating_threshold))
        _refuse_nothing(rows, f"no {name} reaches rating_threshold {preparation.rating_threshold}")
    distinct = filters.without_repeats(rows.users.codes, rows.items.codes, preparation.duplicates)
    if not distinct.all():
        n_repeats = len(rows) - int(distinct.sum())
        notes.append(
            f"{n_repeats} repeated interactions of a user with an item; the {preparation.duplicates} ones are kept"
        )
        rows = rows.take(np.flatnonzero(distinct))
    minima = preparation.min_user_interactions, preparation.min_item_interactions
    if max(minima) > 1:
        mask = filters.k_core(
            rows.users.codes, rows.items.codes, min_user_interactions=minima[0], min_item_interactions=minima[1]
        )
        rows = rows.take(np.flatnonzero(mask))
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


def _part(rows: Rows, index: np.ndarray) -> Interactions:
    columns = {name: values[index] for name, values in rows.columns.items()}
    return Interactions(rows.users.codes[index], rows.items.codes[index], columns)


def _unfilled(parts: Mapping[str, Interactions], tables: Mapping[str, Table], preparation: Preparation) -> list[str]:
    """Return the parts that were asked for and hold nothing."""
    wanted = {"test": WHOLE in tables and bool(preparation.test_ratio > 0 or preparation.find_split().without_share)}
    wanted["valid"] = "valid" not in tables and preparation.valid_ratio > 0
    return [part for part, is_wanted in wanted.items() if is_wanted and not len(parts[part])]
