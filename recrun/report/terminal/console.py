"""Create the two consoles: results go to stdout, progress and warnings to stderr."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from rich.console import Console

UNLIMITED = 200
"""Width of a console that is not a terminal: output to a pipe or a file should not be wrapped at 80 columns."""

_ASCII = str.maketrans({"★": "*", "·": "|", "–": "-", "…": "~", "⋮": ":"})


def stdout_console() -> Console:
    """Return the console for results."""
    return _console(sys.stdout, stderr=False)


def stderr_console() -> Console:
    """Return the console for progress, warnings and errors."""
    return _console(sys.stderr, stderr=True)


def is_live(console: Console) -> bool:
    """Return whether lines of this console can be redrawn: a terminal with cursor movement, and NO_COLOR is not set."""
    return console.is_terminal and console.is_interactive and not console.is_dumb_terminal and not console.no_color


def in_ascii(text: str, ascii_only: bool) -> str:
    """Return the text with recrun's symbols (stars, dots, dashes) replaced by ASCII if the console shows ASCII only."""
    return text.translate(_ASCII) if ascii_only else text


def _console(stream: TextIO, *, stderr: bool) -> Console:
    is_terminal = stream.isatty()
    if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
        # A name that the terminal cannot encode must not end the run.
        stream.reconfigure(errors="backslashreplace")
    return Console(
        stderr=stderr,
        # With FORCE_COLOR rich colours a pipe as well, but lines of a pipe can never be redrawn.
        force_interactive=None if is_terminal else False,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        width=None if is_terminal or os.environ.get("COLUMNS") else UNLIMITED,
        markup=False,
        emoji=False,
        highlight=False,
    )
