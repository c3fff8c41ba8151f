"""Make tables of results from finished runs: a table for the same parts of a data set, a row for the same settings."""

from __future__ import annotations

import hashlib
import math
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from recrun.compare.entry import Entry, read_entry
from recrun.compare.groups import code_of
from recrun.compare.select import listed, select
from recrun.config.monitor_names import is_error, parse_monitor
from recrun.config.yaml_writer import dump_value
from recrun.errors import ConfigError, RecrunError, RegistryError, nearest
from recrun.evaluation.protocol_text import protocol_text
from recrun.files import to_json
from recrun.registry import DATASETS
from recrun.report.terminal.lines import counted
from recrun.runs.provenance import SPLIT
from recrun.runs.records import read_json
from recrun.sweep.points import REPEATS
from recrun.upkeep.board.document import Published, Row, Table, read_tables
from recrun.upkeep.board.merge import merged
from recrun.upkeep.board.origin import REPORTED, Origin, origin_of

_COUNTS: Final = ("users", "items", "train", "valid", "test")
_DRAWN: Final = ("split_seed", "test_fold")
"""Repeats that change the parts of the data."""


@dataclass(frozen=True)
class _Run:
    """A finished run.

    Args:
        entry: what a comparison needs of it.
        record: its run.json.
    """

    entry: Entry
    record: Mapping[str, Any]

    @property
    def ranked(self) -> str:
        """Among which candidates it ranked, in words; "" if among all items."""
        protocol = self.entry.protocol
        if protocol is None:
            return ""
        digest = protocol.get("sha256")
        return protocol_text(protocol) + (f" (SHA-256 {digest[:12]})" if isinstance(digest, str) else "")

    @property
    def parts(self) -> str:
        return self.entry.data.get(SPLIT, f"of {self.entry.path}")

    @property
    def repeat(self) -> dict[str, Any]:
        return {key: self.entry.settings[key] for key in REPEATS if key in self.entry.settings}


def collect(
    arguments: Sequence[str], root: str | Path = "runs", metrics: Sequence[str] = ()
) -> tuple[list[Table], list[str]]:
    """Return tables of the runs that arguments name, and notes on what was left out.

    Args:
        arguments: run folders, sweep folders, folders of runs, and conditions, as `recrun compare` takes them; and JSON
            files of tables that were written before, to which the runs are added.
        root: the folder of runs that is meant where only conditions are given.
        metrics: the metrics that are kept; all, if there are none.

    Raises:
        ConfigError: an argument is none of these, a file holds no tables, or there is no finished run with metrics on
            test, or none with a metric.
        CheckpointError: a run's folder is damaged.
    """
    files = [each for each in arguments if each.endswith(".json") and Path(each).is_file()]
    tables = [table for file in files for table in read_tables(file)]
    others = [each for each in arguments if each not in files]
    notes: list[str] = []
    if others:
        selection = select(others, root)
        runs, notes = _read(selection.rows)
        notes = [*selection.notes, *notes]
        tables += _tables(runs, notes)
    tables = sorted(
        map(_sorted, merged(tables, notes)), key=lambda each: (each.dataset, to_json(dict(each.protocol)), *each.key)
    )
    return _with_metrics(tables, metrics), notes


def _read(rows: Iterable[Mapping[str, Any]]) -> tuple[list[_Run], list[str]]:
    runs, untested = [], []
    for row in rows:
        entry = read_entry(row, "test")
        if entry is None:
            untested.append(row["run"])
        else:
            runs.append(_Run(entry, read_json(Path(entry.path) / "run.json")))
    if not runs:
        raise ConfigError(f"no run has metrics on test: {listed(untested)}")
    has = "has" if len(untested) == 1 else "have"
    return runs, [f"left out: {listed(untested)} {has} no metrics on test"] if untested else []


