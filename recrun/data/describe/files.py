"""Describe files and data sets: layout, faults, what recrun does about them, and statistics.

The reader that training uses always decides whether a file can be used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.file import format_of
from recrun.data.datasets.pieces import are_many, find_pieces, join_tables, refuse_repeated
from recrun.data.datasets.preparation import WHOLE, Preparation, prepare
from recrun.data.describe.check_table import examine_table
from recrun.data.describe.find_parts import fixed_parent, has_parts, parts_in
from recrun.data.describe.guess_columns import take_roles
from recrun.data.describe.layout import LAYOUT_KEYS, Sniffed, sniff
from recrun.data.describe.problems import KEEP, LIMIT, REFUSE, Faults
from recrun.data.describe.propose import measurable_monitors, n_full_users, propose_command, propose_config
from recrun.data.describe.sound_rows import read_sound_rows
from recrun.data.formats.columns.roles import RolesError
from recrun.data.formats.opening import content_digests
from recrun.data.formats.table import Table
from recrun.data.formats.values.ids import union_ids
from recrun.data.postprocessing.mode import Mode
from recrun.data.splits import PARTS
from recrun.data.statistics import statistics
from recrun.errors import DataError
from recrun.registry import DATASETS


@dataclass
class FileReport:
    """What is known of one file.

    Args:
        part: "all", "train", "valid" or "test".
        path: the file.
        faults: what is wrong or surprising.
        sniffed: its layout, if it has one.
        table: its rows, without those that are at fault.
        is_read: whether training reads it, with the settings that were found.
    """

    part: str
    path: Path
    faults: Faults
    sniffed: Sniffed | None = None
    table: Table | None = None
    is_read: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it holds no interactions, and nothing else is wrong with it."""
        return any(fault.kind == "empty" for fault in self.faults)


