"""Define the state of a trial in a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from recrun.runs.folder import RunFolder
from recrun.sweep.planning.study import Trial
from recrun.sweep.points import Values

PENDING, RUNNING, DONE, FAILED, INTERRUPTED = "pending", "running", "done", "failed", "interrupted"
PAUSED, PRUNED = "paused", "pruned"
ENDED: Final = (DONE, PRUNED)
"""The statuses of trials that need no further work."""


@dataclass
class Row:
    """The state of one trial.

    Args:
        trial: the point of the grid.
        run_id: the name of the run folder of the current attempt.
        run: that folder.
        status: pending, running, done, failed or interrupted; paused at an epoch, or pruned there for good.
        was_done: whether it was finished by an earlier invocation.
        continues: whether it goes on in its run folder, from its last checkpoint or with what it lacks at its end.
        until: the epoch at which it pauses next, or None for its end.
        floors: by epoch, the value below which it pauses there.
        reached: the epoch of its last evaluation, where it was paused or pruned.
        is_impossible: whether its settings are refused, so that it cannot be trained.
        n_tries: how often it was started by this command.
        valid: the validation metrics at the best epoch, once done; None for undefined ones.
        test: the test metrics at that epoch, likewise, if the sweep evaluates on test.
        best_epoch: that epoch.
        cause: why it failed or was interrupted.
        exit_code: of its process; -N for one that signal N killed.
        seconds: how long it took: as recorded by the run once it is done or paused, else wall time.
        spent: the wall time of its last process, if this command has seen it end.
        started: when it started, on the monotonic clock.
    """

    trial: Trial
    run_id: str
    run: RunFolder
    status: str = PENDING
    was_done: bool = False
    continues: bool = False
    until: int | None = None
    floors: Mapping[int, float] = field(default_factory=dict)
    reached: int | None = None
    is_impossible: bool = False
    n_tries: int = 0
    valid: Values | None = None
    test: Values | None = None
    best_epoch: int | None = None
    cause: str | None = None
    exit_code: int | None = None
    seconds: float | None = None
    spent: float | None = None
    started: float | None = None
