"""Tell how a trial ended from its run folder, where its exit code is not known: an earlier process had started it."""

from __future__ import annotations

from typing import Final

from recrun.runs.folder import RunFolder
from recrun.sweep.trial_results import recorded_status

_EXIT_CODES: Final = {"done": 0, "paused": 0, "interrupted": 130, "failed": 1}


def exit_code_in(run: RunFolder) -> int | None:
    """Return the exit code of a trial's process, as its run folder implies it.

    Args:
        run: the run of the trial, whose process has ended.

    Returns:
        0 if it is done or paused, 130 if it was interrupted, 1 if it failed; None if the record says that it is still
        running, or is missing or damaged: the process ended without a word, as when it is killed.
    """
    status = recorded_status(run)
    return None if status is None else _EXIT_CODES.get(status)
