"""Word errors for Python: what a command calls `--split valid` is an argument here."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from recrun.config.given.python_values import KEYWORD
from recrun.errors import ConfigError, Fault, RecrunError

P = ParamSpec("P")
T = TypeVar("T")

_OPTIONS: Final[Mapping[str, str | Callable[[re.Match[str]], str]]] = {
    r"--split (valid|test)": r"split='\1'",
    r"--over (users|seeds|both)": r"over='\1'",
    r"--exclude none": "exclude=None",
    r"--skip-unknown": "skip_unknown=True",
    r"--(trust|descriptive)\b": r"\1=True",
    r"--train-only": "train_only=True",
    r"--again": "again=True",
    r"--(search|prune) (?!N)(\w+)": r"\1='\2'",
    r"--(trials|add|seeds|generation|retries) (N|\d+)": r"\1=\2",
    r"--(max|search)-(hours|epochs|seed)\b": r"\1_\2",
    r"--(fail-fast|race)\b": lambda found: f"{found[1].replace('-', '_')}=True",
    r"--(search|trials|add|seeds|prune|generation|timeout|retries|zip|jobs)\b": r"\1",
    r"--until\b": "until",
    r"--point\b": "point",
    r"--metric\b": "metrics",
    r"--(baseline|items)\b": r"\1",
    r"(?:recrun train )?--resume '([^']*)'": r"recrun.load('\1').resume()",
    r"(?:recrun train )?--resume RUN": "recrun.load(RUN).resume()",
    r"(?:recrun train )?--resume ([^\s',;]+)": r"recrun.load('\1').resume()",
}
"""The options that errors name, and how the same is said in Python."""

_ARGUMENT: Final = re.compile(r"argument \d+")
_COMMAND: Final = re.compile(r"(`[^`]*`|'recrun [^']*')")
"""A command to type is left as it is."""


def for_python(text: str) -> str:
    """Return a message that names arguments of functions in place of options of commands.

    >>> for_python("no numbers on test: compare on valid with --split valid")
    "no numbers on test: compare on valid with split='valid'"
    """
    parts = _COMMAND.split(text)
    for place in range(0, len(parts), 2):
        for option, argument in _OPTIONS.items():
            parts[place] = re.sub(option, argument, parts[place])
    return "".join(parts)


def worded(function: Callable[P, T]) -> Callable[P, T]:
    """Have the errors that a function raises name its own arguments."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except ConfigError as error:
            faults = [_reworded(fault) for fault in error.faults]
            raise ConfigError(faults) from error.__cause__
        except RecrunError as error:
            error.args = tuple(for_python(each) if isinstance(each, str) else each for each in error.args)
            raise

    return wrapped


def _reworded(fault: Fault) -> Fault:
    is_argument = _ARGUMENT.fullmatch(fault.file or "") is not None
    is_option = (fault.file or "").startswith("--")
    file, column = (KEYWORD.file, None) if is_argument or is_option else (fault.file, fault.column)
    return replace(fault, message=for_python(fault.message), key=for_python(fault.key), file=file, column=column)


def warn(notes: Iterable[str]) -> None:
    """Warn of what a user should know, at the user's own line."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "recrun":
        frame, level = frame.f_back, level + 1
    for note in dict.fromkeys(notes):
        warnings.warn(for_python(note), stacklevel=level)