def _tables(runs: Iterable[_Run], notes: list[str]) -> list[Table]:
    """Return the tables of runs, each with one row.

    Runs whose parts are drawn anew for each of them, by another `split_seed` or fold, are one row, and in another table
    than runs on the same parts.
    """
    ways: dict[tuple[str, str], dict[str, _Run]] = {}
    for run in sorted(runs, key=lambda each: each.entry.started):
        seen = ways.setdefault((_files(run), _id(run.entry)), {})
        repeat = to_json(run.repeat, default=str)
        if repeat in seen:
            notes.append(f"{seen[repeat].entry.path} has the settings and the seed of {run.entry.path}, which counts")
        seen[repeat] = run
    found = []
    for (_, id), seen in ways.items():
        members = sorted(
            seen.values(), key=lambda each: to_json([each.repeat.get(key) for key in REPEATS], default=str)
        )
        by_parts: dict[str, list[_Run]] = {}
        for run in members:
            by_parts.setdefault(run.parts, []).append(run)
        is_drawn_anew = len(by_parts) == len(members) > 1 and len({_drawn(run) for run in members}) == len(members)
        for group in [members] if is_drawn_anew else by_parts.values():
            found.append(_table(group, id))
    return found


def _files(run: _Run) -> str:
    """Return what tells the files of a data set apart, and among what is ranked."""
    files = {name: digest for name, digest in run.entry.data.items() if name != SPLIT}
    return to_json([str(run.entry.settings.get("dataset")), files, run.ranked], default=str)


def _id(entry: Entry) -> str:
    identity = {key: text for key, text in entry.identity.items() if key not in (*REPEATS, *REPORTED)}
    identity |= code_of(entry, identity)
    return hashlib.sha256(to_json(dict(sorted(identity.items()))).encode()).hexdigest()[:12]


def _drawn(run: _Run) -> str:
    return to_json([run.repeat.get(key) for key in _DRAWN], default=str)


def _table(runs: Sequence[_Run], id: str) -> Table:
    settings = runs[0].entry.settings
    counts = [_counts(run.record) for run in runs]
    return Table(
        dataset=str(settings.get("dataset")),
        protocol=_protocol(settings, drawn_anew=len({run.parts for run in runs}) > 1),
        parts=tuple(dict.fromkeys(run.parts for run in runs)),
        ranked=runs[0].ranked,
        counts=counts[0] if all(each == counts[0] for each in counts) else {},
        rows=(_row(runs, id),),
    )


def _counts(record: Mapping[str, Any]) -> dict[str, int]:
    found = record.get("statistics")
    known = found if isinstance(found, dict) else {}
    return {key: known[key] for key in _COUNTS if type(known.get(key)) is int}


def _protocol(settings: Mapping[str, Any], *, drawn_anew: bool) -> dict[str, str]:
    """Return the split, and the settings of the data set that are not as they are by default."""
    try:
        parameters = DATASETS.describe(str(settings.get("dataset"))).parameters
    except RegistryError:  # of a file that is gone
        return {}
    differing = [
        each.name
        for each in parameters
        if each.name in settings and (each.name == "split" or settings[each.name] != each.default)
    ]
    left_out = _DRAWN if drawn_anew else ()
    return {name: dump_value(_without_folder(settings[name])) for name in differing if name not in left_out}


def _without_folder(value: Any) -> Any:
    """Return a setting without the folder of a file that it names, which is of this machine."""
    return os.path.basename(value) if isinstance(value, str) and os.path.isabs(value) else value


