"""Read a trial's progress and outcome from its run folder, its exit code and its log."""

from __future__ import annotations

import math
import os
import re
import signal
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from recrun.config.same_settings import is_finished_trial
from recrun.errors import CheckpointError
from recrun.files import open_regular
from recrun.runs.folder import RunFolder, runs_like
from recrun.runs.history import recent_history
from recrun.runs.records import read_json
from recrun.runs.resume import is_recorded_as_done
from recrun.runs.status import status_in

INTERRUPTED_EXIT: Final = 130
"""The exit code of a run that was asked to stop and saved its state."""
CAN_GO_ON: Final = ("running", "interrupted", "paused")
"""What run.json says of a run that was killed, interrupted or paused; a failed one would fail again."""

_RECENT: Final = 100
"""The last lines of a history, among which the latest validation is looked for."""
_TAIL: Final = 1 << 16
_MAX_CAUSE: Final = 500
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_TRACEBACK: Final = "Traceback (most recent call last)"
_ERROR: Final = re.compile(r"(error: )|[\w.]*(?:Error|Exception|Interrupt)(?::|$)")


def run_folder(runs: Path, config: Mapping[str, Any], run_id: str) -> RunFolder:
    """Return the folder, existing or not, of a run with this config and id."""
    return RunFolder(runs_like(runs, config) / run_id)


def attempts_in(folder: Path) -> dict[str, list[int]]:
    """Return the attempts at each trial whose runs are in a folder, in order, by the trial's id.

    The run of an attempt has the id that `attempt_id` returns.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return {}
    found: dict[str, list[int]] = {}
    for name in names:
        found.setdefault(name, []).append(1)
        id, _, number = name.rpartition("-")
        if number.isdecimal() and int(number) > 1:
            found.setdefault(id, []).append(int(number))
    return {id: sorted(attempts) for id, attempts in found.items()}


def attempt_id(id: str, attempt: int) -> str:
    """Return the id of the run of an attempt: that of the trial for the first, `<id>-2`, `<id>-3` ... for others."""
    return id if attempt == 1 else f"{id}-{attempt}"


def recorded_status(run: RunFolder) -> str | None:
    """Return what run.json says of a run, such as "paused"; None if it is missing or damaged."""
    try:
        status = status_in(run.read_run())
    except CheckpointError:
        return None
    return status if isinstance(status, str) else None


def read_result(run: RunFolder) -> dict[str, Any] | None:
    """Return the final numbers of a run that is done, or None if there are none."""
    try:
        return _final_numbers(run) if is_recorded_as_done(run) else None
    except CheckpointError:
        return None


def lacks_only_its_end(run: RunFolder) -> bool:
    """Return whether a run has its final numbers, but was stopped before it recorded that it is done."""
    try:
        return not is_recorded_as_done(run) and _final_numbers(run) is not None
    except CheckpointError:
        return False


def _final_numbers(run: RunFolder) -> dict[str, Any] | None:
    result = read_json(run.metrics_file)
    return result if result.get("status") == "done" else None


def holds_config(run: RunFolder, config: Mapping[str, Any], axes: Collection[str] = ()) -> bool:
    """Return whether a run has the same settings as this config, including the values on the axes of the grid."""
    try:
        return is_finished_trial(run.read_settings(), config, axes)
    except CheckpointError:
        return False


def latest_value(run: RunFolder, metric: str) -> float | None:
    """Return the latest value of a metric on validation while the run is going on, or None if there is none yet.

    Args:
        run: the run's folder.
        metric: the metric's name, such as "ndcg@20".
    """
    try:
        parts = recent_history(run.metrics_lines_file, _RECENT)
    except CheckpointError:
        return None
    lines = [line for part in parts for line in part.lines if line["split"] == "valid"]
    values = (line["values"].get(metric) for line in reversed(lines))
    return next((float(value) for value in values if is_number(value)), None)


def explain_failure(exit_code: int, log: Path, offset: int = 0) -> str:
    """Return why a trial's process failed, on one line.

    Args:
        exit_code: as reported by the system; -N if signal N killed the process.
        log: the file with its output.
        offset: where in the file this attempt begins, in bytes.
    """
    if exit_code < 0:
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = f"signal {-exit_code}"
        return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    # A sweep refuses the setting that a single run is advised to give.
    error = last_error(log, offset).replace("set eval_test=false", "set eval_test: false in the config")
    return f"{error or 'no error was printed'} (exit code {exit_code})"


def last_error(log: Path, offset: int = 0) -> str:
    """Return the last error in a log: a line that begins like one, or that ends a traceback; "" if there is none."""
    below = ""
    for line in _last_lines(log, offset):
        text = _ESCAPES.sub("", line).rstrip()
        if match := _ERROR.match(text.strip()):
            return _shorten(text.strip().removeprefix(match[1] or ""))
        if text.startswith(_TRACEBACK):
            return _shorten(below)
        below = text if text and not text[0].isspace() else below
    return ""


def is_number(value: object) -> bool:
    """Return whether a value read from JSON is a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _last_lines(path: Path, offset: int = 0) -> Iterator[str]:
    """Yield a file's lines from the last one backwards, within the last 64 KiB."""
    try:
        with open_regular(path, follow=False) as file:
            size = file.seek(0, 2)
            file.seek(max(offset, size - _TAIL))
            tail = file.read()
    except OSError:
        return
    yield from reversed(tail.decode("utf-8", errors="replace").splitlines())


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_CAUSE else text[: _MAX_CAUSE - 3] + "..."
