"""Show downloads: a progress bar for each file on a terminal, else a line when a download begins."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from recrun.report.terminal.console import is_live, plain
from recrun.report.terminal.tables import Prose, table
from recrun.visible import on_one_line


class FetchView:
    """Shows the progress of downloads; call it with a name, the bytes received, and the total (None if unknown).

    Args:
        console: the console to draw on; commands use stderr.
        is_quiet: show nothing.
    """

    def __init__(self, console: Console, is_quiet: bool = False) -> None:
        self._console = console
        self._is_quiet = is_quiet
        self._tasks: dict[str, TaskID | None] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            disable=is_quiet or not is_live(console),
        )

    def __enter__(self) -> FetchView:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, name: str, done: int, total: int | None) -> None:
        if self._is_quiet:
            return
        if self._progress.disable:
            if name not in self._tasks:
                size = "" if total is None else f" ({total:,} bytes)"
                self._console.print(plain(f"downloading {name}{size}"), soft_wrap=True)
                self._tasks[name] = None
            return
        if self._tasks.get(name) is None:
            self._tasks[name] = self._progress.add_task(on_one_line(name), total=total)
        task = self._tasks[name]
        assert task is not None
        self._progress.update(task, completed=done, total=total)


def fetched_report(document: Mapping[str, Any]) -> Group:
    """Return the files of a fetched data set as a table, with its notes and its terms of use.

    Args:
        document: the document of `recrun data fetch --json`.
    """
    rows = [
        (file["name"], file["status"], "yes" if file["is_verified"] else "-", file["path"] or "-")
        for file in document["files"]
    ]
    notes = [Prose(f"note: {note}") for note in document["notes"]]
    terms = [Prose(f"terms: {document['terms']}")] if document["terms"] else []
    return Group(table(None, ("file", "status", "verified", "path"), rows), *notes, *terms)
