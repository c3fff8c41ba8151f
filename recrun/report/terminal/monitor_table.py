"""Draw the table of a run's evaluations, fitted to the width and height of the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Group
from rich.table import Column, Table

from recrun.registry.user_files import short_name
from recrun.report.terminal.board import Board, Row, train_title
from recrun.report.terminal.console import in_ascii, plain
from recrun.report.terminal.lines import number

_GAP = 2
_LR_RANK = 1000
"""Larger than the ranks of the monitors, which are counted from 2."""


@dataclass(frozen=True)
class _Field:
    """One column: its name, its cells, and its rank: the highest rank is omitted first, 0 never."""

    name: str
    cells: list[str]
    rank: int

    def header(self, two_lines: bool) -> str:
        return self.name.replace("@", "\n@").replace(" ", "\n") if two_lines else self.name

    def width(self, two_lines: bool) -> int:
        return max(map(cell_len, [*self.header(two_lines).split("\n"), *self.cells])) + _GAP


def monitor_table(board: Board, width: int, n_rows: int, *, ascii_only: bool = False) -> Group:
    """Return a table of a run's last evaluations and its best one.

    If the columns do not fit, the names of metrics are broken into two lines; if that is not enough, columns are
    omitted (times first, then the learning rate, then monitors from the right, but never the criterion) and named
    below the table.

    Args:
        board: the run.
        width: columns of the terminal.
        n_rows: how many of the last rows are shown at most; the best row is shown in addition.
        ascii_only: whether the terminal shows ASCII only.
    """
    rows, best = board.rows[-n_rows:], board.best
    shown = rows if best is None or best in rows else [best, *rows]
    fields = _fields(board, shown, in_ascii("★ ", ascii_only))
    kept, two_lines = _fit(fields, width)
    table = Table(
        *(Column(plain(field.header(two_lines)), justify="right", no_wrap=True) for field in kept),
        box=box.ASCII2 if ascii_only else box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, _GAP - 1, 0, 0),
        pad_edge=False,
        header_style="bold",
    )
    for position, row in enumerate(shown):
        table.add_row(*(plain(field.cells[position]) for field in kept), style="bold green" if row is best else None)
        if row is best and row not in rows:
            table.add_row(plain(in_ascii("⋮", ascii_only)), style="dim")
    left_out = ", ".join(field.name for field in fields if field not in kept)
    note = plain(f"too narrow for: {left_out}", style="dim", no_wrap=True, overflow="ellipsis")
    return Group(table, note) if left_out else Group(table)


def _fields(board: Board, rows: Sequence[Row], star: str) -> list[_Field]:
    train, monitors = board.columns()
    criterion = str(board.info.get("which4best") or (monitors[0] if monitors else "")).lower()
    fields = [_Field("epoch", [f"{star if row is board.best else ''}{row.epoch}" for row in rows], 0)]
    if len({row.split for row in board.rows}) > 1:
        fields.append(_Field("split", [row.split for row in rows], 0))
    for name in train:
        cells = [number(row.train.get(name)) for row in rows]
        fields.append(_Field(train_title(name), cells, _LR_RANK if name == "lr" else 1))
    for position, name in enumerate(monitors):
        cells = [number(row.values.get(name)) for row in rows]
        fields.append(_Field(short_name(name), cells, 0 if name.lower() == criterion else 2 + position))
    if train:
        fields.append(
            _Field(
                "train s",
                ["-" if row.train_seconds is None else f"{row.train_seconds:.1f}" for row in rows],
                _LR_RANK + 1,
            )
        )
    return [*fields, _Field("eval s", [f"{row.eval_seconds:.1f}" for row in rows], _LR_RANK + 2)]


def _fit(fields: list[_Field], width: int) -> tuple[list[_Field], bool]:
    """Return the columns that fit, and whether their headers have two lines."""
    kept = list(fields)
    if sum(field.width(False) for field in kept) - _GAP <= width:
        return kept, False
    while sum(field.width(True) for field in kept) - _GAP > width and any(field.rank for field in kept):
        kept.remove(max(kept, key=lambda field: field.rank))
    return kept, True
