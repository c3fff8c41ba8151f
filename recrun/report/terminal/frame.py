"""What the live view draws: header, table of evaluations, and two lines of progress."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from recrun.report.terminal.board import Board
from recrun.report.terminal.lines import clock, duration, facts, more_facts, number
from recrun.report.terminal.monitor_table import monitor_table

MIN_BAR = 10
MAX_BAR = 40
_PROGRESS_HEIGHT = 2
_MIN_ROWS = 3


class Frame:
    """Draws a Board at the size the terminal has at that moment.

    The header and the table are drawn anew only when they change: a step costs two lines.

    Args:
        board: the run.
        verbose: 2 and more show more facts and more rows.
    """

    def __init__(self, board: Board, verbose: int) -> None:
        self._board = board
        self._verbose = verbose
        self._drawn: list[Segment] = []
        self._drawn_for: tuple[int, ...] = ()
        self._label_width = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        size = (self._board.version, options.max_width, console.height)
        if size != self._drawn_for:
            self._drawn = list(console.render(self._still(console, options), options))
            self._drawn_for = size
        yield from self._drawn
        yield from console.render(self._moving(options.max_width), options)

    def _still(self, console: Console, options: ConsoleOptions) -> RenderableType:
        board = self._board
        header: list[RenderableType] = [_header(board, self._verbose), ""]
        # Below the header: the table's head (two lines and a rule), the best row and its dots, a note on columns left
        # out, and a blank line.
        room = console.height - _PROGRESS_HEIGHT - 7
        header_height = len(console.render_lines(header[0], options)) + 1
        if board.ended_at is None and room - header_height < _MIN_ROWS:
            header, header_height = [], 0
        if not board.rows:
            return Group(*header)
        n_rows = max(1, min(room - header_height, 20 if self._verbose > 1 else 10))
        table = monitor_table(board, options.max_width, n_rows, ascii_only=options.ascii_only)
        return Group(*header, table, "")

    def _moving(self, width: int) -> RenderableType:
        if self._board.ended_at is not None:
            return _ending(self._board)
        lines = [line for line in (_run_line(self._board), _activity_line(self._board)) if line]
        # The widest label so far keeps its room, so that the bars do not jump when training and ranking take turns.
        self._label_width = max(self._label_width, *(len(label) for label, _, _ in lines), 0)
        return _progress(lines, self._label_width, width)


_Line = tuple[str, float | None, list[str]]
"""A label, the share that is done (None when unknown), and notes in the order of their weight."""


def _header(board: Board, verbose: int) -> RenderableType:
    grid = Table.grid(Column(style="dim", no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
    for label, text in facts(board.info) + (more_facts(board.info) if verbose > 1 else []):
        grid.add_row(label, Text(text))
    description = board.info.get("description")
    return Group(Text(str(description), style="bold"), grid) if description else grid


def _run_line(board: Board) -> _Line | None:
    if not board.epochs:
        return None
    # What is ranked is the model of the epochs done; what is trained is the next one.
    current = board.epoch if board.ranking is not None else min(board.epoch + 1, board.epochs)
    label = f"epoch {current}/{board.epochs}"
    notes = [f"ETA {clock(board.remaining)}", f"elapsed {clock(board.elapsed)}"]
    return label, board.epochs_done / board.epochs, notes


def _activity_line(board: Board) -> _Line | None:
    if board.ranking is not None:
        pace = board.ranking
        share = pace.done / pace.total if pace.total else None
        rate = pace.rate(board.now())
        notes = [f"{rate:,.0f} users/s"] if rate else []
        return f"{board.ranked_split} {pace.done:,}/{pace.total:,}", share, notes
    notes = [f"loss {number(board.loss)}"] if board.loss is not None else []
    if board.training is None:
        return ("", None, notes) if notes else None
    if board.steps_per_second:
        notes.append(f"{board.steps_per_second:,.1f} steps/s")
    total = board.training.total
    if not total:
        return f"step {board.training.done:,}", None, notes
    return f"step {board.training.done:,}/{total:,}", board.training.done / total, notes


def _progress(lines: Sequence[_Line], label_width: int, width: int) -> RenderableType:
    """Return the lines with bars of one length; on a narrow terminal the lighter notes go first, then the bars."""
    notes = [_that_fit(notes, width - label_width - MIN_BAR - 4) for _, _, notes in lines]
    room = width - label_width - 4 - max(map(len, notes), default=0)
    grid = Table.grid(
        Column(no_wrap=True, min_width=min(label_width, width)),
        Column(width=max(0, min(MAX_BAR, room))),
        Column(no_wrap=True),
        padding=(0, 2, 0, 0),
    )
    for (label, share, _), note in zip(lines, notes, strict=True):
        done = None if share is None else min(max(share, 0.0), 1.0)
        bar = (
            "" if done is None else ProgressBar(total=1.0, completed=done, complete_style="cyan", finished_style="cyan")
        )
        grid.add_row(Text(label), bar, Text(note))
    return grid


def _that_fit(notes: Sequence[str], width: int) -> str:
    texts = ("  ".join(notes[:count]) for count in range(len(notes), -1, -1))
    return next((text for text in texts if len(text) <= width), "")


def _ending(board: Board) -> Text:
    epochs = f"{board.epoch:,} epoch" + ("" if board.epoch == 1 else "s")
    style = "green" if board.status == "done" else "yellow"
    return Text.assemble((board.status, style), f" after {epochs}, {duration(board.elapsed)}")
