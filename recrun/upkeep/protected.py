"""Say which runs are not removed without a word: the best of their kind, and those that something else names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, Final

from recrun.config.monitor_names import parse_monitor, smaller_is_better
from recrun.errors import CheckpointError, RecrunError
from recrun.evaluation.protocol import Protocol
from recrun.registry.user_files import short_name
from recrun.report.terminal.lines import number
from recrun.runs.listing import describe
from recrun.runs.provenance import SPLIT
from recrun.runs.records import read_json, read_json_if_there
from recrun.runs.scan import find_folders
from recrun.runs.status import PrunedRuns
from recrun.sweep.final.record import FINAL
from recrun.sweep.storage import LEDGER, SWEEPS
from recrun.upkeep.running import RunningTrials
from recrun.upkeep.targets import Target, trials_of

_MAX_DEPTH: Final = 8
_OF_A_TRIAL: Final = re.compile(r"([^-]+-[0-9]+)(?:-[0-9]+)?")
"""The name of a run of a sweep, or of its last step: that of the trial, and the number of a further attempt."""
Tail = tuple[str, ...]
"""The last three parts of a run's path, by which records and ledgers name it."""


class Protected:
    """What is known of the runs and sweeps in a folder of runs, and so of what must not be lost.

    Args:
        root: the folder of all runs.
        targets: what is to be removed from it.
    """

    def __init__(self, root: Path, targets: Collection[Target]) -> None:
        self._going = {_tail(each.path) for each in targets if each.kind == "run"}
        self._going_sweeps = {_tail(each.path) for each in targets if each.kind == "sweep"}
        self._reasons: dict[Tail, list[str]] = {}
        self.in_use: dict[Tail, str] = {}
        """Sweeps that are running, and runs of trials that are, with the reason why they cannot be removed."""
        self._root = root
        self._read_runs(root)
        self._read_sweeps(root)
        self._find_running(root)

    def reasons(self, target: Target) -> list[str]:
        """Return why the removal of a run or a sweep is to be confirmed; nothing if it is not."""
        return self._reasons.get(_tail(target.path), [])

    def keeps(self, target: Target) -> list[str]:
        """Return the runs of a sweep's last step that stay when the sweep is removed; nothing for a run."""
        named = self._of_last_step(target.path) if target.kind == "sweep" else []
        return [str(self._root.joinpath(*tail)) for tail in named if tail not in self._going and self._is_run(tail)]

    def _is_run(self, tail: Tail) -> bool:
        return ".." not in tail and self._root.joinpath(*tail, "run.json").is_file()

    def _add(self, tail: Tail, reason: str) -> None:
        self._reasons.setdefault(tail, []).append(reason)

    def _read_runs(self, root: Path) -> None:
        groups: dict[tuple[str, str, str], list[tuple[Tail, dict[str, Any]]]] = {}
        pruned = PrunedRuns()
        for path in find_folders(root):
            tail = _tail(Path(path))
            with suppress(CheckpointError):
                record = read_json(f"{path}/run.json")
                row = describe(path, pruned)
                if row["status"] == "done":
                    groups.setdefault(_kind(row, record), []).append((tail, row))
                if tail not in self._going:
                    for named in dict.fromkeys(_named(record)):
                        if named in self._going:
                            self._add(named, f"the run {path} names it")
        for (dataset, _, criterion), members in groups.items():
            if any(tail in self._going for tail, _ in members):
                self._protect_best(dataset, criterion, members)

    def _protect_best(self, dataset: str, criterion: str, members: list[tuple[Tail, dict[str, Any]]]) -> None:
        """Protect the best of runs on the same data with the same criterion, unless an equally good one is left."""
        try:
            sign = -1.0 if smaller_is_better(parse_monitor(criterion)) else 1.0
        except RecrunError:  # a metric of the user's own whose file is gone
            for tail, _ in members:
                self._add(tail, f"whether it is the best by {criterion} cannot be told")
            return
        known = [(sign * value, split, tail) for tail, row in members for value, split in _value(row, criterion)]
        best = max((value for value, _, _ in known), default=None)
        first = [(split, tail) for value, split, tail in known if value == best]
        if best is None or any(tail not in self._going for _, tail in first):
            return
        many = f"the best of {len(members)} done runs" if len(members) > 1 else "the only done run"
        for split, tail in first:
            value = f"{split} {short_name(criterion)} {number(sign * best)}"
            self._add(tail, f"it is {many} on this {dataset} by {short_name(criterion)} ({value})")

    def _read_sweeps(self, root: Path) -> None:
        for file in sorted((root / SWEEPS).glob("*/*.json")):
            folder = file.parent
            with suppress(CheckpointError):
                document = read_json(file)
                if file.name == FINAL:
                    if _tail(folder) not in self._going_sweeps:
                        for named in dict.fromkeys(_named(document)):
                            self._add(named, f"the last step of the sweep {folder} names it")
                    continue
                if file.name != LEDGER:
                    for named in _named(document):
                        self._add(named, f"{file} names it")
                    continue
                trials = dict(trials_of(document))
                for index in _best_trials(document):
                    if index in trials and _tail(folder) not in self._going_sweeps:
                        what = "on the front" if isinstance(document.get("front"), list) else "the best trial"
                        self._add(trials[index], f"it is {what} of the sweep {folder}")

    def _find_running(self, root: Path) -> None:
        """Find which of the sweeps and runs that are to be removed run now, or may run.

        A trial that is about to start, or that waits in the queue of a cluster, does not hold the lock of its run yet.
        """
        names: dict[str, list[Tail]] = {}
        for tail in self._going:
            match = _OF_A_TRIAL.fullmatch(tail[-1])
            names.setdefault(match[1] if match else "", []).append(tail)
        for ledger in sorted((root / SWEEPS).glob(f"*/{LEDGER}")):
            folder = ledger.parent
            own, last = folder.name.rpartition("-")[2], self._of_last_step(folder)
            of_sweep = [tail for name, tails in names.items() if name.startswith(f"{own}-") for tail in tails]
            tails = {*of_sweep, *(tail for tail in last if tail in self._going)}
            if _tail(folder) in self._going_sweeps:
                tails.add(_tail(folder))
            if not tails:
                continue
            found = RunningTrials(folder)
            if found.is_running:
                self.in_use.update(dict.fromkeys(tails, f"the sweep {folder} is running"))
            if found.holder:
                for tail in tails:
                    self._add(tail, f"the sweep {folder} may be running ({found.holder})")
            for stem, reason in (*found.known.items(), *found.possible.items()):
                is_last = stem.startswith("final-")
                of_trial = [*names.get(f"{own}-{stem}", ()), *(last if is_last else ())]
                for tail in tails & {*of_trial, _tail(folder)}:
                    text = reason if tail != _tail(folder) else f"{reason.replace('its trial', 'one of its trials', 1)}"
                    if stem in found.known:
                        self.in_use.setdefault(tail, text)
                    elif text not in self._reasons.get(tail, ()):
                        self._add(tail, text)

    @staticmethod
    def _of_last_step(folder: Path) -> list[Tail]:
        """Return the runs that the record of a sweep's last step names."""
        with suppress(CheckpointError):
            return list(dict.fromkeys(_named(read_json_if_there(folder / FINAL) or {})))
        return []


