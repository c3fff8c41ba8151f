"""Show a run on the terminal while it goes on: its description, a table of its evaluations, and its progress."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.segment import Segments
from rich.table import Column, Table
from rich.text import Text

from recrun.report.terminal.board import TRAIN_COLUMNS, Board, Row, train_title
from recrun.report.terminal.console import is_live, plain
from recrun.report.terminal.lines import (
    clock,
    counted,
    duration,
    epoch_label,
    facts,
    more_facts,
    number,
    trained_line,
    values_text,
)
from recrun.report.terminal.monitor_table import monitor_table
from recrun.runs.history import Part
from recrun.training.reporter import Reporter
from recrun.visible import on_one_line, visible

REFRESH_PER_SECOND = 5

_STYLES = {"warning": "yellow", "error": "bold red"}
_MIN_ROWS = 3
_OTHER_HEIGHT = 9
"""Lines besides the header and the last rows: the table's head (three), the best row and its dots, a note on omitted
columns, a blank line, and two lines of progress."""


class LiveReporter(Reporter):
    """Shows a run: a live view on a terminal, else one plain line for each evaluation.

    The final results are not printed here: they go to stdout (`recrun.report.terminal.tables`).

    Args:
        console: the console to draw on; commands use `recrun.report.terminal.console.stderr_console()`.
        verbose: 0 shows warnings and errors only, 1 the run, 2 more details (every epoch, more facts, more rows).
    """

    def __init__(self, console: Console, verbose: int = 1) -> None:
        self._console = console
        self._verbose = verbose
        self._board = Board()
        self._live: Live | None = None
        self._draws = verbose > 0 and is_live(console)
        self._closed = False
        self._ending: Text | None = None
        self._loss: float | None = None
        self._still: RenderableType | None = None
        """The header and the table as last rendered: they are rendered again only when they change."""
        self._still_for: tuple[int, int] = (0, 0)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, min_width=20)),
            BarColumn(None, table_column=Column(max_width=40)),
            _Notes(table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=console,
        )
        self._run, self._training, self._ranking = (
            self._progress.add_task("", total=None, visible=False, unit=unit, loss=None, first=0)
            for unit in ("", "steps/s", "users/s")
        )

    def recall(self, parts: Iterable[Part]) -> None:
        """Load the rows from before the run was resumed, as `recent_history` returns them; nothing is printed."""
        self._board.recall(parts)

    def start(self, info: Mapping[str, Any]) -> None:
        self._board.info, self._still = dict(info), None
        self._board.epoch = info.get("resumed_from") or 0
        self._progress.reset(self._run, total=self._board.epochs, first=self._board.epoch, unit="")
        self._move(self._board.epoch)
        self._show()
        if not self._draws and self._verbose > 0:
            if info.get("description"):
                self._print(str(info["description"]))
            for label, text in self._facts():
                self._print(f"{label:<8}{text}")

    def step(self, epoch: int, step: int, n_steps: int | None, loss: float | None = None) -> None:
        self._loss = self._loss if loss is None else loss
        description = f"step {step:,}/{n_steps:,}" if n_steps else f"step {step:,}"
        self._progress.update(self._ranking, visible=False)
        self._progress.update(
            self._training, description=description, completed=step, total=n_steps, visible=True, loss=self._loss
        )
        self._move(self._board.epoch + (min(step / n_steps, 1.0) if n_steps else 0.0), self._board.epoch + 1)
        self._show()

    def evaluating(self, epoch: int, split: str, done: int, total: int) -> None:
        self._progress.update(self._training, visible=False)
        description = f"{split} {done:,}/{total:,}"
        self._progress.update(self._ranking, description=description, completed=done, total=total, visible=True)
        self._show()

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        self._board.trained(epoch, values, seconds)
        self._loss = values.get("loss", self._loss)
        self._progress.update(self._training, loss=self._loss)
        self._move(epoch)
        self._show()
        if not self._draws and self._verbose > 1:
            self._print(trained_line(epoch, self._board.epochs, values, seconds))

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        row = self._board.evaluated(epoch, split, values, is_best, seconds)
        self._still = None
        self._progress.update(self._ranking, visible=False)
        self._show()
        if not self._draws and self._verbose > 0:
            self._print(_plain_row(row, self._board.epochs))

    def message(self, text: str, level: str = "info") -> None:
        if self._verbose < {"debug": 2, "info": 1}.get(level, 0):
            return
        prefix = "" if level == "info" else f"{level}: "
        self._print(prefix + text, _STYLES.get(level, ""))

    def finish(self, result: Mapping[str, Any]) -> None:
        self._end(str(result.get("status", "done")))

    def close(self) -> None:
        """Leave the last view on the screen and restore the cursor; nothing is drawn afterwards."""
        self._closed = True
        self._end("stopped")
        if self._live is not None:
            live, self._live = self._live, None
            atexit.unregister(self.close)
            live.stop()

    def _show(self) -> None:
        if self._live is not None or self._closed or not self._draws:
            return
        self._live = Live(
            get_renderable=self.view,
            console=self._console,
            refresh_per_second=REFRESH_PER_SECOND,
            # Output that goes to a file or a pipe must not end up in the view.
            redirect_stdout=sys.stdout.isatty(),
        )
        # If the caller never reaches close(), the cursor is restored when the interpreter exits.
        atexit.register(self.close)
        self._live.start()

    def _move(self, done: float, current: int | None = None) -> None:
        """Update the progress bar of the run: epochs done, and the epoch that is trained or evaluated."""
        epochs = self._board.epochs
        if epochs:
            description = f"epoch {min(current or self._board.epoch, epochs)}/{epochs}"
            self._progress.update(self._run, completed=done, description=description, visible=True)

    def _end(self, status: str) -> None:
        """Replace the progress by the status in which the run ended; only the first call has an effect."""
        if self._ending is None:
            epoch, elapsed = self._board.epoch, self._progress.tasks[0].elapsed
            style = "green" if status == "done" else "yellow"
            self._ending = (
                plain("")
                .append(visible(status), style)
                .append(f" after {counted(epoch, 'epoch')}, {duration(elapsed)}")
            )
            self._still = None

    def view(self) -> RenderableType:
        """Return the current view."""
        size = (self._console.width, self._console.height)
        if self._still is None or size != self._still_for:
            self._still, self._still_for = Segments(list(self._console.render(self._header_and_table()))), size
        return Group(self._still, self._ending or self._progress.get_renderable())

    def _header_and_table(self) -> RenderableType:
        header: list[RenderableType] = [self._header(), ""]
        header_height = len(self._console.render_lines(header[0])) + 1
        room = self._console.height - _OTHER_HEIGHT
        if self._ending is None and room - header_height < _MIN_ROWS:
            header, header_height = [], 0
        if not self._board.rows:
            return Group(*header)
        n_rows = max(1, min(room - header_height, 20 if self._verbose > 1 else 10))
        ascii_only = self._console.options.ascii_only
        return Group(*header, monitor_table(self._board, self._console.width, n_rows, ascii_only=ascii_only), "")

    def _header(self) -> RenderableType:
        grid = Table.grid(Column(style="dim", no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
        for label, text in self._facts():
            grid.add_row(label, plain(on_one_line(text)))
        description = self._board.info.get("description")
        return Group(plain(on_one_line(str(description)), style="bold"), grid) if description else grid

    def _facts(self) -> list[tuple[str, str]]:
        return facts(self._board.info) + (more_facts(self._board.info) if self._verbose > 1 else [])

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(plain(text, style=style if self._draws else ""), soft_wrap=True)


class _Notes(ProgressColumn):
    """The remaining time at the average speed of the run, or the loss and the speed of the current activity."""

    def render(self, task: Task) -> Text:
        if task.fields["unit"]:
            loss = "" if task.fields["loss"] is None else f"loss {number(task.fields['loss'])}  "
            speed = task.speed or 0.0
            pace = f"{speed:,.0f}" if speed >= 100 else f"{speed:,.1f}"
            return plain(loss + (f"{pace} {task.fields['unit']}" if speed else ""))
        done = task.completed - task.fields["first"]
        left = task.elapsed * (task.remaining or 0) / done if task.elapsed and done > 0 else None
        return plain(f"ETA {clock(left)}  elapsed {clock(task.elapsed)}")


def _plain_row(row: Row, epochs: int | None) -> str:
    train = {train_title(name): row.train[name] for name in TRAIN_COLUMNS if name in row.train}
    parts = [epoch_label(row.epoch, epochs), f"{row.split:<5}", values_text({**train, **row.values})]
    times = f"train {duration(row.train_seconds)}, " if row.train_seconds else ""
    return "  ".join([*parts, f"[{times}eval {duration(row.eval_seconds)}]", *(["best"] if row.is_best else [])])
