"""Tell the status of a run: by its own record, and of one that has paused, by the record of its sweep."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from recrun.errors import CheckpointError
from recrun.runs.records import read_json
from recrun.runs.scan import folders_in

SWEEPS: Final = "sweeps"
"""The folder of sweeps, beside those of runs."""
LEDGER: Final = "sweep.json"
"""The name of the record of a sweep in its folder."""
INTERRUPTED, PAUSED, PRUNED = "interrupted", "paused", "pruned"
_OF_A_TRIAL: Final = re.compile(r"(?P<sweep>[^-]+)-[0-9]+(-[0-9]+)?")


def status_in(record: Mapping[str, Any]) -> Any:
    """Return the status that a run.json tells.

    A run that has paused as it was asked to counts as interrupted there, with an entry that says where and why.

    >>> status_in({"status": "interrupted", "paused": {"epoch": 2, "until": 2}}), status_in({"status": "running"})
    ('paused', 'running')
    """
    status = record.get("status")
    return PAUSED if status == INTERRUPTED and isinstance(record.get("paused"), dict) else status


class PrunedRuns:
    """Knows which runs were pruned: those of trials that their sweep does not go on with, by its sweep.json.

    Runs are called after their sweep. The record of each sweep is read once, when the first of its runs is asked for.
    """

    def __init__(self) -> None:
        self._sweeps: dict[str, dict[str, list[str]]] = {}
        self._pruned: dict[str, frozenset[str]] = {}

    def __contains__(self, run: str) -> bool:
        """Return whether the run in a folder was pruned; False where no record of a sweep can say so."""
        folder = os.path.abspath(run)
        match = _OF_A_TRIAL.fullmatch(os.path.basename(folder))
        if match is None:
            return False
        root, *_ = folder.rsplit(os.sep, 3)
        return any(_tail(folder) in self._pruned_by(sweep) for sweep in self._named(root).get(match["sweep"], ()))

    def _named(self, root: str) -> dict[str, list[str]]:
        """Return the sweeps in a folder of runs by the last part of their names."""
        if root not in self._sweeps:
            found: dict[str, list[str]] = {}
            with suppress(OSError):
                for folder in folders_in(os.path.join(root, SWEEPS), follow=False):
                    found.setdefault(folder.rpartition("-")[2], []).append(folder)
            self._sweeps[root] = found
        return self._sweeps[root]

    def _pruned_by(self, sweep: str) -> frozenset[str]:
        """Return the last three parts of the paths of the runs that a sweep has pruned."""
        if sweep not in self._pruned:
            trials: Any = ()
            with suppress(CheckpointError):
                trials = read_json(os.path.join(sweep, LEDGER)).get("trials")
            self._pruned[sweep] = frozenset(
                _tail(each["run"])
                for each in (trials if isinstance(trials, list) else ())
                if isinstance(each, dict) and each.get("status") == PRUNED and isinstance(each.get("run"), str)
            )
        return self._pruned[sweep]


def _tail(run: str) -> str:
    """Return the last three parts of the path of a run; a sweep records its runs as seen from where it was started."""
    return os.sep.join(run.rsplit(os.sep, 3)[-3:])
