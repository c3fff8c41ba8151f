"""Run trials as processes on this machine: the engine `local`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recrun.config.settings import AUTO
from recrun.errors import ConfigError
from recrun.files import HeldError, is_held, open_to_append
from recrun.registry import ENGINES
from recrun.sweep.engines import gpus as gpu_devices
from recrun.sweep.engines import processes
from recrun.sweep.engines.engine import Engine, Job, Outcome
from recrun.sweep.engines.trial_lock import Holder, lock_of, read_holder, take_trial_lock, write_holder
from recrun.sweep.locks.machine import host_of, this_machine
from recrun.types import PositiveInt

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
    """A process that this one started."""

    job: Job
    process: subprocess.Popen[bytes]
    started: float
    log_offset: int
    gpu: str | None

    def outcome(self) -> Outcome | None:
        """Return how it ended, or None while it runs."""
        exit_code = processes.take_exit_code(self.process)
        if exit_code is None:
            return None
        return Outcome(self.job.index, exit_code, time.monotonic() - self.started, self.log_offset)

    def stop(self) -> bool:
        """Ask it to save and end; it is responsible for stopping its own children."""
        processes.request_stop(self.process)
        return True

    def kill(self) -> bool:
        """Kill it and its children."""
        processes.kill_with_children(self.process)
        return True


@dataclass
class _Adopted:
    """A process that an earlier parent started, known by the lock that it holds.

    Where it is not known which process holds the lock, it is only waited for: on another machine, or if its parent was
    killed just as it started.
    """

    job: Job
    lock: Path
    holder: Holder | None
    started: float
    gpu: str | None
    is_given_up: bool = False

    def outcome(self) -> Outcome | None:
        seconds = time.monotonic() - self.started
        log_offset = 0 if self.holder is None else self.holder.log_offset
        if not self._is_running():
            return Outcome(self.job.index, None, seconds, log_offset, is_adopted=True)
        if self.is_given_up:
            where = "" if self.holder is None or self.holder.is_here else f" on {host_of(self.holder.machine)}"
            error = f"it still runs{where}, started by an earlier process, and cannot be ended from here"
            return Outcome(self.job.index, None, seconds, log_offset, error=error)
        return None

    def stop(self) -> bool:
        if (pid := self._pid()) is not None:
            processes.request_stop_by_id(pid)
        return pid is not None

    def kill(self) -> bool:
        pid = self._pid()
        if pid is None:
            self.is_given_up = True
        else:
            processes.kill_group(pid)
        return pid is not None

    def _is_running(self) -> bool:
        """Return whether it still runs; workers that it leaves behind may hold the lock for some seconds longer."""
        is_here = self.holder is not None and self.holder.is_here
        return is_held(self.lock) and not (is_here and self.holder and not processes.is_alive(self.holder.pid))

    def _pid(self) -> int | None:
        """Return its process id, if that is known and cannot mean another process: it is not reused in its life."""
        if self.holder is None or not self.holder.is_here or not is_held(self.lock):
            return None
        return self.holder.pid


@ENGINES.register("local")
class LocalEngine(Engine):
    """Run trials as processes on this machine, each in its own process group.

    Args:
        jobs: how many run at once.
        inherited: file descriptors that each process inherits.
        gpus: the GPUs that trials may use: numbers as CUDA counts them, or UUIDs, such as "0,1"; None leaves the choice
            to each trial.
        per_gpu: how many trials run on each of these at once.

    Raises:
        ConfigError: a GPU is not there, or there are more jobs than places on the GPUs.
    """

    # In the sweep's own process group, a trial would receive the terminal's Ctrl-C directly and again from the sweep:
    # the second signal would stop it before it has saved.

    def __init__(
        self,
        jobs: int,
        inherited: Sequence[int] = (),
        *,
        gpus: list[int | str] | int | str | None = None,
        per_gpu: PositiveInt = 1,
    ) -> None:
        super().__init__(jobs, inherited)
        if gpus is None and per_gpu > 1:
            raise ConfigError("per_gpu: gpus says which GPUs are shared; it is not set")
        self._gpus = None if gpus is None else gpu_devices.devices(gpu_devices.as_list(gpus))
        self._per_gpu = per_gpu
        if self._gpus is not None and jobs > len(self._gpus) * per_gpu:
            places = f"{len(self._gpus)} x {per_gpu} = {len(self._gpus) * per_gpu}"
            raise ConfigError(f"{jobs} jobs do not fit on the GPUs, which have {places} places; set per_gpu or gpus")
        self._running: list[_Child | _Adopted] = []
        self._not_started: list[Outcome] = []

    @classmethod
    def default_jobs(cls, **settings: Any) -> int:
        """Return the places on the GPUs, or 1 if none are given."""
        gpus = settings.get("gpus")
        return 1 if gpus is None else len(gpu_devices.as_list(gpus)) * int(settings.get("per_gpu", 1))

    def has_room(self) -> bool:
        """Return whether fewer than `jobs` processes run, and a GPU has room if GPUs are given."""
        return len(self._running) < self.jobs and (self._gpus is None or self._free_gpu() is not None)

    def start(self, job: Job) -> None:
        """Start a process; the command and then its output are appended to the job's log."""
        gpu = self._free_gpu()
        try:
            self._running.append(self._start(job, gpu))
        except HeldError:
            error = f"cannot be started: processes of an earlier attempt still hold {lock_of(job.log)}"
            self._not_started.append(Outcome(job.index, None, 0.0, error=error))
        except (OSError, ValueError) as error:
            self._not_started.append(Outcome(job.index, None, 0.0, error=f"cannot be started: {error}"))

    def _start(self, job: Job, gpu: str | None) -> _Child:
        environment = child_environment(job.threads) | dict(job.environment)
        if gpu is not None:
            environment[gpu_devices.VARIABLE] = gpu
        lock = take_trial_lock(lock_of(job.log))
        try:
            with open_to_append(job.log) as log:
                offset = job.write_command(log)
                inherited = self.inherited if lock is None else (*self.inherited, lock)
                process = processes.start(job.command, log, environment, inherited)
            if lock is not None:
                write_holder(lock, Holder(this_machine(), process.pid, offset, gpu))
        finally:
            if lock is not None:
                os.close(lock)
        return _Child(job, process, time.monotonic(), offset, gpu)

    def adopt(self, job: Job) -> bool:
        """Take over the process that holds the trial's lock, if there is one; its exit code stays unknown.

        It counts as on the GPU that it was given when it started.
        """
        lock = lock_of(job.log)
        if not is_held(lock):
            return False
        holder = read_holder(lock)
        child = _Adopted(job, lock, holder, time.monotonic(), None if holder is None else holder.gpu)
        if not child._is_running():
            return False
        self._running.append(child)
        return True

    def poll(self) -> list[Outcome]:
        """Return the processes that ended since the last call."""
        outcomes, self._not_started = self._not_started, []
        for child in list(self._running):
            if (outcome := child.outcome()) is not None:
                self._running.remove(child)
                outcomes.append(outcome)
        return outcomes

    def stop(self) -> None:
        """Ask every process to save and end."""
        for child in self._running:
            child.stop()

    def kill(self) -> None:
        """Kill every process and its children."""
        for child in self._running:
            child.kill()

    def stop_job(self, index: int) -> bool:
        """Ask the process of one trial to save and end."""
        return any(child.stop() for child in self._of(index))

    def kill_job(self, index: int) -> bool:
        """Kill the process of one trial and its children."""
        return any(child.kill() for child in self._of(index))

    def _of(self, index: int) -> Iterator[_Child | _Adopted]:
        return (child for child in self._running if child.job.index == index)

    def _free_gpu(self) -> str | None:
        """Return the GPU with the fewest trials of the sweep that has room for one more, or None."""
        counts = {gpu: sum(child.gpu == gpu for child in self._running) for gpu in self._gpus or ()}
        least = min(counts, key=counts.__getitem__, default=None)
        return least if least is not None and counts[least] < self._per_gpu else None


def threads_of(config: Mapping[str, Any], jobs: int) -> int | None:
    """Return how many threads a trial may use so that `jobs` of them do not exceed the available cores together.

    Args:
        config: its config; None is returned if that sets a number, and the trial decides by itself. With `threads:
            auto`, a trial chooses between one thread and these.
        jobs: how many trials run at once.
    """
    if config.get("threads") not in (None, AUTO):
        return None
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
