"""Define the errors that recrun raises, and suggest the nearest valid name for a misspelt one.

Every error that a caller can cause is a `RecrunError`. The library raises it; the command line prints it and chooses
the exit code. A `ConfigError` holds every fault found, so that a config can be corrected in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import NamedTuple

from recrun.visible import on_one_line


@dataclass(frozen=True)
class Fault:
    """One fault of a config, and its position.

    Args:
        message: what was expected, what was found, what to do.
        key: the setting concerned, or "" if the fault concerns the whole file.
        file: the path of the file, or "argument N" for the N-th KEY=VALUE on the command line; None if the value came
            from neither.
        line: 1-based line of a file; None for an argument.
        column: 1-based column in the line, or in the argument.
        suggestion: the valid name that was probably meant, if any is near enough.
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
        return ": ".join(on_one_line(part) for part in (where, self.key[:80], text) if part)


class RecrunError(Exception):
    """Base of all errors that recrun raises on purpose."""


class ConfigError(RecrunError):
    """A config that cannot be run; `faults` holds all of its faults."""

    def __init__(self, faults: str | Fault | Sequence[Fault]) -> None:
        if isinstance(faults, str):
            faults = [Fault(faults)]
        elif isinstance(faults, Fault):
            faults = [faults]
        self.faults: list[Fault] = list(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class RegistryError(RecrunError):
    """A component that is not registered, is registered twice, or cannot be loaded."""


class RowFault(NamedTuple):
    """A row of a data file that cannot be used.

    Args:
        kind: the sort of fault, as of a `DataError`.
        line: the 1-based line in which the row begins.
        message: what is wrong with it.
        n_lines: how many lines the row takes.
    """

    kind: str
    line: int
    message: str
    n_lines: int = 1


class DataError(RecrunError):
    """Data that is missing, malformed, or cannot be split as asked.

    Args:
        message: what is wrong, and what to do.
        path: the file concerned; its text begins with it.
        line: the 1-based line of that file.
        kind: the sort of fault, one of `recrun.data.describe.problems.KINDS`, or "" for all others.
        rows: finds every row that is at fault, the first one included; it may take as long as reading the file.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | PathLike[str] | None = None,
        line: int | None = None,
        kind: str = "",
        rows: Callable[[], Iterable[RowFault]] = tuple,
    ) -> None:
        self.message = message
        self.path = path
        self.line = line
        self.kind = kind
        self.rows = rows
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + message)


class DownloadError(RecrunError):
    """A download that failed, or whose content is not the published one."""


class CheckpointError(RecrunError):
    """A checkpoint or run folder that is missing, damaged, or belongs to another run or model."""


class OutputError(RecrunError):
    """A result that could not be written to stdout, although what was asked for is done.

    Args:
        reason: why it could not be written.
        done: what is done, and where it can be found; "" if there is nothing to keep.
    """

    def __init__(self, reason: str, done: str = "") -> None:
        self.reason = reason
        super().__init__(f"cannot write to stdout: {reason}" + (f"; {done}" if done else ""))


class ExportError(RecrunError):
    """An export that failed, or whose files do not compute what the model does."""


class TrainingError(RecrunError):
    """A run that failed during training, for example because the loss became NaN or infinite."""


def reading_order(fault: Fault) -> tuple[bool, int, str, int, int]:
    """Return the key that sorts faults by position: files line by line, then arguments in order."""
    file = fault.file or ""
    number = file.removeprefix("argument ") if file.startswith("argument ") else ""
    return bool(number), int(number) if number.isdecimal() else 0, file, fault.line or 0, fault.column or 0


def nearest(name: str, choices: Iterable[str], cutoff: float | None = None) -> str | None:
    """Return the choice that `name` was most likely meant to be, or None if none is near enough.

    Args:
        name: the name as it was written; case is ignored.
        choices: the valid names. Of equally near ones, the shortest wins, then the alphabetically first.
        cutoff: the similarity required, as `difflib.SequenceMatcher.ratio` from 0 to 1; if None, 0.5 for names of up
            to three letters and 0.55 for longer ones.

    >>> nearest("learnig_rate", ["learning_rate", "epochs"]), nearest("rl", ["lr", "id"])
    ('learning_rate', 'lr')
    """
    from difflib import SequenceMatcher

    spelled = name.strip().lower()
    if not spelled or len(spelled) > 100:
        return None
    if cutoff is None:
        cutoff = 0.5 if len(spelled) <= 3 else 0.55
    matcher = SequenceMatcher(b=spelled)
    shares = {}
    for choice in sorted(set(choices)):
        matcher.set_seq1(choice.lower())
        # Upper bounds, which cost less than the share itself.
        if matcher.real_quick_ratio() >= cutoff and matcher.quick_ratio() >= cutoff:
            shares[choice] = matcher.ratio()
    best = max(shares, key=lambda choice: (shares[choice], -len(choice)), default=None)
    return best if best is not None and shares[best] >= cutoff else None


def unknown(kind: str, name: str, choices: Iterable[str], guess: str | None = None) -> str:
    """Return the message for a name that is not among `choices`, with the nearest one and all of them.

    Args:
        kind: what the name names.
        name: the name as it was written.
        choices: the valid names.
        guess: the one that was probably meant, if something better than the letters tells.

    >>> unknown("loss", "brp", ["bpr", "bce"])
    "unknown loss 'brp'; did you mean 'bpr'? Available: bce, bpr"
    """
    available = sorted(choices)
    guess = guess or nearest(name, available)
    hint = f"; did you mean {guess!r}?" if guess else "."
    return f"unknown {kind} {name!r}{hint} Available: {', '.join(available) or 'none'}"
