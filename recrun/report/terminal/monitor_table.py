"""The table of a run's evaluations, cut to the width and height there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Group
from rich.table import Column, Table
from rich.text import Text

from recrun.report.terminal.board import Board, Row, train_title
from recrun.report.terminal.console import in_ascii
from recrun.report.terminal.lines import number

GAP = 2
"""Columns of space between two columns of the table."""

_LR_RANK = 1000
"""Beyond the ranks of the monitors, which count from 2."""


@dataclass(frozen=True)
class _Field:
    """One column: what it is called, how a row's cell reads, and how readily it is left out (0 = never)."""

    name: str
    cell: Callable[[Row], str]
    rank: int

    def header(self, *, two_lines: bool) -> str:
        if two_lines and "@" in self.name:
            return self.name.replace("@", "\n@")
        return self.name.replace(" ", "\n") if two_lines else self.name

    def width(self, rows: Iterable[Row], *, two_lines: bool) -> int:
        lines = self.header(two_lines=two_lines).split("\n")
        return max(cell_len(text) for text in (*lines, *(self.cell(row) for row in rows)))


def monitor_table(board: Board, width: int, n_rows: int, *, ascii_only: bool = False) -> Group:
    """Return the last evaluations of a run, and the best one wherever it is.

    Names of metrics break over two lines when the columns would not fit side by side; if that is not enough, columns
    are left out (times first, then the learning rate, then monitors from the right, but never the one that chooses)
    and named below the table.

    Args:
        board: the run.
        width: columns of the terminal.
        n_rows: how many of the last rows are shown at the most; the best one comes on top of these.
        ascii_only: whether the terminal shows ASCII only.
    """
    rows = board.rows[-n_rows:]
    best = board.best
    shown = rows if best is None or best in rows else [best, *rows]
    fields, two_lines, left_out = _fit(_fields(board), shown, width)
    table = Table(
        *(Column(Text(field.header(two_lines=two_lines)), justify="right", no_wrap=True) for field in fields),
        box=box.ASCII2 if ascii_only else box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, GAP - 1, 0, 0),
        pad_edge=False,
        header_style="bold",
    )
    for row in shown:
        is_best = row is best
        mark = in_ascii("★" if is_best else "", ascii_only)
        cells = [f"{mark} {row.epoch}" if field.name == "epoch" else field.cell(row) for field in fields]
        table.add_row(*map(Text, cells), style="bold green" if is_best else None)
        if is_best and row not in rows:
            table.add_row(Text(in_ascii("⋮", ascii_only)), style="dim")
    if not left_out:
        return Group(table)
    return Group(table, Text(f"too narrow for: {', '.join(left_out)}", style="dim", no_wrap=True, overflow="ellipsis"))


def _fields(board: Board) -> list[_Field]:
    train, monitors = board.columns()
    chooser = str(board.info.get("which4best") or (monitors[0] if monitors else "")).lower()
    several_splits = len({row.split for row in board.rows}) > 1
    fields = [_Field("epoch", lambda row: f"★ {row.epoch}", 0)]
    if several_splits:
        fields.append(_Field("split", lambda row: row.split, 0))
    fields += [_Field(train_title(name), _train_cell(name), _LR_RANK if name == "lr" else 1) for name in train]
    for place, name in enumerate(monitors):
        fields.append(_Field(name, _value_cell(name), 0 if name.lower() == chooser else 2 + place))
    if train:
        fields.append(_Field("train s", lambda row: f"{row.train_seconds:.1f}", _LR_RANK + 1))
    return [*fields, _Field("eval s", lambda row: f"{row.eval_seconds:.1f}", _LR_RANK + 2)]


def _fit(fields: list[_Field], rows: Sequence[Row], width: int) -> tuple[list[_Field], bool, list[str]]:
    """Return the columns that fit, whether their headers take two lines, and the names of those left out."""
    for two_lines in (False, True):
        if _total(fields, rows, two_lines=two_lines) <= width:
            return fields, two_lines, []
    kept = list(fields)
    while _total(kept, rows, two_lines=True) > width and any(field.rank for field in kept):
        kept.remove(max(kept, key=lambda field: field.rank))
    return kept, True, [field.name for field in fields if field not in kept]


def _total(fields: Sequence[_Field], rows: Sequence[Row], *, two_lines: bool) -> int:
    return sum(field.width(rows, two_lines=two_lines) + GAP for field in fields) - GAP


def _train_cell(name: str) -> Callable[[Row], str]:
    return lambda row: number(row.train.get(name))


def _value_cell(name: str) -> Callable[[Row], str]:
    return lambda row: number(row.values.get(name))
