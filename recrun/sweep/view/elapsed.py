"""Tell how long trials have been trained: the seconds that their runs have recorded, and those since while they run."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from recrun.errors import CheckpointError
from recrun.runs.folder import RunFolder
from recrun.runs.history import lines_after
from recrun.sweep.row import RUNNING, Row

_LINES: Final = 10_000
"""Lines of a history that are read at once."""


class Elapsed:
    """Knows how far the histories of running trials were read, so that each line is read once."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[int, float]] = {}

    def seconds(self, row: Row) -> float | None:
        """Return the seconds of training and evaluation of a trial, those before a pause included; None if none.

        While it runs, the time since its last record counts too; the start of its process never does, nor what is done
        between epochs.
        """
        if row.status != RUNNING:
            return row.seconds
        return self.recorded(row.run) + _since_record(row)

    def recorded(self, run: RunFolder) -> float:
        """Return the seconds of the lines in a run's history."""
        file = run.metrics_lines_file
        offset, total = self._read.get(file, (0, 0.0))
        if _size(file) < offset:  # a run that goes on drops the lines that it repeats
            offset, total = 0, 0.0
        with suppress(CheckpointError):
            while True:
                lines, end = lines_after(file, offset, _LINES)
                total += sum(line["seconds"] for line in lines)
                if end == offset:
                    break
                offset = end
        self._read[file] = offset, total
        return total


def _since_record(row: Row) -> float:
    """Return the seconds since the run of a trial was last recorded by the process that trains it now."""
    here = 0.0 if row.started is None else time.monotonic() - row.started
    since = max(_changed(row.run.metrics_lines_file), _changed(row.run.run_file))
    now = time.time()
    return min(max(now - since, 0.0), here) if since >= now - here else 0.0


def _size(file: Path) -> int:
    try:
        return os.lstat(file).st_size
    except OSError:
        return 0


def _changed(file: Path) -> float:
    try:
        return os.lstat(file).st_mtime
    except OSError:
        return 0.0
