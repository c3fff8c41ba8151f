"""The errors recrun raises, and how they name the nearest valid word.

Everything a caller can provoke is a `RecrunError`. The library raises; the command line prints one line and picks the
exit code. `ConfigError` carries every fault found, so that a user mends a config in one go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


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
    """Data that is missing, malformed, or cannot be split as asked."""


class DownloadError(RecrunError):
    """A download that failed, or brought something other than what was asked for."""


class CheckpointError(RecrunError):
    """A checkpoint or run folder that is missing, damaged, or belongs to something else."""


class TrainingError(RecrunError):
    """A run that failed while it was under way, such as a loss that is not finite."""


def reading_order(fault: Fault) -> tuple[bool, int, str, int, int]:
    """Return the key that sorts faults as a reader meets them: files line by line, then arguments in their order."""
    file = fault.file or ""
    number = file.removeprefix("argument ") if file.startswith("argument ") else ""
    return bool(number), int(number) if number.isdecimal() else 0, file, fault.line or 0, fault.column or 0


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice that `name` was most likely meant to be, or None when none is near.

    Near are few slips of the keyboard (a letter dropped, added, changed, or swapped with its neighbour), a whole word
    of a longer name, or the larger part of the letters in their order.

    >>> nearest("learnig_rate", ["learning_rate", "epochs"]), nearest("rl", ["lr", "id"])
    ('learning_rate', 'lr')
    """
    spelled = name.strip().lower()
    if not spelled or len(spelled) > 100:
        return None
    candidates = sorted(set(choices))
    allowed = 1 + len(spelled) // 5
    slips = {
        choice: edits(spelled, choice.lower()) for choice in candidates if abs(len(choice) - len(spelled)) <= allowed
    }
    near = [choice for choice, n in slips.items() if n <= allowed and n < max(len(choice), len(spelled))]
    if near:
        return min(near, key=lambda choice: (slips[choice], choice))
    parts = [choice for choice in candidates if len(spelled) >= 3 and spelled in choice.lower()]
    if parts:
        return min(parts, key=len)
    import difflib

    by_lower_case = {choice.lower(): choice for choice in candidates}
    matches = difflib.get_close_matches(spelled, by_lower_case, n=1, cutoff=0.6)
    return by_lower_case[matches[0]] if matches else None


def edits(one: str, other: str) -> int:
    """Return how many letters to drop, add, change, or swap with the next turn one text into the other.

    This is the optimal string alignment distance: no letter is touched twice.

    >>> edits("dropuot", "dropout"), edits("epoch", "epochs")
    (1, 1)
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        above = row
        row = [i]
        for j, counterpart in enumerate(other, start=1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != counterpart))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == counterpart:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = above
    return row[-1]


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
