"""Run trials as processes on this machine: the engine `local`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from recrun.files import open_to_append
from recrun.registry import ENGINES
from recrun.sweep.engines import processes
from recrun.sweep.engines.engine import Engine, Job, Outcome

_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


@dataclass
class _Child:
    job: Job
    process: subprocess.Popen[bytes]
    started: float
    log_offset: int


@ENGINES.register("local")
class LocalEngine(Engine):
    """Run trials as processes on this machine, each in its own process group."""

    # In the sweep's own process group, a trial would receive the terminal's Ctrl-C directly and again from the sweep:
    # the second signal would stop it before it has saved.

    def __init__(self, jobs: int, inherited: Sequence[int] = ()) -> None:
        super().__init__(jobs, inherited)
        self._children: list[_Child] = []
        self._not_started: list[Outcome] = []

    def has_room(self) -> bool:
        """Return whether fewer than `jobs` processes run."""
        return len(self._children) < self.jobs

    def start(self, job: Job) -> None:
        """Start a process; the command and then its output are appended to the job's log."""
        try:
            with open_to_append(job.log) as log:
                log.write(f"$ {shlex.join(job.command)}\n".encode())
                log.flush()
                offset = log.tell()
                process = processes.start(job.command, log, child_environment(job.threads), self.inherited)
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
        """Ask every process to save and end; each is responsible for stopping its own children."""
        for child in self._children:
            processes.request_stop(child.process)

    def kill(self) -> None:
        """Kill every process and its children."""
        for child in self._children:
            processes.kill_with_children(child.process)


def threads_per_job(jobs: int) -> int:
    """Return how many threads each of `jobs` trials may use so that together they do not exceed the available cores."""
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
        environment: the variables to start from; those of this process by default.
    """
    result = dict(os.environ if environment is None else environment)
    result["NO_COLOR"] = "1"
    result.pop("FORCE_COLOR", None)
    if os.getcwd() not in sys.path and "" not in sys.path:
        # `python -m` would put the working folder first in sys.path: a file random.py there would hide the real one.
        result["PYTHONSAFEPATH"] = "1"
    if threads is not None:
        for variable in _THREAD_VARIABLES:
            limit = result.get(variable, "")
            result[variable] = str(min(threads, int(limit))) if limit.isdecimal() and int(limit) > 0 else str(threads)
    return result