def _row(runs: Sequence[_Run], id: str) -> Row:
    first, newest = runs[0], max(runs, key=lambda each: each.entry.started)
    argv, folder = newest.record.get("argv"), newest.record.get("working_folder")
    words = [each for each in argv if isinstance(each, str)] if isinstance(argv, list) else []
    origin = origin_of(newest.entry.settings, words, folder if isinstance(folder, str) else ".")
    names = dict.fromkeys(name for run in runs for name in run.entry.values)
    costs = [cost if isinstance(cost := run.record.get("cost"), dict) else {} for run in runs]
    seconds = [float(cost["wall_seconds"]) for cost in costs if _is_number(cost.get("wall_seconds"))]
    memory = [int(cost["peak_memory_mb"] * (1 << 20)) for cost in costs if _is_number(cost.get("peak_memory_mb"))]
    return Row(
        id=id,
        model=first.entry.model,
        config=origin.config or "",
        overrides=(*origin.overrides, *_fixed_repeats(runs, origin)),
        repeats=tuple(run.repeat for run in runs),
        which4best=str(first.entry.which4best or ""),
        metrics={name: tuple(_value(run.entry.values.get(name)) for run in runs) for name in names},
        published=tuple(
            Published(each.metric, each.value, each.source or "", each.protocol or "")
            for each in origin.published
            if each.split == "test"
        ),
        seconds=statistics.fmean(seconds) if seconds else None,
        peak_memory=max(memory, default=None),
        device=_device(newest.record),
        version=newest.entry.version,
        date=newest.entry.started[:10],
    )


def _fixed_repeats(runs: Sequence[_Run], origin: Origin) -> list[str]:
    """Return the seed, and what else draws the experiment again, where all runs have one that the config does not."""
    first = runs[0].repeat
    return [
        f"{key}={value}"
        for key, value in first.items()
        if origin.config and value != origin.repeats.get(key) and all(run.repeat.get(key) == value for run in runs)
    ]


def _value(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e15


def _device(record: Mapping[str, Any]) -> str:
    """Return what a run computed on: "cpu, 1 thread", or a GPU's name."""
    device, hardware = str(record.get("device") or ""), record.get("hardware")
    known = hardware if isinstance(hardware, dict) else {}
    if device.startswith("cuda"):
        number = device.partition(":")[2] or "0"
        gpus = known.get("gpus")
        with suppress(ValueError, IndexError, TypeError):
            return str(gpus[int(number)] if isinstance(gpus, list) else device)
        return device
    threads = known.get("threads")
    return f"{device}, {counted(threads, 'thread')}" if type(threads) is int else device


def _sorted(table: Table) -> Table:
    """Return a table with its rows by the criterion of most of them, best first, and then by name."""
    criteria = [row.which4best for row in table.rows if row.which4best]
    chosen = statistics.mode(criteria) if criteria else ""
    sign = 1.0 if is_error(chosen) else -1.0

    def key(row: Row) -> tuple[bool, float, str, str]:
        mean = row.mean(chosen)
        return mean is None, sign * (mean or 0.0), row.model, row.id

    return replace(table, rows=tuple(sorted(table.rows, key=key)))


def _canonical(metric: str) -> str:
    """Return the name of a metric as runs write it; one that cannot be read stays as it is."""
    try:
        return str(parse_monitor(metric))
    except RecrunError:
        return metric


def _with_metrics(tables: Iterable[Table], metrics: Sequence[str]) -> list[Table]:
    """Return tables with the metrics that were asked for, without the rows that have none of them.

    Raises:
        ConfigError: no run has one of them.
    """
    found = list(tables)
    known = {name for table in found for row in table.rows for name in row.metrics}
    metrics = [name if name in known else _canonical(name) for name in metrics]
    unknown = [name for name in metrics if name not in known]
    if unknown:
        guess = nearest(unknown[0], sorted(known))
        hint = f"; did you mean {guess!r}?" if guess else f" (there are: {', '.join(sorted(known))})"
        raise ConfigError(f"no run has {unknown[0]} on test{hint}")
    if not metrics:
        return found
    with_some = []
    for table in found:
        rows = [
            replace(row, metrics={name: row.metrics[name] for name in metrics if name in row.metrics})
            for row in table.rows
            if any(name in row.metrics for name in metrics)
        ]
        with_some += [replace(table, rows=tuple(rows))] if rows else []
    return with_some
