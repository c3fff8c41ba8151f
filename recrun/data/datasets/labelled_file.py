"""Load labelled rows, such as clicks with features, from a user's own files, for models that predict labels.

N rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from recrun.data import tags
from recrun.data.datasets.feature_columns import (
    LABEL,
    MISSING,
    ROLES,
    Chosen,
    choose,
    counts_listed,
    joined,
    labels,
    notes_on_categories,
    numbers,
    refuse_missing,
    truths,
)
from recrun.data.datasets.file import paths_of_parts, split_of
from recrun.data.datasets.own_files import OwnFiles
from recrun.data.datasets.preparation import Preparation
from recrun.data.datasets.settings import LabelledRows, Shares
from recrun.data.datasets.source_files import SourceFile, refuse_twice
from recrun.data.fields import DenseField, Field, FieldTuple, SparseField
from recrun.data.formats.columns.used import unused_note
from recrun.data.formats.feature_file import LINE, FeatureFile
from recrun.data.formats.table import Ids, Layout, Table, data_error
from recrun.data.formats.values.dates import parse_format
from recrun.data.formats.values.ids import ids_of
from recrun.data.formats.values.time_column import Times, read_times
from recrun.data.interactions import ITEM, TIMESTAMP, USER, Interactions
from recrun.data.multi_columns.multi_field import NOTHING, MultiField
from recrun.data.multi_columns.shared_columns import check_shared, fitted_to, number_categories
from recrun.data.splits import PARTS
from recrun.errors import DataError
from recrun.registry import DATASETS
from recrun.registry.conditions import plain_name
from recrun.types import Annotated, AppliesIf, OptionalColumn, Registered

if TYPE_CHECKING:
    import polars as pl
    from typing_extensions import Unpack


@DATASETS.register("LabelledFile", labelled=True)
class LabelledFile(OwnFiles):
    """Labelled rows, such as clicks, from files of your own, with sparse and dense feature columns.

    Reads text with any separator (RecBole's atomic files too) and parquet. Features of users and of items may lie in
    files of their own. Categories and the scale of numbers are fitted on train.
    """

    is_transformed = True

    def __init__(
        self,
        root: str | Path = ".",
        *,
        path: str | None = None,
        train_path: str | None = None,
        valid_path: str | None = None,
        test_path: str | None = None,
        user_path: str | None = None,
        item_path: str | None = None,
        label_column: str = "label",
        label_threshold: float | None = None,
        user_column: str | None = None,
        item_column: str | None = None,
        time_column: OptionalColumn = None,
        sparse_columns: list[str] = [],  # noqa: B006 - never changed
        dense_columns: list[str] = [],  # noqa: B006 - never changed
        dense_transformer: Literal["none", "minmax", "standard"] = "standard",
        dense_na_value: float | None = None,
        split: Annotated[
            str,
            Registered(
                "splits",
                without=("leave_one_out", "leave_k", "k_fold", "cold_users", "new_users", "cold_items", "sessions"),
            ),
            AppliesIf("train_path is None", "the parts are given by train_path and test_path"),
        ] = "ratio",
        **settings: Unpack[LabelledRows],
    ) -> None:
        """Load the files.

        Args:
            root: the folder to which the paths are relative.
            path: the file that holds all rows, to be split.
            train_path: the file of the train part, where the parts are given.
            valid_path: the file of the validation part; without it `valid_ratio` of train is held out.
            test_path: the file of the test part.
            user_path: a file with a line of features for each user, under the name `user_column`.
            item_path: a file with a line of features for each item, under the name `item_column`.
            header: whether the first line is a header row; null infers it. Without one, columns are called 1, 2, ...
            label_column: the column of the label, 0 or 1, or true or false.
            label_threshold: the least value that is labelled 1, for a column of ratings, say; null for 0 and 1.
            user_column: the column of user ids, used as a feature and for the groups of gauc; null for none.
            item_column: the column of item ids, used as a feature; null for none.
            time_column: the column of times (numbers or dates) to split by, not a feature; null for none.
            sparse_columns: columns of categories; names, or patterns such as C*.
            dense_columns: columns of numbers; names, or patterns such as I*.
            dense_transformer: how numbers are scaled, fitted on train: to 0..1 (minmax), to mean 0 and standard
                deviation 1 (standard), or not at all (none).
            dense_na_value: the number that stands for a missing one, before scaling; null refuses missing numbers. A
                missing category is a category of its own.
            filter: the condition that the rows fulfil which are kept, such as click == 1; null keeps all.
            split: held out is a random share (of each user's rows, where there are users), the latest of all (time), or
                the latest of each user's (user_time).
            test_ratio: share of the rows that is tested on; not with given parts.
            valid_ratio: share of the rows that is validated on (of train, with given parts); 0 for none.
            **settings: how the files are written, and how many rows are held out.

        Raises:
            DataError: files or columns are missing, or hold values of the wrong kind.
        """
        if not (sparse_columns or dense_columns or self.settings["multi_columns"] or user_column or item_column):
            raise DataError("there are no features; name them with sparse_columns and dense_columns")
        for key, column in (("user", user_column), ("item", item_column)):
            if self.settings[f"{key}_path"] is not None and column is None:
                raise DataError(f"{key}_path needs {key}_column, the name of the ids in both files")
        if split == "user_time" and time_column is not None and user_column is None:
            raise DataError(f"split={split} needs user_column")
        if time_column == "":
            time_column = self.settings["time_column"] = None
        time_format = self.settings["time_format"]
        if time_format is not None:
            if time_column is None:
                raise DataError("time_format needs time_column, the name of the column of times")
            parse_format(time_format)
        if time_column is None and Preparation(split).find_split().needs_time:
            raise DataError(f"split={split} needs time_column")
        self._paths = paths_of_parts(
            "LabelledFile", path, {"train": train_path, "valid": valid_path, "test": test_path}
        )
        self._beside = {key: name for key, name in (("user", user_path), ("item", item_path)) if name is not None}
        shares = {key: self.settings[key] for key in Shares.__annotations__}
        preparation = Preparation(split=split_of(self._paths, split), duplicates="all", labelled=True, **shares)
        super().__init__(root, preparation)

    @classmethod
    def locations(cls, root: Path) -> list[Path]:
        return [root]

    def sources(self) -> Sequence[SourceFile]:
        return [SourceFile(name) for name in dict.fromkeys([*self._paths.values(), *self._beside.values()])]

    def read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
        import polars as pl

        refuse_twice(self._paths, self.hashes)
        tables = {part: self._open(files, name, selects=True) for part, name in self._paths.items()}
        beside = {key: self._open(files, name) for key, name in self._beside.items()}
        wanted = self.settings
        roles = {role: wanted[key] for role, key in ROLES.items() if wanted[key] is not None}
        if len(set(roles.values())) < len(roles):
            raise DataError(f"one column cannot have two roles: {roles}")
        chosen, notes, frames = Chosen({}, (), ()), [], []
        for table in tables.values():
            opened = {"rows": table, **beside}
            chosen = choose(opened, roles, wanted["sparse_columns"], wanted["dense_columns"], wanted["multi_columns"])
            check_shared(wanted["shared_columns"], chosen)
            frame = table.read([*roles.values(), *chosen.of("rows")], quantities=[roles[LABEL], *chosen.dense])
            notes += table.notes
            refuse_missing(frame, roles, table)
            for key, file in beside.items():
                frame, n_unknown = joined(frame, file, roles[key], chosen.of(key), chosen.dense)
                if n_unknown:
                    lacking = f"{n_unknown:,} of {frame.height:,} rows of {table.path.name} have"
                    one = f"{'an' if key == 'item' else 'a'} {key}"
                    notes.append(f"{lacking} {one} that {file.path.name} lacks; its features are missing there")
            frames.append(frame)
            for key, file in opened.items():
                notes += unused_note(file.path, chosen.unused[key])
        rows = pl.concat(frames)
        bounds = np.cumsum([0, *(frame.height for frame in frames)])
        columns = self._columns(rows, list(tables.values()), bounds, chosen, notes)
        return {
            part: self._table(
                table, rows[low:high], {name: values[low:high] for name, values in columns.items()}, notes
            )
            for (part, table), low, high in zip(tables.items(), bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        }

    def describe(self) -> dict[str, Any]:
        """Return statistics: rows of each part, the share of rows labelled 1, and the features."""
        n_rows = {part: len(self._parts[part]) for part in PARTS}
        ids = {"users": USER, "items": ITEM}
        n_ids = {what: len(getattr(self, f"{role}_ids")) for what, role in ids.items() if self._has(role)}
        n_positive = sum(float(rows.columns[LABEL].sum()) for rows in self._parts.values())
        features = [field for field in self.fields if field.match(tags.FEATURE)]
        return {
            **n_ids,
            **n_rows,
            "share_labelled_1": n_positive / sum(n_rows.values()),
            "sparse_fields": sum(field.match(tags.SPARSE) for field in features),
            "dense_fields": sum(field.match(tags.DENSE) for field in features),
            "columns": [field.name for field in features],
            "notes": list(self.notes),
        }

    def _has(self, role: str) -> bool:
        return self.settings[f"{role}_column"] is not None

    def _open(self, files: Mapping[str, Path], name: str, *, selects: bool = False) -> FeatureFile:
        layout = Layout(**{key: self.settings[key] for key in ("separator", "header", "encoding", "escape")})
        if selects:
            layout = replace(layout, filter=self.settings["filter"], drop_missing=self.settings["drop_missing"])
        return FeatureFile(files[name], layout, Path(plain_name(name)).suffix)

    def _columns(
        self, rows: pl.DataFrame, tables: Sequence[FeatureFile], bounds: np.ndarray, chosen: Chosen, notes: list[str]
    ) -> dict[str, np.ndarray]:
        """Return labels, category numbers (`MISSING` where there is none) and numbers (NaN) of the rows of all."""

        def fail(row: int, message: str, name: str = "") -> DataError:
            place = int(np.searchsorted(bounds, row, side="right")) - 1
            origin = self._beside.get(chosen.origin.get(name, ""))
            source = f" (it comes from {origin})" if origin else ""
            return data_error(tables[place].path, tables[place].line(int(rows[LINE][row])), f"{message}{source}")

        wanted, name = self.settings, chosen.roles[LABEL]
        columns = {LABEL: labels(numbers(truths(rows[name]), fail), wanted["label_threshold"], name, fail)}
        columns |= number_categories(rows, chosen, wanted["shared_columns"], wanted["multi_separator"], fail)
        for name in chosen.sparse:
            notes += notes_on_categories(rows[name], int(columns[name].max()) + 1)
        n_missing = {name: int((columns[name] == MISSING).sum()) for name in chosen.sparse}
        n_missing |= {name: int((columns[name] == NOTHING).all(axis=1).sum()) for name in chosen.multi}
        for name in chosen.dense:
            columns[name] = numbers(rows[name], partial(fail, name=name))
            missing = np.isnan(columns[name])
            n_missing[name] = int(missing.sum())
            if n_missing[name] and wanted["dense_na_value"] is None:
                told = f"the {name} is missing ({n_missing[name]} of {len(rows)} rows)"
                told += "; set dense_na_value, or take it out of dense_columns"
                raise fail(int(missing.argmax()), told, name)
        taken = dict.fromkeys((*chosen.sparse, *chosen.multi), "a category of their own")
        taken |= dict.fromkeys(wanted["shared_columns"], "an embedding of zeros")
        taken |= dict.fromkeys(chosen.dense, f"taken as {wanted['dense_na_value']}")
        for how in dict.fromkeys(taken.values()):
            found = {name: n_missing[name] for name in taken if n_missing[name] and taken[name] == how}
            if found:
                notes.append(f"missing values, {how}: {counts_listed(found)}")
        return columns

    def _table(self, file: FeatureFile, rows: pl.DataFrame, columns: dict[str, np.ndarray], notes: list[str]) -> Table:
        lines = rows[LINE].to_numpy()

        def line_of(row: int) -> int:
            return file.line(int(lines[row]))

        ids: dict[str, Ids] = {}
        for role in (USER, ITEM):
            if self._has(role):
                ids[role] = ids_of(rows[self.settings[f"{role}_column"]].alias(role), file.path, line_of)
            else:
                ids[role] = Ids.of_integers(np.zeros(len(rows), dtype=np.int64))
        times, name = Times(np.zeros(0)), self.settings["time_column"]
        if name is not None:
            time_format = self.settings["time_format"]
            times = read_times(rows[name].alias(TIMESTAMP), file.path, line_of, time_format=time_format, column=name)
            columns[TIMESTAMP] = times.values
        return Table(
            file.path,
            ids[USER],
            ids[ITEM],
            columns,
            line_of,
            time_is_date=times.are_dates,
            time_has_zone=times.have_zone,
            notes=tuple(dict.fromkeys([*notes, *times.notes])),
        )

    def _make_fields(self) -> FieldTuple:
        """Return the fields, fitted on what models are trained on."""
        wanted, train = self.settings, self._fitted_on().columns
        if train[LABEL].min() == train[LABEL].max():
            raise DataError(f"all labels of train are {train[LABEL][0]:g}, so there is nothing to learn")
        ids = [field for field in super()._make_fields() if field.match(tags.ID)]
        features: list[Field] = []
        alone: dict[str, SparseField] = {}
        shared = wanted["shared_columns"]
        for name in (name for name in train if name not in (LABEL, TIMESTAMP)):
            if train[name].ndim == 2:
                like = alone.get(shared.get(name, ""))
                features.append(MultiField(name, pooling=wanted["multi_pooling"], like=like).fit(train[name]))
            elif train[name].dtype.kind == "i":
                values = [train[name], *(train[other] for other in shared if shared[other] == name)]
                alone[name] = SparseField(name, tags=tags.FEATURE, na_value=MISSING).fit(fitted_to(values))
                features.append(alone[name])
            else:
                transformer, na_value = wanted["dense_transformer"], wanted["dense_na_value"]
                number = DenseField(name, tags=tags.FEATURE, na_value=na_value, transformer=transformer)
                features.append(number.fit(train[name]))
        return FieldTuple([*ids, *features, DenseField(LABEL, tags=tags.TARGET)])

    def _transform(self, part: str, rows: Interactions) -> Interactions:
        columns, n_unseen = dict(rows.columns), {}
        for field in self.fields:
            if field.match(tags.FEATURE):
                raw = columns[field.name]
                columns[field.name] = field.transform(raw)
                if isinstance(field, SparseField):
                    is_unseen = (raw != MISSING) & (columns[field.name] == field.na_index)
                    n_unseen[field.name] = int(is_unseen.sum())
        found = {name: count for name, count in n_unseen.items() if count}
        if found:
            self.notes.append(f"categories in {part} that train lacks, taken as missing: {counts_listed(found)}")
        return Interactions(rows.users, rows.items, columns)
