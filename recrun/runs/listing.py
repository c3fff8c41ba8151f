"""List runs with their status, settings and metrics, filtered and sorted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recrun.config.settings import RUN, TRAINING
from recrun.config.yaml_reader import Place, read_value
from recrun.errors import CheckpointError, ConfigError, Fault, nearest
from recrun.runs.find import find_runs
from recrun.runs.folder import RunFolder, read_json

DAMAGED: Final = "damaged"
KILLED: Final = "killed"
"""The status shown for a run whose run.json says `running` although no process holds its lock."""
_FILTER: Final = re.compile(r"(?P<key>[A-Za-z_][\w.@-]*?)\s*(?P<sign><=|>=|!=|=|<|>)(?P<value>.*)", re.DOTALL)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": lambda one, other: one < other,
    ">": lambda one, other: one > other,
    "<=": lambda one, other: one <= other,
    ">=": lambda one, other: one >= other,
}
_OF_THE_RUN: Final = ("name", "run", "status", "started", "best_epoch", "which4best", "test_evaluations", "cause")


_SCORES: Final = ("valid.", "test.")


@dataclass(frozen=True)
class Filter:
    """A condition on a run, such as `lr=1e-3` or `valid.ndcg@20>0.2`.

    Args:
        key: a setting, `valid.METRIC`, `test.METRIC`, or another column (`status`, `best_epoch` ...).
        sign: `=`, `!=`, `<`, `<=`, `>` or `>=`.
        value: the value to compare with.
        text: that value as it was written.
        place: where the condition was written.
    """

    key: str
    sign: str
    value: Any
    text: str
    place: Place

    def takes(self, row: Mapping[str, Any]) -> bool:
        """Return whether a run meets the condition; a run without such a value, or with an undefined one, does not."""
        found = value_of(row, self.key)
        if found is _MISSING or (found is None and self.key.startswith(_SCORES) and self.value is not None):
            return False
        if self.sign in ("=", "!="):
            is_equal = found == self.value and isinstance(found, bool) == isinstance(self.value, bool)
            return (is_equal or found == self.text) == (self.sign == "=")
        if isinstance(found, str):
            return _COMPARE[self.sign](found, self.text)
        return _is_number(found) and _is_number(self.value) and _COMPARE[self.sign](found, self.value)


class _Missing:
    """Marks a value that a run does not have."""


_MISSING: Final = _Missing()


def list_runs(
    root: str | Path, conditions: Sequence[str] = (), sort: str | None = None, columns: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return a row for each run below a folder, in the order in which they were created unless sorted.

    Args:
        root: the folder of all runs.
        conditions: only runs that meet all of these are returned; see `Filter`.
        sort: a key to sort by, smallest first; with `-` before it, largest first. Runs without a value come last.
        columns: keys that are to be shown; they must be known as those of conditions.

    Raises:
        ConfigError: a condition cannot be read, or no run has a key.
    """
    filters = [read_filter(text, position) for position, text in enumerate(conditions, start=1)]
    rows = [describe(run) for run in find_runs(root)]
    if rows:
        _refuse_unknown([*((each.key, each.place) for each in filters), *_sort_key(sort), *_column_keys(columns)], rows)
    rows = [row for row in rows if all(each.takes(row) for each in filters)]
    if sort is None:
        return rows
    key = sort.removeprefix("-")
    with_value = [row for row in rows if _order(value_of(row, key)) is not None]
    without = [row for row in rows if _order(value_of(row, key)) is None]
    return sorted(with_value, key=lambda row: _order(value_of(row, key)) or (0, 0), reverse=sort != key) + without


def read_filter(text: str, position: int) -> Filter:
    """Read a condition from the command line.

    Raises:
        ConfigError: it is not a condition.
    """
    match = _FILTER.fullmatch(text)
    if match is None:
        message = f"expected KEY=VALUE (or !=, <, <=, >, >=), found {text!r}"
        raise ConfigError(Fault(message, file=f"argument {position}"))
    place = Place(f"argument {position}", None, match.start("value") + 1)
    given, faults = read_value(match["value"], place)
    if given is None or faults:
        raise ConfigError(faults or [place.fault("expected a value", match["key"])])
    return Filter(match["key"], match["sign"], given.value, match["value"].strip(), Place(place.file, None, 1))


def describe(run: RunFolder) -> dict[str, Any]:
    """Return a run's row, as `recrun list runs --json` prints it; damaged runs are marked as such."""
    found: list[dict[str, Any]] = []
    problems = []
    for read in (run.read_run, run.read_settings, lambda: _final_numbers(run)):
        try:
            found.append(read())
        except CheckpointError as error:
            found.append({})
            problems.append(str(error))
    record, settings, metrics = found
    status = DAMAGED if problems else str(record.get("status"))
    if status == "running" and not run.is_running:
        status = KILLED
    ledger = record.get("test_evaluations")
    entries = [entry for entry in ledger if isinstance(entry, dict)] if isinstance(ledger, list) else []
    return {
        "name": run.path.name,
        "run": str(run.path),
        "status": status,
        "config": str(run.config_file),
        "started": record.get("started"),
        "best_epoch": metrics.get("best_epoch"),
        "which4best": record.get("which4best"),
        "valid": _numbers(metrics.get("valid")),
        "test": _numbers(metrics.get("test")),
        "undefined": metrics.get("undefined") or {},
        "test_evaluations": sum(entry.get("metrics") is not None for entry in entries),
        "cause": problems[0] if problems else record.get("cause"),
        "settings": settings,
    }


def value_of(row: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key in a run's row: a setting, a metric or another column."""
    split, dot, metric = key.partition(".")
    if dot and f"{split}." in _SCORES:
        return (row[split] or {}).get(metric.lower(), _MISSING)
    return row[key] if key in _OF_THE_RUN else row["settings"].get(key, _MISSING)


def shown_value(row: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key for a table, or None if the run has none."""
    value = value_of(row, key)
    return None if isinstance(value, _Missing) else str(value) if isinstance(value, (list, bool)) else value


def _sort_key(sort: str | None) -> list[tuple[str, Place]]:
    return [] if sort is None else [(sort.removeprefix("-"), Place("--sort"))]


def _column_keys(columns: Sequence[str]) -> list[tuple[str, Place]]:
    return [(key, Place("--columns")) for key in columns]


def _refuse_unknown(keys: Sequence[tuple[str, Place]], rows: Sequence[Mapping[str, Any]]) -> None:
    known = {*_OF_THE_RUN, *(parameter.name for parameter in (*RUN, *TRAINING))}
    for row in rows:
        known.update(row["settings"])
        known.update(f"{split}.{name}" for split in ("valid", "test") for name in row[split] or {})
    faults = [
        place.fault("no run has such a setting or metric", key, nearest(key, known))
        for key, place in keys
        if key not in known and key.lower() not in known
    ]
    if faults:
        raise ConfigError(faults)


def _order(value: Any) -> tuple[int, Any] | None:
    """Return the sort key of a value, numbers before text, or None if it cannot be sorted."""
    if _is_number(value) or isinstance(value, bool):
        return 0, value
    return (1, value) if isinstance(value, str) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _final_numbers(run: RunFolder) -> dict[str, Any]:
    return read_json(run.metrics_file) if run.metrics_file.exists() else {}


def _numbers(values: Any) -> dict[str, Any] | None:
    return values if isinstance(values, dict) else None
