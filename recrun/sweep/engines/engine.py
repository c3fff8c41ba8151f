"""Define what runs the commands of trials, the interface `Engine`, and choose an engine by name."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from recrun.config.find import Overrides, read_overrides
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
