"""Define the base class of data sets: read files or generate rows, and split them into train, valid and test."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from recrun.data import cache, tags
from recrun.data.datasets.cached import digest, from_entry, made_from, put_in_cache, refuse_changed, states_of
from recrun.data.datasets.foreign import checked_tables
from recrun.data.datasets.part_checks import refuse_torn_histories
from recrun.data.datasets.preparation import Preparation, Prepared, prepare
from recrun.data.datasets.source_files import (
    EntityFile,
    SourceFile,
    check_content,
    locate,
    unlike_beside,
    unlike_published,
)
from recrun.data.fields import DenseField, Field, FieldTuple, SparseField
from recrun.data.formats.table import Table
from recrun.data.interactions import CSR, ITEM, RATING, TIMESTAMP, USER, WEIGHT, Interactions, TrainingData, join, union
from recrun.data.item_vectors.match import own_vectors, read_item_vectors
from recrun.data.postprocessing.mode import Mode, check_mode
from recrun.data.postprocessing.source import Source
from recrun.data.splits import GIVEN_PART
from recrun.data.splits.together import train_and_valid
from recrun.data.statistics import counts_of
from recrun.errors import DataError
from recrun.registry.read_object import keyword_defaults
from recrun.registry.user_files import is_foreign


class RecDataSet(Source):
    """A data set: users, items and their interactions, in three disjoint parts.

    Derive from this class to add a data set: its keyword-only parameters are its settings, `sources` names its files,
    `read` turns them into tables, and the constructor ends with `super().__init__(root, Preparation(...))`. Finding
    files, filtering, splitting and caching are done here.

    Attributes:
        name: the name of the class.
        settings: the values of the constructor's keyword-only parameters.
        fields: the fields of the users' and items' ids, and of every further column.
        n_users: U, the number of users in all parts together.
        n_items: I, the number of items in all parts together.
        user_ids: original id of each user (U,), integers or text.
        item_ids: original id of each item (I,).
        hashes: SHA-256 of each file's decompressed content, and of the three parts under "split".
        notes: what a user should know about the data.
        files: the path of each file.
        beginnings: which users are only the beginning of a held-out session, bool (U,); None if none are.
        preparation: how rows are filtered and split.
    """

    folders: ClassVar[tuple[str, ...]] = ()
    """Usual names of the folder that holds the files, relative to `root`."""
    downloads: ClassVar[tuple[SourceFile, ...]] = ()
    """Every file of the data set and where it comes from; `recrun data fetch` downloads them."""
    terms: ClassVar[str] = ""
    """The terms of use, in a sentence."""
    published: ClassVar[Mapping[str, int]] = {}
    """Known counts of what the files hold: "users", "items", and rows by table."""
    is_transformed: ClassVar[bool] = False
    """Whether columns hold transformed values, such as category numbers, rather than those of the files."""
    entity_files: ClassVar[Mapping[str, EntityFile]] = {}
    """Tables of users ("user") and items ("item") that lie beside the files; `groups` can name their columns."""

    settings: dict[str, Any]
    files: Mapping[str, Path]
    cached_in: Path | None = None
    """The folder of the cache that holds it, or is to; None for one that is not cached."""

    def __new__(cls, *args: Any, **kwargs: Any) -> RecDataSet:
        # Settings are recorded here so that none can be forgotten in the key of the cache.
        self = super().__new__(cls)
        defaults = keyword_defaults(cls.__init__)
        self.settings = defaults | {name: value for name, value in kwargs.items() if name in defaults}
        return self

    def __init__(self, root: str | Path, preparation: Preparation) -> None:
        """Load the data set, from the cache if the same was prepared before.

        Args:
            root: the folder in which data is looked for.
            preparation: how rows are filtered and split.

        Raises:
            DataError: files are missing or malformed, or cannot be split as asked.
        """
        self.name = type(self).__name__
        self.notes: list[str] = []
        preparation.check()
        self.preparation, self.files, self._root = preparation, {}, root
        prepared, self.hashes = self._load(root, preparation)
        self.user_ids, self.item_ids = prepared.user_ids, prepared.item_ids
        self.n_users, self.n_items = len(self.user_ids), len(self.item_ids)
        self._parts, self.beginnings = prepared.parts, prepared.beginnings
        self._rows: dict[str, CSR] = {}
        self._training_data: TrainingData | None = None
        self._trained_on: Interactions | None = None
        self._item_vectors: Mapping[str, np.ndarray] = {}
        self._shipped = dict(prepared.shipped)
        self.notes = [*prepared.notes, *unlike_published(self.name, self._shipped, self.published), *self.notes]
        self._notes_of_files = tuple(self.notes)
        self._fit()

    def sources(self) -> Sequence[SourceFile]:
        """Return the files that the data set is read from: `downloads`; none for one that is generated."""
        return self.downloads

    @property
    def is_cached(self) -> bool:
        """Whether it is cached when it is prepared: if it is read from files, or takes long to generate."""
        return bool(self.sources())

    @classmethod
    def locations(cls, root: Path) -> list[Path]:
        """Return the folders that the files are looked for in, in order; the last is `root`."""
        return [root / cls.__name__, *(root / folder for folder in cls.folders), root]

    @abstractmethod
    def read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
        """Return the tables of the data set: one under "all" to be split, or "train", "test" and optionally "valid".

        Args:
            files: the path of each file that `sources` names.
        """

    def rename(
        self, files: Mapping[str, Path], user_ids: np.ndarray, item_ids: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the original ids of users and items, where the tables hold remapped ones."""
        return user_ids, item_ids

    def interactions(self, split: Mode | Literal["given"]) -> Interactions:
        """Return one part: "train", "valid" (empty when there is none) or "test"; or what is "given" of new users."""
        if split == GIVEN_PART and GIVEN_PART in self._parts:
            return self._parts[GIVEN_PART]
        return self._parts[check_mode(split)]

    def reasons(self, split: Mode, find: Callable[[Interactions], dict[str, str]]) -> dict[str, str]:
        """Return the reasons that a function finds in a part's rows, such as why metrics are undefined on them.

        Reasons are all that may be known of test before it is evaluated; its rows go through `interactions`.
        """
        return find(self._parts[check_mode(split)])

    def csr(self, split: Mode) -> CSR:
        """Return each user's items in one part, ascending; computed once."""
        if split not in self._rows:
            self._rows[split] = self.interactions(split).csr(self.n_users)
        return self._rows[split]

    def seen(self, split: Mode) -> CSR:
        """Return each user's items that ranking for a part excludes: train for valid, train and valid for test.

        Where users are held out, these are train for both parts, and what is given of the held-out users.
        """
        if check_mode(split) == "train":
            return CSR.empty(self.n_users)
        given = self._parts.get(GIVEN_PART)
        if given is not None:
            return union(self.csr("train"), given.csr(self.n_users))
        return self.csr("train") if split == "valid" else union(self.csr("train"), self.csr("valid"))

    def histories(self, split: Mode) -> CSR:
        """Return each user's items before a part in time order: train for valid, train and valid for test.

        Where users are held out, they are train for both parts, and what is given of the held-out users.
        """
        if check_mode(split) == "train":
            return CSR.empty(self.n_users)
        if GIVEN_PART in self._parts:
            return join([self._parts["train"], self._parts[GIVEN_PART]]).histories(self.n_users)
        before: tuple[Mode, ...] = ("train",) if split == "valid" else ("train", "valid")
        return join([self.interactions(part) for part in before]).histories(self.n_users)

    def given(self) -> CSR | None:
        """Return the items in the order of time by which held-out users are scored, U rows; None if none are held out.

        Held-out users have no interaction in train, and these are not to be found in valid or test. The rows of other
        users are empty.
        """
        rows = self._parts.get(GIVEN_PART)
        return None if rows is None else rows.histories(self.n_users)

    def refuse_torn_histories(self) -> None:
        """Refuse parts that do not follow each other in time, for models that read histories.

        Raises:
            DataError: a user has an interaction of an earlier part that is later than one of a later part.
        """
        refuse_torn_histories(self._parts, self.n_users)

    def training_data(self) -> TrainingData:
        """Return everything that a model may see: fields, sizes and the train part, or train and valid together."""
        if self._training_data is None:
            train = self.interactions("train") if self._trained_on is None else self._trained_on
            self._training_data = TrainingData(
                self.fields, self.n_users, self.n_items, train, self.user_ids, self._item_vectors
            )
        return self._training_data

    def use_item_vectors(self, paths: Sequence[str] = ()) -> None:
        """Give models vectors of items from files below `root`, or `own_item_vectors`; call it before `training_data`.

        Raises:
            DataError: a file is missing or malformed, or has no vector of an item.
        """
        if paths:
            found = read_item_vectors(paths, self._root, self.item_ids)
        else:
            found = own_vectors(self.name, self.own_item_vectors(), self.n_items)
        self._training_data, self._item_vectors = None, found.arrays
        self.hashes |= found.hashes
        self.notes += found.notes

    def own_item_vectors(self) -> Mapping[str, np.ndarray]:
        """Return vectors of the items that the data set brings itself, float32 (I, D) by name; by default none."""
        return {}

    @property
    def trains_on_valid(self) -> bool:
        """Whether models are trained on train and valid together."""
        return self._trained_on is not None

    def train_on_valid(self) -> None:
        """Train models on train and valid together. The parts themselves, and so what is evaluated, stay as they are.

        Fields that are fitted are fitted on both. Must be called before `training_data`.

        Raises:
            DataError: there is no valid part.
        """
        if not len(self._parts["valid"]):
            raise DataError(f"{self.name} has no valid part to train on; leave out train_on: train_valid")
        if self.is_transformed:
            prepared, self.hashes = self._load(self._root, self.preparation)
            self._parts, self.notes = prepared.parts, list(self._notes_of_files)
        self._training_data, self._trained_on = None, train_and_valid(self._parts, self.n_users, self.beginnings)
        if self.is_transformed:
            self._fit()
        self.notes.append(f"models are trained on train and valid together, {len(self._trained_on):,} rows")

    def describe(self) -> dict[str, Any]:
        """Return statistics: users, items, rows of each part, density, and how active users and items are."""
        n_rows = {part: len(rows) for part, rows in self._parts.items()}
        columns = {"columns": list(self._parts["train"].columns), "notes": list(self.notes)}
        return {**counts_of(self.n_users, self.n_items, n_rows), **columns}

    def __repr__(self) -> str:
        rows = ", ".join(f"{len(rows):,} {part}" for part, rows in self._parts.items())
        return f"{self.name}({self.n_users:,} users, {self.n_items:,} items, {rows})"

    def _load(self, root: str | Path, preparation: Preparation) -> tuple[Prepared, dict[str, str]]:
        sources = self.sources()
        if not self.is_cached:
            prepared = prepare(self._read({}), preparation)
            return prepared, {"split": digest(prepared)}
        self.files = files = locate(self.name, self.locations(Path(root).expanduser()), sources) if sources else {}
        self.notes += unlike_beside(files)
        before = states_of(files)
        self.cached_in = folder = cache.entry_folder(
            self.name, made_from(type(self), self.settings, files, preparation)
        )
        entry = cache.load(folder)
        if entry is not None:
            with suppress(KeyError, TypeError, ValueError, AttributeError, IndexError):
                prepared, hashes = from_entry(entry)
                if hashes.get("split") == digest(prepared):
                    return prepared, hashes
            self.notes.append(f"the cache at {folder} was damaged and is built anew")
            cache.discard(folder)
        self.hashes, notes = check_content(self.name, sources, files)
        prepared = prepare(self._read(files), preparation)
        user_ids, item_ids = self.rename(files, prepared.user_ids, prepared.item_ids)
        refuse_changed(files, before)
        prepared = replace(prepared, user_ids=user_ids, item_ids=item_ids, notes=(*notes, *prepared.notes))
        hashes = {**self.hashes, "split": digest(prepared)}
        prepared, notes = put_in_cache(folder, prepared, hashes)
        self.notes += notes
        return prepared, hashes

    def _read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
        tables = self.read(files)
        return checked_tables(self.name, tables) if is_foreign(type(self)) else tables

    def _fit(self) -> None:
        """Make the fields, and transform all parts by them."""
        self.fields = self._make_fields()
        self._parts = {part: self._transform(part, rows) for part, rows in self._parts.items()}
        if self._trained_on is not None:
            self._trained_on = train_and_valid(self._parts, self.n_users, self.beginnings)

    def _fitted_on(self) -> Interactions:
        """Return the rows that fields are fitted on: those that models are trained on."""
        return self._parts["train"] if self._trained_on is None else self._trained_on

    def _transform(self, part: str, rows: Interactions) -> Interactions:
        """Return a part as transformed by the fields, which may be fitted on train; by default unchanged."""
        return rows

    def _make_fields(self) -> FieldTuple:
        """Return the fields; called when the parts hold the values of the files."""
        fields: list[Field] = [
            SparseField(USER, tags=(tags.USER, tags.ID), transformer="none", count=self.n_users),
            SparseField(ITEM, tags=(tags.ITEM, tags.ID), transformer="none", count=self.n_items),
        ]
        known = {RATING: (tags.RATING, tags.TARGET), WEIGHT: (tags.RATING,), TIMESTAMP: (tags.TIMESTAMP,)}
        for name, values in self._parts["train"].columns.items():
            fields.append(DenseField(name, tags=known.get(name, (tags.FEATURE,)), dtype=values.dtype))
        return FieldTuple(fields)
