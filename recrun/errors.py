"""The errors recrun raises, and how they name the nearest valid word.

Everything a caller can provoke is a `RecrunError`. The library raises; the command line prints one line and picks the
exit code. `ConfigError` carries every fault found, so that a user mends a config in one go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a configuration, and where it stands.

    Args:
        message: what was expected, what was found, what to do.
        key: the setting concerned, or "" when the fault is of the whole file.
        file: the path of the file, or "argument N" for the N-th KEY=VALUE on the command line; None when the value came
            from neither.
        line: 1-based line of a file; None for an argument.
        column: 1-based column in the line, or in the argument.
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
        return ": ".join(_on_one_line(part) for part in (where, self.key[:80], text) if part)


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
    """Data that is missing, malformed, or cannot be split as asked.

    Args:
        message: what is wrong, and what to do.
        path: the file concerned; its text begins with it.
        line: the 1-based line of that file.
        kind: the sort of fault, for code that decides by it: "empty" (a file without interactions), "other-ids" (parts
            whose ids are not of one kind), or "" for all others.
    """

    def __init__(
        self, message: str, *, path: str | PathLike[str] | None = None, line: int | None = None, kind: str = ""
    ) -> None:
        self.message = message
        self.path = path
        self.line = line
        self.kind = kind
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + message)


class DownloadError(RecrunError):
    """A download that failed, or whose content is not the published one."""


class CheckpointError(RecrunError):
    """A checkpoint or run folder that is missing, damaged, or belongs to something else."""


class TrainingError(RecrunError):
    """A run that failed while it was under way, such as a loss that is not finite."""


def reading_order(fault: Fault) -> tuple[bool, int, str, int, int]:
    """Return the key that sorts faults as a reader meets them: files line by line, then arguments in their order."""
    file = fault.file or ""
    number = file.removeprefix("argument ") if file.startswith("argument ") else ""
    return bool(number), int(number) if number.isdecimal() else 0, file, fault.line or 0, fault.column or 0


def nearest(name: str, choices: Iterable[str], cutoff: float | None = None) -> str | None:
    """Return the choice that `name` was most likely meant to be, or None when none is near.

    Args:
        name: the name as it was written; case does not count.
        choices: the valid names. Of equally near ones the shortest is chosen, then the first in the alphabet.
        cutoff: the share of letters, from 0 to 1, that must agree in their order; a little over half if None, and half
            of a name of up to three letters.

    >>> nearest("learnig_rate", ["learning_rate", "epochs"]), nearest("rl", ["lr", "id"])
    ('learning_rate', 'lr')
    """
    from difflib import SequenceMatcher

    spelled = name.strip().lower()
    if not spelled or len(spelled) > 100:
        return None
    shares = {choice: SequenceMatcher(None, choice.lower(), spelled).ratio() for choice in sorted(set(choices))}
    best = max(shares, key=lambda choice: (shares[choice], -len(choice)), default=None)
    if cutoff is None:
        cutoff = 0.5 if len(spelled) <= 3 else 0.55
    return best if best is not None and shares[best] >= cutoff else None


def unknown(kind: str, name: str, choices: Iterable[str]) -> str:
    """Return the message for a name that is not among `choices`: the nearest one, and all that there are.

    >>> unknown("loss", "brp", ["bpr", "bce"])
    "unknown loss 'brp'; did you mean 'bpr'? Available: bce, bpr"
    """
    available = sorted(choices)
    guess = nearest(name, available)
    hint = f"; did you mean {guess!r}?" if guess else "."
    return f"unknown {kind} {name!r}{hint} Available: {', '.join(available) or 'none'}"


def _on_one_line(text: str) -> str:
    """Return text with line ends and control characters written as escapes, so that a fault is always one line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
