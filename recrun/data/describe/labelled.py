"""Describe a file of labelled rows: which column is what, and the settings of `LabelledFile` that read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recrun.data.datasets.feature_columns import choose
from recrun.data.datasets.labelled_file import LabelledFile
from recrun.data.describe.files import Description, FileReport
from recrun.data.describe.problems import LIMIT, Faults
from recrun.data.describe.propose import measurable_monitors
from recrun.data.formats.columns.names import LABELS, recognised
from recrun.data.formats.feature_file import FeatureFile
from recrun.data.formats.table import Layout
from recrun.data.interactions import ITEM, TIMESTAMP, USER
from recrun.errors import DataError
from recrun.registry.conditions import plain_name

if TYPE_CHECKING:
    import polars as pl


def is_labelled(path: Path, given: Mapping[str, Any]) -> bool:
    """Return whether a file has a column with a usual name for labels, and none for users or none for items."""
    if not path.is_file():
        return False
    try:
        names = _open(path, given).names
    except DataError:
        return False
    has_both = recognised(USER, names) and recognised(ITEM, names)
    return _label(names) is not None and not has_both


def describe_rows(path: Path, given: Mapping[str, Any], *, limit: int = LIMIT) -> Description:
    """Describe a file of labelled rows.

    Which features are numbers and which are categories is guessed from their values where it is not set.

    Args:
        path: the file.
        given: settings of the data set `LabelledFile`.
        limit: lines named of each kind of fault.

    Raises:
        DataError: there is no such file.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    report = FileReport("all", path, Faults(path, limit))
    description = Description([report], settings={"dataset": "LabelledFile", "root": str(path.parent)})
    description.settings |= {"path": path.name, **{key: value for key, value in given.items() if value is not None}}
    try:
        file = _open(path, given)
        frame = file.read(file.names, quantities=file.names)
        description.settings |= _guesses(file, frame, given)
        settings = {key: value for key, value in description.settings.items() if key not in ("dataset", "root")}
        data = LabelledFile(path.parent, **settings)
    except DataError as error:
        report.faults.add_error(error)
        return description
    report.is_read = True
    described = data.describe()
    columns = [_figures(name, frame[name], _role(name, data)) for name in file.names]
    description.statistics = {"labelled": {key: described[key] for key in _SHOWN if key in described}}
    description.statistics["labelled"] |= {"rows": frame.height, "columns": columns}
    description.notes, description.hashes = list(data.notes), dict(data.hashes)
    description.monitors = measurable_monitors(data, has_users=settings.get("user_column") is not None)
    return description


_SHOWN: Final = ("users", "items", "train", "valid", "test", "share_labelled_1", "sparse_fields", "dense_fields")


def _open(path: Path, given: Mapping[str, Any]) -> FeatureFile:
    layout = Layout(
        given.get("separator"), given.get("header"), given.get("encoding") or "utf-8", escape=given.get("escape")
    )
    layout = replace(layout, filter=given.get("filter"), drop_missing=given.get("drop_missing") or ())
    return FeatureFile(path, layout, Path(plain_name(path.name)).suffix)


def _label(names: list[str]) -> str | None:
    return next((name for usual in LABELS for name in names if name.lower() == usual), None)


def _guesses(file: FeatureFile, frame: pl.DataFrame, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that nobody gave: columns with usual names, features by their values, what is missing."""
    import polars as pl

    label = given.get("label_column") or _label(file.names)
    if label is None:
        return {}
    found: dict[str, Any] = {"label_column": label}
    for role, key in ((USER, "user_column"), (ITEM, "item_column"), (TIMESTAMP, "time_column")):
        places = recognised(role, file.names)
        if given.get(key) is None and len(places) == 1 and file.names[places[0]] != label:
            found[key] = file.names[places[0]]
    dense = list(given.get("dense_columns") or ())
    if not given.get("sparse_columns") and not dense:
        taken = {
            given.get(key) or found.get(key) for key in ("label_column", "user_column", "item_column", "time_column")
        }
        free = [name for name in file.names if name not in taken and not file.kind(name).endswith("_seq")]
        dense = [
            name for name in free if frame[name].cast(pl.Float64, strict=False).null_count() == _missing(frame[name])
        ]
        dense = [name for name in dense if file.kind(name) != "token" and _missing(frame[name]) < frame.height]
        found |= {"sparse_columns": [name for name in free if name not in dense], "dense_columns": dense}
    chosen = choose({"rows": file}, {"label": label}, [], dense).dense
    if given.get("dense_na_value") is None and any(_missing(frame[name]) for name in chosen):
        found["dense_na_value"] = 0.0
    return found


def _missing(values: pl.Series) -> int:
    return int(values.null_count())


def _role(name: str, data: LabelledFile) -> str:
    roles = {data.settings[f"{role}_column"]: role for role in ("label", "user", "item", "time")}
    if name in roles:
        return roles[name]
    fields = {field.name: type(field).__name__.removesuffix("Field").lower() for field in data.fields}
    return fields.get(name, "not used")


def _figures(name: str, values: pl.Series, role: str) -> dict[str, Any]:
    """Return what one column holds: missing and distinct values, and the range of numbers."""
    import polars as pl

    figures = {"name": name, "role": role, "missing": _missing(values), "distinct": values.drop_nulls().n_unique()}
    if role in ("dense", "label"):
        found = values.cast(pl.Float64)
        figures |= {"min": found.min(), "mean": found.mean(), "max": found.max()}
    return figures
