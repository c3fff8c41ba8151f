"""Show the progress of long work as a bar on a terminal; elsewhere nothing is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from recrun.report.terminal.console import is_live
from recrun.visible import on_one_line


@contextmanager
def progress_bar(console: Console, what: str, *, is_quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that is called with what is done and the total, and redraws a bar.

    Args:
        console: the console to draw on; commands use stderr.
        what: what is being done, shown before the bar.
        is_quiet: show nothing.
    """
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=is_quiet or not is_live(console),
    )
    with bar:
        task = bar.add_task(on_one_line(what), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
