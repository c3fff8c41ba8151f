"""The reporter that shows a run on the terminal while it goes."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from recrun.report.terminal.board import TRAIN_COLUMNS, Board, Row, train_title
from recrun.report.terminal.console import is_live
from recrun.report.terminal.frame import Frame
from recrun.report.terminal.lines import duration, epoch_label, facts, more_facts, trained_line, values_text
from recrun.training.reporter import Reporter

REFRESH_PER_SECOND = 5

_STYLES = {"warning": "yellow", "error": "bold red"}


class LiveReporter(Reporter):
    """Shows a run: a view that is drawn over on a terminal, else one plain line for each evaluation.

    The results themselves are not printed here: they belong on stdout (`recrun.report.terminal.tables.result_table`).

    Args:
        console: where to draw; `stderr_console()` for a command.
        verbose: 0 shows warnings and errors only, 1 the run, 2 more of it (every epoch, more facts, more rows).
    """

    def __init__(self, console: Console, verbose: int = 1) -> None:
        self._console = console
        self._verbose = verbose
        self._board = Board()
        self._live: Live | None = None
        self._draws = verbose > 0 and is_live(console)
        self._closed = False

    def recall(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Begin with the rows of an earlier part of the run, as `read_metrics` returns them; nothing is printed."""
        self._board.recall(lines)

    def start(self, info: Mapping[str, Any]) -> None:
        self._board.start(info)
        self._show()
        if not self._draws and self._verbose > 0:
            if info.get("description"):
                self._print(str(info["description"]))
            for label, text in facts(info) + (more_facts(info) if self._verbose > 1 else []):
                self._print(f"{label:<8}{text}")

    def step(self, epoch: int, step: int, n_steps: int | None, loss: float | None = None) -> None:
        self._board.step(step, n_steps, loss)
        self._show()

    def evaluating(self, epoch: int, split: str, done: int, total: int) -> None:
        self._board.evaluating(split, done, total)
        self._show()

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        self._board.trained(epoch, values, seconds)
        self._show()
        if not self._draws and self._verbose > 1:
            self._print(trained_line(epoch, self._board.epochs, values, seconds))

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        row = self._board.evaluated(epoch, split, values, is_best, seconds)
        self._show()
        if not self._draws and self._verbose > 0:
            self._print(_plain_row(row, self._board.epochs))

    def message(self, text: str, level: str = "info") -> None:
        if self._verbose < {"debug": 2, "info": 1}.get(level, 0):
            return
        prefix = "" if level == "info" else f"{level}: "
        self._print(prefix + text, _STYLES.get(level, ""))

    def finish(self, result: Mapping[str, Any]) -> None:
        self._board.end(str(result.get("status", "done")))

    def close(self) -> None:
        """Leave the last view on the screen and give the cursor back; nothing is drawn afterwards."""
        self._closed = True
        self._board.end("stopped")
        if self._live is not None:
            live, self._live = self._live, None
            atexit.unregister(self.close)
            live.stop()

    def _show(self) -> None:
        if self._live is not None or self._closed or not self._draws:
            return
        self._live = Live(
            Frame(self._board, self._verbose),
            console=self._console,
            refresh_per_second=REFRESH_PER_SECOND,
            # What goes to a file or a pipe must not end up in the view.
            redirect_stdout=sys.stdout.isatty(),
        )
        # For the caller who never gets to close(): an interpreter that exits gives the cursor back.
        atexit.register(self.close)
        self._live.start()

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style if self._draws else ""), soft_wrap=True)


def _plain_row(row: Row, epochs: int | None) -> str:
    train = {train_title(name): row.train[name] for name in TRAIN_COLUMNS if name in row.train}
    parts = [epoch_label(row.epoch, epochs), f"{row.split:<5}", values_text({**train, **row.values})]
    times = f"train {duration(row.train_seconds)}, " if row.train_seconds else ""
    return "  ".join([*parts, f"[{times}eval {duration(row.eval_seconds)}]", *(["best"] if row.is_best else [])])
