"""The two consoles: results go to stdout, progress and warnings to stderr."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from rich.console import Console

UNLIMITED = 200
"""Columns of a console that is not a terminal: what is piped or kept in a file should not be folded to 80."""

_ASCII = str.maketrans({"★": "*", "·": "|", "–": "-", "…": "~", "⋮": ":"})


def stdout_console() -> Console:
    """Return the console for results."""
    return _console(sys.stdout, stderr=False)


def stderr_console() -> Console:
    """Return the console for progress, warnings and errors."""
    return _console(sys.stderr, stderr=True)


def is_live(console: Console) -> bool:
    """Return whether lines of this console may be drawn over: a terminal that moves its cursor, and no NO_COLOR."""
    return console.is_terminal and console.is_interactive and not console.is_dumb_terminal and not console.no_color


def in_ascii(text: str, ascii_only: bool) -> str:
    """Return the text with recrun's own marks (stars, dots, dashes) in ASCII where the console cannot show them."""
    return text.translate(_ASCII) if ascii_only else text


def _console(stream: TextIO, *, stderr: bool) -> Console:
    is_terminal = stream.isatty()
    if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
        # A name that the terminal cannot show must not end the run.
        stream.reconfigure(errors="backslashreplace")
    return Console(
        stderr=stderr,
        # With FORCE_COLOR rich colours a pipe too; nothing may be drawn over there all the same.
        force_interactive=None if is_terminal else False,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        width=None if is_terminal or os.environ.get("COLUMNS") else UNLIMITED,
        markup=False,
        emoji=False,
        highlight=False,
    )
