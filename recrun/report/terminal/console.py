"""Create the two consoles: results go to stdout, progress and warnings to stderr."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from recrun.report.terminal.streams import ProgressStream, ResultStream, progress_stream, result_stream
from recrun.visible import visible

UNLIMITED = 1_000_000
"""Width of a console that is not a terminal: what goes to a pipe or a file is not wrapped, whatever COLUMNS says."""

_ASCII = str.maketrans({"★": "*", "·": "|", "–": "-", "─": "-", "…": "~", "⋮": ":"})


class VisibleConsole(Console):
    """A console that shows what a terminal would obey, or not show, as an escape sequence in text."""

    def render_str(self, text: str, *args: Any, **options: Any) -> Text:
        """Convert text to a `Text`."""
        return super().render_str(visible(text), *args, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render an object to segments, the last place where its characters can be looked at."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n" or segment.text.isprintable():
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)


def plain(value: object, style: str = "", **options: Any) -> Text:
    """Return a `Text` of a value, whose constructor alone would drop some control characters in silence."""
    return Text(visible(str(value)), style=style, **options)


def stdout_console() -> Console:
    """Return the console for results; it wraps no lines, which is left to what it prints."""
    return _console(result_stream(), stderr=False)


def stderr_console() -> Console:
    """Return the console for progress, warnings and errors."""
    return _console(progress_stream(), stderr=True)


def is_live(console: Console) -> bool:
    """Return whether lines of this console can be redrawn: a terminal with cursor movement, and NO_COLOR is not set."""
    return console.is_terminal and console.is_interactive and not console.is_dumb_terminal and not console.no_color


def in_ascii(text: str, ascii_only: bool) -> str:
    """Return the text with recrun's symbols (stars, dots, dashes) replaced by ASCII if the console shows ASCII only."""
    return text.translate(_ASCII) if ascii_only else text


def _console(stream: ResultStream | ProgressStream, *, stderr: bool) -> Console:
    is_terminal = stream.isatty()
    return VisibleConsole(
        file=stream,  # type: ignore[arg-type]
        stderr=stderr,
        soft_wrap=not stderr,
        # With FORCE_COLOR rich colours a pipe as well, but lines of a pipe can never be redrawn.
        force_interactive=None if is_terminal else False,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        width=None if is_terminal else UNLIMITED,
        markup=False,
        emoji=False,
        highlight=False,
    )