@dataclass
class Description:
    """What is known of some data.

    Args:
        files: one report a file; none for a data set that is described as a whole.
        statistics: figures; empty when nothing could be read.
        notes: what a user should know.
        settings: keys of a config that read the data.
        hashes: checksums of the files' content, and of the parts.
        monitors: the metrics of labelled rows, where they are not those of the config of deepfm.
    """

    files: list[FileReport] = field(default_factory=list)
    statistics: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    monitors: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether training would start on the data."""
        return all(report.is_read and not report.faults.is_refused for report in self.files)

    @property
    def config(self) -> dict[str, Any]:
        """The keys of a config that trains on the data."""
        return propose_config(self.settings, self.statistics)

    @property
    def command(self) -> str:
        """The command that trains on the data."""
        return propose_command(self.config, self.statistics, self.monitors)

    def document(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "usable": self.is_usable,
            "files": [
                {
                    "part": report.part,
                    "path": str(report.path),
                    "read": report.is_read,
                    "layout": None if report.sniffed is None else report.sniffed.document(),
                    "faults": [fault.document() for fault in report.faults],
                }
                for report in self.files
            ],
            "statistics": self.statistics,
            "notes": self.notes,
            "config": self.config,
            "command": self.command,
            "hashes": self.hashes,
        }


def describe_dataset(name: str, root: str, settings: Mapping[str, Any]) -> Description:
    """Load a registered data set and describe it.

    Args:
        name: its name, or `./file.py:Name`.
        root: the folder of data sets.
        settings: its settings.

    Raises:
        RegistryError: there is no such data set.
        DataError: it cannot be loaded.
    """
    data: RecDataSet = DATASETS.get(name)(root, **settings)
    modes: tuple[Mode, ...] = ("train", "valid", "test")
    rows = {part: data.interactions(part) for part in modes}
    chosen = {"dataset": name, **({"root": root} if data.sources() else {}), **settings}
    monitors: tuple[str, ...] = ()
    if DATASETS.describe(name).traits.labelled:
        monitors = measurable_monitors(
            data, has_users=settings.get("user_column") is not None or not data.is_transformed
        )
    if data.is_transformed:
        figures = {"labelled": {**data.describe(), "rows": sum(map(len, rows.values())), "columns": []}}
        return Description([], figures, list(data.notes), chosen, dict(data.hashes), monitors)
    names = list(rows["train"].columns)
    users, items = (np.concatenate([getattr(part, what) for part in rows.values()]) for what in ("users", "items"))
    columns = {column: np.concatenate([part.columns[column] for part in rows.values()]) for column in names}
    n_full = n_full_users(rows["train"], data.n_users, data.n_items)
    counts = {"parts": {part: len(found) for part, found in rows.items()}, "users_with_every_item": n_full}
    figures = statistics(users, items, columns) | counts
    return Description([], figures, list(data.notes), chosen, dict(data.hashes), monitors)


def describe_path(path: Path, given: Mapping[str, Any], *, limit: int = LIMIT) -> Description:
    """Describe a file, or the files of a folder that are the parts of a data set.

    Args:
        path: a file of interactions; with `test_path` among the settings, of the train part.
        given: settings of the data set `File`.
        limit: lines named of each kind of fault.

    Raises:
        DataError: there is no such file, or it is unclear which files are meant.
    """
    if given.get("format") is not None:
        format_of(path.name, given["format"])
    paths = _paths(path, given)
    layout = {key: given[key] for key in ("format", *LAYOUT_KEYS) if given.get(key) is not None}
    reports: list[FileReport] = []
    for part in (WHOLE, *PARTS):
        if part in paths:
            # The parts of a data set are read in one way: the first one tells.
            known = {**reports[0].sniffed.settings, **layout} if reports and reports[0].sniffed else layout
            reports.append(_describe_file(part, paths[part], known, limit))
    description = Description(reports)
    tables = {report.part: report.table for report in reports if report.table is not None}
    if tables:
        description.statistics = _figures(tables)
    if description.is_usable:
        _prepare(description, tables, given)
    description.settings = _config(reports, given)
    return description


def _describe_pieces(part: str, path: Path, given: Mapping[str, Any], limit: int) -> FileReport:
    """Describe a folder or a pattern as the one table that its files are read as."""
    report = FileReport(part, path, Faults(path, limit))
    reports: list[FileReport] = []
    try:
        for piece in find_pieces(path):
            known = {**reports[0].sniffed.settings, **given} if reports and reports[0].sniffed else given
            reports.append(_describe_file(part, piece, known, limit, is_piece=True))
        format = reports[0].sniffed.format if reports[0].sniffed else ""
        hashes = {each.path.name: content_digests(each.path)[0] for each in reports if each.table is not None}
        refuse_repeated(hashes)
        tables = [each.table for each in reports if each.table is not None]
        report.table = join_tables(path, tables, format) if tables else None
    except DataError as error:
        report.faults.add(error.kind or "refused", str(error))
    for each in reports:
        # Training leaves out files that hold no interactions.
        report.faults.take(each.faults, without=() if each is reports[0] else ("format",))
    report.sniffed = reports[0].sniffed if reports else None
    report.is_read = report.table is not None and all(each.is_read for each in reports if not each.is_empty)
    if report.table is not None:
        table = report.table
        found = Faults(path, limit)
        examine_table(replace(table, line_of=lambda row: row), found)
        report.faults.take(found, where=table.where)
    return report


def _describe_file(
    part: str, path: Path, given: Mapping[str, Any], limit: int, *, is_piece: bool = False
) -> FileReport:
    if are_many(path):
        return _describe_pieces(part, path, given, limit)
    report = FileReport(part, path, Faults(path, limit))
    try:
        report.sniffed = sniff(path, given, report.faults)
    except DataError as error:
        report.faults.add(error.kind or "not-data", error.message)
        return report
    report.table, report.is_read = _read(report.sniffed, report.faults)
    if report.is_read:
        for fault in report.faults:
            fault.action = KEEP if fault.action == REFUSE else fault.action
    if report.table is not None and not is_piece:
        examine_table(report.table, report.faults)
    return report


def _read(sniffed: Sniffed, faults: Faults) -> tuple[Table | None, bool]:
    """Read what training reads; where it refuses the positions of columns, read those that it proposes."""
    try:
        return read_sound_rows(sniffed, faults)
    except RolesError as error:
        take_roles(error, sniffed.settings, faults)
        if not error.settings:
            return None, False
    try:
        return read_sound_rows(sniffed, faults)
    except RolesError as error:
        faults.add("column-role", error.message)
        return None, False


def _paths(path: Path, given: Mapping[str, Any]) -> dict[str, Path]:
    """Return the file of each part, or of the whole under "all"."""
    others = {part: given[f"{part}_path"] for part in ("valid", "test") if given.get(f"{part}_path") is not None}
    if path.is_dir():
        if others:
            raise DataError(f"{path} is a folder; name the file of the train part instead")
        return parts_in(path) if has_parts(path) else {WHOLE: path}
    if not path.is_file() and not are_many(path):
        what = "it is not a regular file" if path.exists() else "there is no such file, and no data set of that name"
        raise DataError(f"{path}: {what}")
    if "valid" in others and "test" not in others:
        raise DataError("valid_path goes with test_path")
    if not others:
        return {WHOLE: path}
    return {"train": path, **{part: _beside(path, name) for part, name in others.items()}}


def _beside(path: Path, name: str) -> Path:
    found = next((place for place in (path.parent / name, Path(name)) if place.is_file()), None)
    if found is None:
        raise DataError(f"there is no file {path.parent / name}, nor {name}")
    return found


def _figures(tables: Mapping[str, Table]) -> dict[str, Any]:
    users, items = (union_ids([getattr(table, what) for table in tables.values()]) for what in ("users", "items"))
    names = set.intersection(*(set(table.columns) for table in tables.values()))
    columns = {
        name: np.concatenate([table.columns[name] for table in tables.values()])
        for name in next(iter(tables.values())).columns
        if name in names
    }
    return statistics(users.codes, items.codes, columns) | {
        "rows": {part: len(table) for part, table in tables.items()}
    }


def _prepare(description: Description, tables: Mapping[str, Table], given: Mapping[str, Any]) -> None:
    """Split the tables as training would, to see whether it can."""
    options = {option.name: given[option.name] for option in fields(Preparation) if option.name in given}
    if WHOLE not in tables and options.pop("split", "ratio") != "ratio":
        description.files[0].faults.add("refused", "split splits one file, and the parts are given already")
        return
    split = options.pop("split", "ratio") if WHOLE in tables else "given"
    try:
        prepared = prepare(tables, Preparation(split=split, **options))
    except DataError as error:
        report = next((each for each in description.files if each.path == error.path), description.files[-1])
        report.faults.add_error(error)
        return
    description.statistics["parts"] = {part: len(rows) for part, rows in prepared.parts.items()}
    sizes = len(prepared.user_ids), len(prepared.item_ids)
    description.statistics["users_with_every_item"] = n_full_users(prepared.parts["train"], *sizes)
    description.notes += prepared.notes


def _config(reports: Sequence[FileReport], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a config that read the files as they were read here."""
    folder = fixed_parent(reports[0].path)
    keys = {WHOLE: "path", **{part: f"{part}_path" for part in PARTS}}
    paths = {
        keys[report.part]: (
            str(report.path.relative_to(folder)) if folder in report.path.parents else str(report.path.absolute())
        )
        for report in reports
    }
    layout = reports[0].sniffed.settings if reports[0].sniffed else {}
    rest = {key: value for key, value in given.items() if key not in layout and key not in paths and value is not None}
    return {"dataset": "File", "root": str(folder), **paths, **layout, **rest}
