"""Read the result of a step from the history of its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recrun.errors import CheckpointError, ConfigError
from recrun.runs.folder import RunFolder
from recrun.runs.history import read_history
from recrun.sweep.schedules.schedule import Result, Step
from recrun.sweep.trial_results import is_number, read_result


def curve_of(run: RunFolder, metric: str) -> dict[int, float]:
    """Return the value of a metric on validation by epoch, where it is defined; none if the history cannot be read."""
    found: dict[int, float] = {}
    try:
        for line in read_history(run.metrics_lines_file):
            value = line["values"].get(metric) if line["split"] == "valid" else None
            if value is not None and is_number(value):
                found[line["epoch"]] = float(value)
    except CheckpointError:
        return {}
    return found


def recorded_seconds(run: RunFolder) -> float | None:
    """Return the seconds of training and evaluation in the history of a run, as its final numbers have their total."""
    try:
        return float(sum(line["seconds"] for line in read_history(run.metrics_lines_file)))
    except CheckpointError:
        return None


def result_of(run: RunFolder, metric: str, sign: float, step: Step) -> Result | None:
    """Return the result of a step, or None if its run has not come that far.

    Args:
        run: the trial's run.
        metric: the criterion.
        sign: 1.0, or -1.0 where smaller is better.
        step: the step.

    Raises:
        ConfigError: the run is done, but its history is lost, on which decisions depend.
    """
    curve = {epoch: sign * value for epoch, value in sorted(curve_of(run, metric).items())}
    end = _end_of(curve, step)
    final = read_result(run)
    is_done = final is not None
    if not curve and final is not None and _is_evaluated(final, metric):
        raise ConfigError(
            f"the history of {run.path} is lost, and the study cannot decide without it: {run.metrics_lines_file} has "
            f"no {metric} on valid; put the file back, "
            f"or move {run.path} away to train the trial again"
        )
    if end is None and not is_done:
        return None
    if end is None or (step.until is None and is_done):
        end = max(curve, default=0)
    known = {epoch: value for epoch, value in curve.items() if epoch <= end}
    value = max(known.values(), default=None)
    was_stopped = value is not None and value < step.floors.get(end, float("-inf"))
    is_finished = is_done and end == max(curve, default=0)
    return Result(value, end, is_finished, was_stopped and not is_finished, known)


def _is_evaluated(final: Mapping[str, Any], metric: str) -> bool:
    valid = final.get("valid")
    return isinstance(valid, dict) and is_number(valid.get(metric))


def _end_of(curve: Mapping[int, float], step: Step) -> int | None:
    """Return the epoch of the evaluation at which a step ends, or None if it was not reached."""
    best = float("-inf")
    for epoch, value in curve.items():
        best = max(best, value)
        if best < step.floors.get(epoch, float("-inf")) or (step.until is not None and epoch >= step.until):
            return epoch
    return None
