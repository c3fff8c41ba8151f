"""List runs with their status, settings and metrics, filtered and sorted."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recrun.errors import CheckpointError, ConfigError, Fault, nearest
from recrun.files import is_held, read_regular
from recrun.runs.records import MAX_JSON, check_schema, read_json, read_json_if_there, refuse_foreign
from recrun.runs.row_values import check_metrics, check_record, check_settings
from recrun.runs.scan import find_folders
from recrun.runs.status import INTERRUPTED, PAUSED, PRUNED, PrunedRuns, status_in

if TYPE_CHECKING:
    from recrun.config.reading import Place

DAMAGED: Final = "damaged"
KILLED: Final = "killed"
"""The status shown for a run whose run.json says `running` although no process holds its lock."""
_STATUSES: Final = ("running", "done", "failed", INTERRUPTED, PAUSED, PRUNED, KILLED, DAMAGED)
_FILTER: Final = re.compile(r"(?P<key>[A-Za-z_][\w.@-]*?)\s*(?P<sign><=|>=|!=|==|=|<|>)(?P<value>.*)", re.DOTALL)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": lambda one, other: one < other,
    ">": lambda one, other: one > other,
    "<=": lambda one, other: one <= other,
    ">=": lambda one, other: one >= other,
}
_OF_THE_RUN: Final = (
    "name",
    "run",
    "status",
    "started",
    "best_epoch",
    "which4best",
    "seconds",
    "test_evaluations",
    "cause",
)
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
    pruned = PrunedRuns()
    rows = [describe(path, pruned) for path in find_folders(root)]
    # What is removed while it is read is not damaged.
    rows = [row for row in rows if row["status"] != DAMAGED or os.path.lexists(row["run"])]
    sorted_by = [] if sort is None else [sort.removeprefix("-")]
    shown = [(option, key) for option, keys in (("--sort", sorted_by), ("--columns", columns)) for key in keys]
    rows = meeting(rows, filters, shown)
    if sort is None:
        return rows
    key = sort.removeprefix("-")
    orders = [_order(value_of(row, key)) for row in rows]
    with_value = [(order, row) for order, row in zip(orders, rows, strict=True) if order is not None]
    without = [row for order, row in zip(orders, rows, strict=True) if order is None]
    return [row for _, row in sorted(with_value, key=lambda pair: pair[0], reverse=sort != key)] + without


def meeting(
    rows: Sequence[dict[str, Any]], filters: Sequence[Filter], shown: Sequence[tuple[str, str]] = ()
) -> list[dict[str, Any]]:
    """Return the rows of runs that meet all conditions.

    Args:
        rows: rows as of `describe`.
        filters: the conditions.
        shown: further keys that must be known, each after the option that names it.

    Raises:
        ConfigError: there are runs, and none has a key.
    """
    if rows and (filters or shown):
        from recrun.config.reading import Place

        keys = [(each.key, each.place) for each in filters] + [(key, Place(option)) for option, key in shown]
        _refuse_unknown(keys, rows)
    return [row for row in rows if all(each.takes(row) for each in filters)]


def is_condition(text: str) -> bool:
    """Return whether a text has the form of a condition, such as `lr=1e-3`."""
    return _FILTER.fullmatch(text) is not None


def read_filter(text: str, position: int) -> Filter:
    """Read a condition from the command line.

    Raises:
        ConfigError: it is not a condition.
    """
    from recrun.config.reading import Place
    from recrun.config.yaml_reader import read_value  # these imports take longer than listing a few runs

    match = _FILTER.fullmatch(text)
    if match is None:
        message = f"expected KEY=VALUE (or !=, <, <=, >, >=), found {text!r}"
        raise ConfigError(Fault(message, file=f"argument {position}"))
    place = Place(f"argument {position}", None, match.start("value") + 1)
    given, faults = read_value(match["value"], place)
    if given is None or faults:
        raise ConfigError(faults or [place.fault("expected a value", match["key"])])
    key, sign, text = match["key"], match["sign"].replace("==", "="), match["value"].strip()
    if key == "status" and given.value not in _STATUSES:
        message = f"no run has this status; expected one of {', '.join(_STATUSES)}"
        raise ConfigError(place.fault(message, key, nearest(text, _STATUSES)))
    return Filter(key, sign, given.value, text, Place(place.file, None, 1))


def describe(path: str, pruned: PrunedRuns | None = None) -> dict[str, Any]:
    """Return the row of a run's folder, as `recrun list runs --json` prints it; damaged runs are marked as such.

    Args:
        path: the folder.
        pruned: what is known of the sweeps of several runs, so that each is read once.
    """
    record, settings, metrics, problem = _content(path)
    status = DAMAGED if problem else status_in(record)
    if status == "running" and not is_held(Path(path, ".lock")):
        status = KILLED
    elif status == PAUSED and path in (PrunedRuns() if pruned is None else pruned):
        status = PRUNED
    ledger = record.get("test_evaluations") or ()
    return {
        "name": os.path.basename(path),
        "run": path,
        "status": status,
        "config": f"{path}{os.sep}config.yaml",
        "started": record.get("started"),
        "best_epoch": metrics.get("best_epoch"),
        "which4best": record.get("which4best"),
        "valid": metrics.get("valid"),
        "test": metrics.get("test"),
        "seconds": (metrics.get("seconds") or {}).get("total"),
        "undefined": metrics.get("undefined") or {},
        "test_evaluations": sum(entry.get("metrics") is not None for entry in ledger),
        "cause": problem or record.get("cause"),
        "settings": settings,
    }


def value_of(row: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key in a run's row: a setting, a metric or another column."""
    split, dot, metric = key.partition(".")
    if dot and f"{split}." in _SCORES:
        scores = row[split] or {}
        return scores.get(metric, scores.get(metric.lower(), _MISSING))
    return row[key] if key in _OF_THE_RUN else row["settings"].get(key, _MISSING)


