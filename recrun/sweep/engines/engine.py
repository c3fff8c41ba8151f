"""Define the interface `Engine`, which runs the commands of trials, and choose an engine by name."""

from __future__ import annotations

import inspect
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from recrun.config.given.arguments import Overrides, read_overrides
from recrun.config.parser import Parser
from recrun.errors import ConfigError, RecrunError, RegistryError
from recrun.registry import ENGINES


@dataclass(frozen=True)
class Job:
    """A command to run.

    Args:
        index: the trial it belongs to.
        command: the argument list; it is run without a shell.
        log: the file its output is appended to.
        threads: how many threads it may compute with; None lets the command decide.
        environment: variables that the command gets besides those that the engine sets.
    """

    index: int
    command: Sequence[str]
    log: Path
    threads: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def write_command(self, log: BinaryIO) -> int:
        """Write the command into its open log, and return where its output begins there, in bytes."""
        log.write(f"$ {shlex.join(self.command)}\n".encode())
        log.flush()
        return log.tell()


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        index: the trial it belongs to.
        exit_code: the exit code, -N when signal N killed it; None when it is not known.
        seconds: wall time.
        log_offset: where in the log its output begins, in bytes.
        error: why it has no exit code: it could not be started, or its machine was lost. Beside an exit code: what
            ended it, where the engine knows more than the code says, such as a time limit.
        is_adopted: whether an earlier parent started it, so that it has neither an exit code nor an error; how it ended
            is then read from its run folder and its log.
    """

    index: int
    exit_code: int | None
    seconds: float
    log_offset: int = 0
    error: str = ""
    is_adopted: bool = False


class Engine(ABC):
    """The base class of engines: something that runs jobs. Derive from it and implement the five abstract methods.

    The others have defaults: an engine that cannot end a single job, or find jobs of an earlier parent, says so.
    The keyword-only parameters of a constructor are the engine's settings (`--engine-setting KEY=VALUE`).

    Args:
        jobs: how many run at once.
        inherited: file descriptors that local processes must inherit.
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

    def stop_job(self, index: int) -> bool:
        """Ask one job to save its state and end; return whether it was asked. By default it goes on to its end."""
        return False

    def kill_job(self, index: int) -> bool:
        """End one job at once; return whether that was done. By default it goes on to its end."""
        return False

    def adopt(self, job: Job) -> bool:
        """Take over a job that an earlier parent started, if it still runs; it is then like one started here.

        Args:
            job: the job; its log is the one it was started with, and its command is left out.

        Returns:
            Whether it still runs. By default no job is found again.
        """
        return False

    @classmethod
    def default_jobs(cls, **settings: Any) -> int:
        """Return how many jobs run at once if the user does not say.

        Args:
            settings: the engine's settings.
        """
        return 1


class MakeEngine(Protocol):
    """Makes an engine whose settings are chosen."""

    def __call__(self, jobs: int | None, inherited: Sequence[int] = ()) -> Engine:
        """Return the engine; without a number of jobs it runs as many as `Engine.default_jobs` says."""


def choose_engine(name: str, settings: Overrides = ()) -> MakeEngine:
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

    def make(jobs: int | None, inherited: Sequence[int] = ()) -> Engine:
        with _named(name):
            return engine(engine.default_jobs(**values) if jobs is None else jobs, inherited, **values)

    return make


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Name an engine that fails while it is made."""
    try:
        yield
    except RecrunError:
        raise
    except Exception as error:
        raise ConfigError(f"engine {name!r} cannot be made: {type(error).__name__}: {error}") from error
