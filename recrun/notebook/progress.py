"""Follow a run or a sweep in the output of a notebook's cell."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from recrun.notebook.display import CellOutput
from recrun.notebook.html import grid, lines, near
from recrun.registry.user_files import short_name
from recrun.report.html.element import Element, element
from recrun.report.terminal.board import Board, Row, train_title
from recrun.report.terminal.lines import counted, duration, epoch_label, facts, more_facts, number
from recrun.runs.history import Part
from recrun.sweep.run import Listener
from recrun.sweep.view.elapsed import Elapsed
from recrun.sweep.view.opening import opening_lines
from recrun.sweep.view.progress import progress_cells
from recrun.training.reporter import Reporter
from recrun.training.stopwatch import Recurring

if TYPE_CHECKING:
    from recrun.sweep.ledger import Ledger

_REFRESH_SECONDS: Final = 0.5
_ROWS: Final = 10
"""The evaluations that are shown beside the best one."""
_NOTES: Final = 20


class RunView(Reporter):
    """Shows a run: its description, a table of its last evaluations and its best, and how far it is.

    Args:
        output: where it is shown.
        config: what the config is called.
        verbose: 1, or 2 for more facts.
    """

    def __init__(self, output: CellOutput, config: str, verbose: int = 1) -> None:
        self._output, self._config, self._verbose = output, config, verbose
        self._board = Board()
        self._refresh = Recurring(_REFRESH_SECONDS)
        self._messages: list[str] = []
        self._activity, self._done, self._ending = "", 0.0, ""
        self._started = time.monotonic()
        self._closed = False

    def recall(self, parts: Iterable[Part]) -> None:
        """Load what was measured before the run was resumed, as `recent_history` returns it."""
        self._board.recall(parts)

    def start(self, info: Mapping[str, Any]) -> None:
        shown = {**info, **({"run": near(info["run"])} if info.get("run") else {})}
        self._board.info, self._board.epoch = shown, info.get("resumed_from") or 0
        self._done = float(self._board.epoch)
        self._show()

    def step(self, epoch: int, step: int, n_steps: int | None, loss: float | None = None) -> None:
        of_all = f"step {step:,}/{n_steps:,}" if n_steps else f"step {step:,}"
        self._activity = of_all + ("" if loss is None else f", loss {number(loss)}")
        self._done = self._board.epoch + (min(step / n_steps, 1.0) if n_steps else 0.0)
        self._show_if_due()

    def evaluating(self, epoch: int, split: str, done: int, total: int) -> None:
        self._activity = f"{split} {done:,}/{total:,} users"
        self._show_if_due()

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        self._board.trained(epoch, values, seconds)
        self._done = float(epoch)
        self._show_if_due()

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        self._board.evaluated(epoch, split, values, is_best, seconds)
        self._show_if_due()

    def message(self, text: str, level: str = "info") -> None:
        if self._verbose < {"debug": 2}.get(level, 1):
            return
        self._messages = [*self._messages, text if level == "info" else f"{level}: {text}"][-_NOTES:]
        self._show()

    def finish(self, result: Mapping[str, Any]) -> None:
        self._end(str(result.get("status", "done")))

    def close(self) -> None:
        """Leave the last view; nothing is shown afterwards."""
        if not self._closed:
            self._end("stopped")
            self._closed = True

    def _end(self, status: str) -> None:
        if not self._ending:
            taken = duration(time.monotonic() - self._started)
            self._ending = f"{status} after {counted(self._board.epoch, 'epoch')}, {taken}"
            self._show()

    def _show_if_due(self) -> None:
        if self._refresh.is_due():
            self._show()

    def _show(self) -> None:
        if not self._closed:
            self._output.show(self._ending or self._text(), *self._parts())
            self._refresh.done()

    def _text(self) -> str:
        return f"{epoch_label(self._board.epoch, self._board.epochs)} {self._activity}".rstrip()

    def _parts(self) -> Iterable[Element]:
        info = self._board.info
        more = more_facts(info) if self._verbose > 1 else []
        yield lines([("config", self._config), *facts(info), *more])
        if self._board.rows:
            yield _evaluations(self._board)
        if self._messages:
            yield lines([("", text) for text in self._messages])
        if self._ending:
            yield element("p", self._ending)
        else:
            bar = element("progress", value=self._done, max=float(self._board.epochs)) if self._board.epochs else None
            yield element("p", bar, f" {self._text()}")


def _evaluations(board: Board) -> Element:
    """Return the table of the last evaluations of a run, and of its best one."""
    rows = board.rows[-_ROWS:]
    rows = rows if board.best is None or board.best in rows else [board.best, *rows]
    of_train, monitors = board.columns()
    heads = ["epoch", "split", *map(train_title, of_train), *map(short_name, monitors)]

    def cells(row: Row) -> list[str]:
        values = [row.train.get(name) for name in of_train] + [row.values.get(name) for name in monitors]
        return [str(row.epoch), row.split, *map(number, values)]

    best = None if board.best is None else rows.index(board.best)
    return grid(heads, map(cells, rows), best)


class SweepView(Listener):
    """Shows a sweep: its grid, and a table of its trials.

    Args:
        output: where it is shown.
        config: what the config is called.
    """

    def __init__(self, output: CellOutput, config: str) -> None:
        self._output, self._config = output, config
        self._refresh = Recurring(_REFRESH_SECONDS)
        self._elapsed = Elapsed()
        self._request = ""

    def begin(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._show()

    def tick(self) -> None:
        if self._refresh.is_due():
            self._show()

    def stopping(self, at_once: bool) -> None:
        self._request = "stopping at once" if at_once else "stopping: running trials save; once more stops at once"
        self._show()

    def end(self) -> None:
        self._show()

    def _show(self) -> None:
        heads, rows, best, counts = progress_cells(self._ledger, elapsed=self._elapsed)
        texts = [[each if isinstance(each, str) else number(each) for each in row] for row in rows]
        told = [line.partition(" ") for line in opening_lines(self._ledger)]
        facts = {label: text.strip() for label, _, text in told} | {"config": self._config}
        parts = [lines(facts.items()), grid(heads, texts, best)]
        if self._request:
            parts.append(element("p", self._request))
        self._output.show(counts, *parts, element("p", counts))
