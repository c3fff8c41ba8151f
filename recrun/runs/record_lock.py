"""Have one process at a time read, change and write a record of a run, so that no change is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from recrun.errors import CheckpointError
from recrun.files import HeldError, hold

_PATIENCE: Final = 30.0
"""Seconds; a change takes some milliseconds."""


@contextmanager
def changing(run: Path) -> Iterator[None]:
    """Hold the lock of a run's records: run.json, and the files of `per_user`.

    Raises:
        CheckpointError: another process has held it for long.
        OSError: the folder cannot be locked.
    """
    try:
        with hold(run / ".record-lock", patience=_PATIENCE):
            yield
    except HeldError:
        raise CheckpointError(f"the records of {run} are locked by another process; try again later") from None
