"""Where trials run. An engine starts a trial's command and says when it has ended; the local one uses processes.

Other engines (a cluster's scheduler) need the same five methods and nothing else of a sweep.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from recrun.sweep import processes

_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


@dataclass(frozen=True)
class Job:
    """A command to run.

    Args:
        index: the trial it belongs to.
        command: the argument list; no shell sees it.
        log: the file its output is appended to.
        threads: how many threads it may compute with; None leaves that to the command.
    """

    index: int
    command: Sequence[str]
    log: Path
    threads: int | None = None


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        index: the trial it belongs to.
        exit_code: the exit code, -N when signal N killed it; None when it could not be started.
        seconds: wall time.
        log_offset: where in the log its output begins, in bytes.
        error: why it could not be started.
    """

    index: int
    exit_code: int | None
    seconds: float
    log_offset: int = 0
    error: str = ""


class Engine(Protocol):
    """Something that runs jobs."""

    def has_room(self) -> bool:
        """Return whether a job started now would run at once."""

    def start(self, job: Job) -> None:
        """Start a job; a failure to do so is an outcome as well."""

    def poll(self) -> list[Outcome]:
        """Return the jobs that ended since the last call, without waiting."""

    def stop(self) -> None:
        """Ask all running jobs to save their state and end."""

    def kill(self) -> None:
        """End all running jobs at once."""


@dataclass
class _Child:
    job: Job
    process: subprocess.Popen[bytes]
    started: float
    log_offset: int


class LocalEngine:
    """Runs jobs as processes of this machine, each in a process group of its own.

    A group of its own keeps the terminal's Ctrl-C from reaching a trial a second time, after the sweep has passed the
    first one on: the second signal would stop it before it has saved.

    Args:
        jobs: how many run at once.
        inherited: file descriptors that stay open in the children; the sweep's lock is then held for as long as any
            trial runs, even when the sweep itself was killed.
    """

    def __init__(self, jobs: int, inherited: Sequence[int] = ()) -> None:
        self._jobs = jobs
        self._inherited = tuple(inherited)
        self._children: list[_Child] = []
        self._not_started: list[Outcome] = []

    def has_room(self) -> bool:
        """Return whether fewer than `jobs` processes run."""
        return len(self._children) < self._jobs

    def start(self, job: Job) -> None:
        """Start a process; its output goes to the end of the job's log, below the command that was run."""
        try:
            with job.log.open("ab") as log:
                log.write(f"$ {shlex.join(job.command)}\n".encode())
                log.flush()
                offset = log.tell()
                process = processes.start(job.command, log, child_environment(job.threads), self._inherited)
        except (OSError, ValueError) as error:
            self._not_started.append(Outcome(job.index, None, 0.0, error=f"cannot be started: {error}"))
        else:
            self._children.append(_Child(job, process, time.monotonic(), offset))

    def poll(self) -> list[Outcome]:
        """Return the processes that ended since the last call."""
        outcomes, self._not_started = self._not_started, []
        for child in list(self._children):
            exit_code = child.process.poll()
            if exit_code is not None:
                self._children.remove(child)
                seconds = time.monotonic() - child.started
                outcomes.append(Outcome(child.job.index, exit_code, seconds, child.log_offset))
        return outcomes

    def stop(self) -> None:
        """Ask every process to save and end; its own children are its own to stop."""
        for child in self._children:
            processes.request_stop(child.process)

    def kill(self) -> None:
        """End every process and all that it started."""
        for child in self._children:
            processes.kill_with_children(child.process)


def threads_per_job(jobs: int) -> int:
    """Return how many threads each of `jobs` trials may use so that together they do not exceed the machine's cores."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity
        cores = os.cpu_count() or 1
    return max(1, cores // jobs)


def child_environment(threads: int | None, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a trial.

    Args:
        threads: the threads it may use, or None to leave the variables as they are; a lower limit that is already set
            is kept.
        environment: what to start from; this process's own by default.
    """
    result = dict(os.environ if environment is None else environment)
    result["NO_COLOR"] = "1"
    result.pop("FORCE_COLOR", None)
    if os.getcwd() not in sys.path and "" not in sys.path:
        # `python -m` would put the working folder first, where a file such as random.py would hide the real module.
        result["PYTHONSAFEPATH"] = "1"
    if threads is not None:
        for variable in _THREAD_VARIABLES:
            limit = result.get(variable, "")
            result[variable] = str(min(threads, int(limit))) if limit.isdecimal() and int(limit) > 0 else str(threads)
    return result