def _tail(path: Path) -> Tail:
    return path.absolute().parts[-3:]


def _kind(row: Mapping[str, Any], record: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what runs have in common whose numbers compare: data set, its parts and what is ranked, and criterion."""
    data = record.get("data")
    parts = data.get(SPLIT) if isinstance(data, dict) else None
    ranked = [Protocol.of(row["settings"]).choice(split) for split in ("valid", "test")]
    return str(row["settings"].get("dataset")), f"{parts} {ranked}", str(row["which4best"])


def _value(row: Mapping[str, Any], criterion: str) -> Iterator[tuple[float, str]]:
    """Yield the value by which a run is ranked: on validation or, without any, on test."""
    for split in ("valid", "test"):
        value = (row[split] or {}).get(criterion)
        if value is not None:
            yield value, split
            return


def _best_trials(document: Mapping[str, Any]) -> list[int]:
    """Return the indices of the trials that a ledger calls the best, or that are on its front."""
    points, front = document.get("points"), document.get("front")
    positions = [document.get("best_point"), *(front if isinstance(front, list) else [])]
    found: list[int] = []
    for position in positions:
        if isinstance(position, int) and isinstance(points, list) and 0 <= position < len(points):
            trials = points[position].get("trials") if isinstance(points[position], dict) else None
            found += [each for each in trials if isinstance(each, int)] if isinstance(trials, list) else []
    return found or ([document["best"]] if isinstance(document.get("best"), int) else [])


def _named(value: Any, depth: int = 0) -> Iterator[Tail]:
    """Yield what in a record may be the path of a run."""
    if isinstance(value, str):
        parts = PurePath(value).parts if "/" in value or "\\" in value else ()
        if len(parts) > 2:
            yield parts[-3:]
    elif depth < _MAX_DEPTH and isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _named(each, depth + 1)