def found_value(row: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key, or None if the run has none."""
    value = value_of(row, key)
    return None if isinstance(value, _Missing) else value


def shown_value(row: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key for a table, or None if the run has none."""
    value = found_value(row, key)
    return str(value) if isinstance(value, (list, bool)) else value


def _refuse_unknown(keys: Sequence[tuple[str, Place]], rows: Sequence[Mapping[str, Any]]) -> None:
    from recrun.config.settings import RUN, TRAINING

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


def _content(path: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], str | None]:
    """Return a run's record, settings and final numbers, each empty if it is damaged; and the first damage found."""
    try:
        refuse_foreign(path, thorough=False)
    except CheckpointError as error:
        return {}, {}, {}, str(error)
    problems = []

    def read(reader: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        try:
            return reader(*arguments)
        except CheckpointError as error:
            problems.append(str(error))
            return {}

    record = read(_record, f"{path}{os.sep}run.json")
    settings = read(_settings, path, record)
    metrics = read(_final_numbers, f"{path}{os.sep}metrics.json")
    return record, settings, metrics, problems[0] if problems else None


def _record(file: str) -> dict[str, Any]:
    """Return the content of run.json."""
    record = read_json(file)
    check_schema(record, file)
    check_record(record, file)
    return record


def _settings(path: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in config.yaml; run.json repeats them in JSON, which is read much faster than YAML."""
    settings, file = record.get("settings"), f"{path}{os.sep}config.yaml"
    if isinstance(settings, dict):
        try:
            content = read_regular(file, limit=MAX_JSON, follow=False)
        except OSError as error:
            raise CheckpointError(f"cannot read {file}: {error.strerror}") from None
        if sha256(content).hexdigest() == record.get("config_sha256"):
            return check_settings(settings, f"{path}{os.sep}run.json")
    from recrun.runs.folder import RunFolder  # it imports YAML

    return check_settings(RunFolder(path).read_settings(), file)


def _final_numbers(file: str) -> dict[str, Any]:
    """Return the content of metrics.json; empty if there is none."""
    metrics = read_json_if_there(file)
    return {} if metrics is None else check_metrics(metrics, file)
