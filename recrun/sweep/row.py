"""Define the state of a trial in a sweep."""

from __future__ import annotations

from dataclasses import dataclass

from recrun.runs.folder import RunFolder
from recrun.sweep.plan import Trial
from recrun.sweep.points import Values

PENDING, RUNNING, DONE, FAILED, INTERRUPTED = "pending", "running", "done", "failed", "interrupted"


@dataclass
class Row:
    """The state of one trial.

    Args:
        trial: the point of the grid.
        run_id: the name of the run folder of the current attempt.
        run: that folder.
        status: pending, running, done, failed or interrupted.
        was_done: whether it was finished by an earlier invocation.
        lacks_end: whether an earlier invocation got as far as its final numbers, but not to its end.
        valid: the validation metrics at the best epoch, once done; None for undefined ones.
        test: the test metrics at that epoch, likewise, if the sweep evaluates on test.
        best_epoch: that epoch.
        cause: why it failed or was interrupted.
        exit_code: of its process; -N for one that signal N killed.
        seconds: how long it took: as recorded by the run once it is done, else wall time.
        started: when it started, on the monotonic clock.
    """

    trial: Trial
    run_id: str
    run: RunFolder
    status: str = PENDING
    was_done: bool = False
    lacks_end: bool = False
    valid: Values | None = None
    test: Values | None = None
    best_epoch: int | None = None
    cause: str | None = None
    exit_code: int | None = None
    seconds: float | None = None
    started: float | None = None
