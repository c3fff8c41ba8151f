"""The errors recrun raises, and how they name the nearest valid word.

Everything a caller can provoke is a `RecrunError`. The library raises; the command line prints one line and picks the
exit code. `ConfigError` carries every fault found, so that a user mends a config in one go.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a configuration, and where it stands.

    Args:
        message: what was expected, what was found, what to do.
        key: the setting concerned, or "" when the fault is of the whole file.
        file: the path of the file, or "command line"; None when the value came from neither.
        line: 1-based line; for the command line, the 1-based position of the argument.
        column: 1-based column.
        suggestion: the nearest valid name, if there is a near one.
    """

    message: str
    key: str = ""
    file: str | None = None
    line: int | None = None
    column: int | None = None
    suggestion: str | None = None

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        text = self.message if self.suggestion is None else f"{self.message}; did you mean {self.suggestion!r}?"
        return ": ".join(part for part in (where, self.key, text) if part)


class RecrunError(Exception):
    """Base of all errors that recrun raises on purpose."""


class ConfigError(RecrunError):
    """A configuration that cannot be run; `faults` holds everything found wrong with it."""

    def __init__(self, faults: str | Fault | Sequence[Fault]) -> None:
        if isinstance(faults, str):
            faults = [Fault(faults)]
        elif isinstance(faults, Fault):
            faults = [faults]
        self.faults: list[Fault] = list(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class RegistryError(RecrunError):
    """A component that is not registered, is registered twice, or cannot be loaded."""


class DataError(RecrunError):
    """Data that is missing, malformed, or cannot be split as asked."""


class CheckpointError(RecrunError):
    """A checkpoint or run folder that is missing, damaged, or belongs to something else."""


class TrainingError(RecrunError):
    """A run that failed while it was under way, such as a loss that is not finite."""


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice that `name` was most likely meant to be, or None when none is near.

    >>> nearest("learnig_rate", ["learning_rate", "epochs"])
    'learning_rate'
    """
    candidates = list(choices)
    by_lower_case = {choice.lower(): choice for choice in candidates}
    matches = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.6)
    return by_lower_case[matches[0]] if matches else None


def unknown(kind: str, name: str, choices: Iterable[str]) -> str:
    """Return the message for a name that is not among `choices`: the nearest one, and all that there are.

    >>> unknown("loss", "brp", ["bpr", "bce"])
    "unknown loss 'brp'; did you mean 'bpr'? Available: bce, bpr"
    """
    available = sorted(choices)
    guess = nearest(name, available)
    hint = f"; did you mean {guess!r}?" if guess else "."
    return f"unknown {kind} {name!r}{hint} Available: {', '.join(available) or 'none'}"
