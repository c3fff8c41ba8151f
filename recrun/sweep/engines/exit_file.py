"""Read and write two files beside a trial's log: which job of a cluster runs the trial, and how that job ended.

<i>.job    the job's name, and where in the log its output begins; written before the job is submitted
<i>.exit   its exit code, written by the job itself (`recrun.sweep.engines.batch_job`)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from recrun.files import atomic_write, from_json, read_regular, to_json

_MAX_BYTES: Final = 4096


@dataclass(frozen=True)
class Submitted:
    """A job that was submitted.

    Args:
        name: its name, which no other job has.
        log_offset: where in the trial's log its output begins, in bytes.
    """

    name: str
    log_offset: int


@dataclass(frozen=True)
class Ended:
    """How a job's command ended.

    Args:
        name: the job's name.
        exit_code: the exit code; -N when signal N killed it.
        seconds: wall time.
        was_asked: whether the cluster asked it to stop.
        error: why it could not be started, or "".
    """

    name: str
    exit_code: int
    seconds: float
    was_asked: bool
    error: str


def job_file(log: Path) -> Path:
    """Return the file that names the job of the trial with this log."""
    return log.with_suffix(".job")


def exit_file(log: Path) -> Path:
    """Return the file that says how that job ended."""
    return log.with_suffix(".exit")


def write_submitted(log: Path, submitted: Submitted) -> None:
    """Record the job that is about to be submitted, and remove what an earlier one left.

    Raises:
        OSError: it cannot be written.
    """
    exit_file(log).unlink(missing_ok=True)
    atomic_write(job_file(log), to_json(asdict(submitted)))


def read_submitted(log: Path) -> Submitted | None:
    """Return the job that was submitted last; None if there is none."""
    found = _read(job_file(log))
    try:
        submitted = Submitted(**found)
    except TypeError:
        return None
    is_sound = isinstance(submitted.name, str) and type(submitted.log_offset) is int and submitted.log_offset >= 0
    return submitted if is_sound else None


def read_ended(log: Path, name: str) -> Ended | None:
    """Return how the job of this name ended; None if it has not, as far as its file says."""
    found = _read(exit_file(log))
    try:
        ended = Ended(**found)
    except TypeError:
        return None
    is_sound = type(ended.exit_code) is int and type(ended.seconds) in (int, float) and isinstance(ended.error, str)
    return ended if is_sound and ended.name == name else None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = from_json(read_regular(path, limit=_MAX_BYTES, follow=False).decode())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
