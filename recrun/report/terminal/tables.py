"""Build the tables that commands print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from recrun.config.check_value import type_name
from recrun.metrics.undefined import undefined_text
from recrun.registry.component import REQUIRED, Component
from recrun.registry.user_files import short_name
from recrun.report.terminal.console import in_ascii
from recrun.report.terminal.lines import chosen_text, number, scored_text, seconds_text

_LINE = 80
"""A result whose metrics do not fit into this width is transposed: one row for each metric."""


class Star:
    """Marks the best row; an asterisk if the console shows ASCII only."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(in_ascii("★", options.ascii_only))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, 1)


def table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[Any]], best: int | None = None) -> Table:
    """Return a table; numbers are formatted by `recrun.report.terminal.lines.number` and aligned to the right.

    Args:
        title: the title above it, if any.
        columns: the headers.
        rows: the cells of each row: numbers, text, None (shown as "-"), or anything rich can draw.
        best: the index of the row to mark with a star and in bold.
    """
    cells = [list(row) for row in rows]
    heads = [_column(name, [row[position] for row in cells]) for position, name in enumerate(columns)]
    grid = Table(
        *(heads if best is None else [Column(), *heads]),
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        header_style="bold",
    )
    for position, row in enumerate(cells):
        mark: list[RenderableType] = [] if best is None else [Star() if position == best else ""]
        grid.add_row(*mark, *map(_cell, row), style="bold green" if position == best else None)
    return grid


def parameter_table(component: Component) -> Table:
    """Return the config keys of one component: type, default and help."""
    rows = [
        (
            parameter.name,
            type_name(parameter.annotation),
            Text("required", style="bold") if parameter.default is REQUIRED else _yaml(parameter.default),
            parameter.help,
        )
        for parameter in component.parameters
    ]
    return table(None, ("key", "type", "default", "help"), rows)


def result_table(result: Mapping[str, Any]) -> Group:
    """Return the final numbers of a run: valid and test at the best epoch.

    Rows are splits and columns are metrics; with more metrics than fit on a line, the table is transposed. The line
    above it names the epoch and its criterion; below it are the users ranked and skipped (or the rows scored), and the
    time.

    Args:
        result: the content of metrics.json.
    """
    splits = {split: result[split] for split in ("valid", "test") if result.get(split)}
    notes = [*undefined_text(result.get("undefined") or {}), scored_text(result), seconds_text(result.get("seconds"))]
    return _scores(f"Result {chosen_text(result)}".strip(), splits, notes)


def evaluation_table(result: Mapping[str, Any]) -> Group:
    """Return the numbers of one evaluation of a checkpoint.

    Args:
        result: the document of `recrun eval --json`.
    """
    counted = {key: {result["split"]: result[key]} for key in ("users", "rows") if result.get(key) is not None}
    notes = [*undefined_text(result.get("undefined") or {}), scored_text(counted)]
    return _scores(f"Checkpoint {result['checkpoint']}", {result["split"]: result["metrics"]}, notes)


def time_table(rows: Sequence[tuple[str, float, float]]) -> Table:
    """Return a table of the time that a run spent: rows of (activity, seconds, share)."""
    shown = [(activity, f"{seconds:.2f}", f"{share:.1%}") for activity, seconds, share in rows]
    return table("Where the time went", ["activity", "seconds", "share"], shown)


def _scores(head: str, splits: Mapping[str, Mapping[str, Any]], notes: Sequence[str]) -> Group:
    names = list(dict.fromkeys(name for values in splits.values() for name in values))
    titles = [short_name(name) for name in names]
    if sum(len(title) + 3 for title in titles) + len("valid") <= _LINE:
        rows = [(split, *(values.get(name) for name in names)) for split, values in splits.items()]
        grid = table(None, ("", *titles), rows)
    else:
        pairs = zip(titles, names, strict=True)
        rows = [(title, *(values.get(name) for values in splits.values())) for title, name in pairs]
        grid = table(None, ("", *splits), rows)
    return Group(Text(head, style="bold"), grid, *(Text(note, style="dim") for note in notes if note))


def _cell(value: Any) -> RenderableType:
    if value is None or isinstance(value, (bool, int, float, str)):
        return Text(number(value))
    return value if hasattr(value, "__rich_console__") or isinstance(value, Text) else Text(str(value))


def _column(name: str, values: Sequence[Any]) -> Column:
    known = [value for value in values if value is not None]
    is_number = bool(known) and all(isinstance(value, (int, float)) for value in known)
    return Column(Text(name), justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")


def _yaml(value: Any) -> str:
    """Return a default as it would be written in a config."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(map(_yaml, value))}]" if isinstance(value, (list, tuple)) else str(value)
