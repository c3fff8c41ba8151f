"""Run the commands of trials: the interface `Engine`, the engine `local`, and the choice of an engine by name."""

from __future__ import annotations

import inspect
import os
import shlex
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from recrun.config.find import Overrides, read_overrides
from recrun.config.parser import Parser
from recrun.errors import ConfigError, RecrunError, RegistryError
from recrun.files import open_to_append
from recrun.registry import ENGINES
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
        command: the argument list; it is run without a shell.
        log: the file its output is appended to.
        threads: how many threads it may compute with; None lets the command decide.
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


class Engine(ABC):
    """The base class of engines: something that runs jobs. Derive from it and implement the five methods.

    The keyword-only parameters of a constructor are the engine's settings (`--engine-setting KEY=VALUE`).

    Args:
        jobs: how many run at once.
        inherited: file descriptors that local processes must inherit; the sweep's lock is then held for as long as any
            trial runs, even if the sweep itself was killed.
    """

    def __init__(self, jobs: int, inherited: Sequence[int] = ()) -> None:
        self.jobs = jobs
        self.inherited = tuple(inherited)

    @abstractmethod
    def has_room(self) -> bool:
        """Return whether a job started now would run at once."""

    @abstractmethod
    def start(self, job: Job) -> None:
        """Start a job; a job that cannot be started is reported by `poll` as an outcome."""

    @abstractmethod
    def poll(self) -> list[Outcome]:
        """Return the jobs that ended since the last call, without waiting."""

    @abstractmethod
    def stop(self) -> None:
        """Ask all running jobs to save their state and end."""

    @abstractmethod
    def kill(self) -> None:
        """End all running jobs at once."""


def choose_engine(name: str, settings: Overrides = ()) -> Callable[[int, Sequence[int]], Engine]:
    """Check an engine and its settings, and return a factory `(jobs, inherited) -> Engine`.

    Args:
        name: a registered name, or `path/to/file.py:Name`.
        settings: `KEY=VALUE`, or Python values by key, for the engine's own settings.

    Raises:
        RegistryError: there is no such engine, or it is not a complete `Engine`.
        ConfigError: with every fault of the settings.
    """
    try:
        values = Parser(ENGINES.describe(name).parameters).resolve(read_overrides(settings))
    except ConfigError as error:
        # The positions are those of the --engine-setting options, not of the sweep's own arguments.
        places = ((fault.file or "").replace("argument", "--engine-setting", 1) for fault in error.faults)
        raise ConfigError(
            [replace(fault, file=place or None) for fault, place in zip(error.faults, places, strict=True)]
        ) from None
    engine = ENGINES.get(name)
    if not (inspect.isclass(engine) and issubclass(engine, Engine)):
        raise RegistryError(f"engine {name!r} is not an Engine: derive it from recrun.sweep.engines.Engine")
    missing = sorted(engine.__abstractmethods__)
    if missing:
        raise RegistryError(f"engine {name!r} does not implement {', '.join(missing)}")
    return partial(_make, name, partial(engine, **values))


def _make(name: str, make: Callable[..., Engine], jobs: int, inherited: Sequence[int] = ()) -> Engine:
    try:
        return make(jobs, inherited)
    except RecrunError:
        raise
    except Exception as error:
        raise ConfigError(f"engine {name!r} cannot be made: {type(error).__name__}: {error}") from error


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
