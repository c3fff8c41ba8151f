"""Build the tables that commands print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from recrun.config.check_value import type_name
from recrun.evaluation.protocol_text import measured_text, protocol_text
from recrun.metrics.undefined import undefined_text
from recrun.registry.component import REQUIRED, Component
from recrun.registry.user_files import short_name
from recrun.report.terminal.columns import GAP, INDENT, Arrangement, Column, Field, arrange, row_lines, wrapped
from recrun.report.terminal.console import in_ascii, plain
from recrun.report.terminal.lines import chosen_text, number, scored_text, seconds_text
from recrun.visible import on_one_line

_LINE = 80
"""A result whose metrics do not fit into this width is transposed: one row for each metric."""
_BEST = "bold green"


class Prose:
    """A line of text, wrapped at words where it is wider than the terminal; words are never broken.

    Args:
        text: the text; blanks that it begins with indent all of its lines.
        style: the style of rich.
    """

    def __init__(self, text: str, style: str = "") -> None:
        self.text = on_one_line(text)
        self.style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        words = self.text.lstrip(" ")
        indent = " " * (len(self.text) - len(words))
        for line in wrapped(words, options.max_width - len(indent), whole=True):
            yield Segment((indent + line).rstrip(), console.get_style(self.style))
            yield Segment.line()


class TextTable:
    """A table of text, arranged in the width of the console by `recrun.report.terminal.columns`.

    Args:
        title: the title above it, if any.
        fields: its columns.
        rows: the cells of each row; a `Text` has its own style.
        best: the index of the row to mark with a star and in bold.
        caption: a line below it.
        more: where the columns are shown that are left out.
    """

    def __init__(
        self,
        title: str | None,
        fields: Sequence[Field],
        rows: Sequence[Sequence[Any]],
        best: int | None = None,
        caption: str = "",
        more: str = "--json has all",
    ) -> None:
        self.title, self.caption, self.more = title, caption, more
        self._best = best
        self._styles: dict[tuple[int, str], str] = {}
        marks = [[] if best is None else ["★" if position == best else ""] for position in range(len(rows))]
        cells = [[*mark, *(_cell(value) for value in row)] for mark, row in zip(marks, rows, strict=True)]
        self._fields = [*([] if best is None else [Field("")]), *fields]
        self._cells = cells
        self._numbers = [False] * (len(self._fields) - len(fields)) + [
            _are_numbers([row[position] for row in rows]) for position in range(len(fields))
        ]
        for position, row in enumerate(rows):
            self._styles |= {
                (position, text): str(value.style)
                for value, text in zip(row, cells[position][-len(row) :], strict=True)
                if isinstance(value, Text) and value.style
            }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.title:
            yield Prose(self.title, "bold")
        cells = [[in_ascii(text, options.ascii_only) if text == "★" else text for text in row] for row in self._cells]
        columns = [
            Column(field, [row[position] for row in cells], self._numbers[position])
            for position, field in enumerate(self._fields)
        ]
        arrangement = arrange(columns, options.max_width)
        yield from self._head(arrangement, console, options)
        places = {id(column): position for position, column in enumerate(columns)}
        lines = [[(column, places[id(column)]) for column in line] for line in arrangement.lines]
        for position, row in enumerate(cells):
            texts = [[column.lines(row[place]) for column, place in line] for line in lines]
            yield from self._row(position, row_lines(arrangement, texts), arrangement, console)
        if self.caption:
            yield Prose(self.caption, "dim italic")
        if arrangement.left_out:
            yield Prose(f"not shown: {', '.join(arrangement.left_out)} ({self.more})", "dim")

    def _head(self, arrangement: Arrangement, console: Console, options: ConsoleOptions) -> RenderResult:
        heads = []
        for line in arrangement.lines:
            height = max(len(column.head) for column in line)
            heads.append([[""] * (height - len(column.head)) + column.head for column in line])
        lines = list(row_lines(arrangement, heads))
        for pieces in lines:
            yield Segment(_joined(pieces, arrangement), console.get_style("bold"))
            yield Segment.line()
        width = max(len(_joined(pieces, arrangement, strip=False)) for pieces in lines)
        yield Segment(in_ascii("─" * width, options.ascii_only))
        yield Segment.line()

    def _row(
        self, position: int, lines: Iterable[list[tuple[Column, str]]], arrangement: Arrangement, console: Console
    ) -> RenderResult:
        style = console.get_style(_BEST) if position == self._best else None
        for pieces in lines:
            text = _joined(pieces, arrangement)
            for known, own in self._own_styles(position, pieces):
                before, found, after = text.rpartition(known)
                if found:
                    yield Segment(before, style)
                    yield Segment(found, Style.combine([style or Style.null(), console.get_style(own)]))
                    text = after
                    break
            if text:
                yield Segment(text, style)
            yield Segment.line()

    def _own_styles(self, position: int, pieces: list[tuple[Column, str]]) -> list[tuple[str, str]]:
        if not self._styles:
            return []
        texts = [text.strip() for _, text in pieces]
        return [(text, self._styles[position, text]) for text in texts if (position, text) in self._styles]


def table(
    title: str | None,
    columns: Sequence[str | Field],
    rows: Iterable[Sequence[Any]],
    best: int | None = None,
    **options: str,
) -> TextTable:
    """Return a table; numbers are formatted by `recrun.report.terminal.lines.number` and aligned to the right.

    Args:
        title: the title above it, if any.
        columns: the headings, as text for columns that are always shown and hold no prose.
        rows: the cells of each row: numbers, text or None (shown as "-").
        best: the index of the row to mark with a star and in bold.
        options: `caption` and `more` of a `TextTable`.
    """
    fields = [Field(column) if isinstance(column, str) else column for column in columns]
    return TextTable(title, fields, [list(row) for row in rows], best, **options)


def parameter_table(component: Component) -> TextTable:
    """Return the config keys of one component: type, default and help."""
    rows = [
        (
            parameter.name,
            type_name(parameter.annotation),
            plain("required", style="bold") if parameter.default is REQUIRED else _yaml(parameter.default),
            parameter.help,
        )
        for parameter in component.parameters
    ]
    fields = ("key", Field("type", wraps=True), Field("default", wraps=True), Field("help", wraps=True))
    return table(None, fields, rows)


def result_table(result: Mapping[str, Any]) -> Group:
    """Return the final numbers of a run: valid and test at the best epoch.

    Rows are splits and columns are metrics; with more metrics than fit on a line, the table is transposed. The line
    above it names the epoch and its criterion; below it are the users ranked and skipped (or the rows scored), and the
    time.

    Args:
        result: the content of metrics.json.
    """
    splits = {split: result[split] for split in ("valid", "test") if result.get(split)}
    told = [scored_text(result), protocol_text(result.get("protocol")), measured_text(result.get("index"))]
    told.append(seconds_text(result.get("seconds")))
    notes = [*undefined_text(result.get("undefined") or {}), *told]
    return _scores(f"Result {chosen_text(result)}".strip(), splits, notes)


def evaluation_table(result: Mapping[str, Any]) -> Group:
    """Return the numbers of one evaluation of a checkpoint.

    Args:
        result: the document of `recrun eval --json`.
    """
    counted = {key: {result["split"]: result[key]} for key in ("users", "rows") if result.get(key) is not None}
    index = {result["split"]: result["index"]} if "index" in result else None
    told = [scored_text(counted), protocol_text(result.get("protocol")), measured_text(index)]
    notes = [*undefined_text(result.get("undefined") or {}), *told]
    return _scores(f"Checkpoint {result['checkpoint']}", {result["split"]: result["metrics"]}, notes)


def groups_tables(groups: Mapping[str, Any], split: str) -> Group:
    """Return a table for each grouping: a row for each group, and below it how far apart the groups are.

    Args:
        groups: the break-down of one split, as in metrics.json.
        split: "valid" or "test".
    """
    return Group(*(_groups_table(f"{split} by {name}", found) for name, found in groups.items()))


def time_table(rows: Sequence[tuple[str, float, float]]) -> TextTable:
    """Return a table of the time that a run spent: rows of (activity, seconds, share)."""
    shown = [(activity, f"{seconds:.2f}", f"{share:.1%}") for activity, seconds, share in rows]
    return table("Where the time went", ["activity", "seconds", "share"], shown)


class _Scores:
    """The metrics of each split: a row for each split, or for each metric where they do not fit on a line."""

    def __init__(self, splits: Mapping[str, Mapping[str, Any]]) -> None:
        self._splits = splits

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        splits = self._splits
        names = list(dict.fromkeys(name for values in splits.values() for name in values))
        titles = [short_name(name) for name in names]
        if sum(len(title) + 2 for title in titles) + len("valid") <= min(_LINE, options.max_width):
            yield table(None, ("split", *titles), [(s, *(v.get(name) for name in names)) for s, v in splits.items()])
        else:
            pairs = zip(titles, names, strict=True)
            rows = [(title, *(values.get(name) for values in splits.values())) for title, name in pairs]
            yield table(None, ("metric", *splits), rows)


def _scores(head: str, splits: Mapping[str, Mapping[str, Any]], notes: Sequence[str]) -> Group:
    return Group(Prose(head, "bold"), _Scores(splits), *(Prose(note, "dim") for note in notes if note))


def _groups_table(title: str, found: Mapping[str, Any]) -> TextTable:
    counted = [key for key in ("items", "users") if key in found["groups"][0]]
    names = list(found["groups"][0]["metrics"])
    rows: list[list[Any]] = [
        [plain(group["group"]), *(group[key] for key in counted), *(group["metrics"].get(name) for name in names)]
        for group in found["groups"]
    ]
    for gap in ("difference", "ratio"):
        values = (found["gaps"].get(name, {}).get(gap) for name in names)
        rows.append([plain(gap, style="dim"), *(None for _ in counted), *values])
    return table(title, ("group", *counted, *map(short_name, names)), rows)


def _cell(value: Any) -> str:
    known = value is None or isinstance(value, (bool, int, float, str))
    return on_one_line(number(value) if known else str(value))


def _are_numbers(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known)


def _joined(pieces: Sequence[tuple[Column, str]], arrangement: Arrangement, *, strip: bool = True) -> str:
    is_first = any(pieces[0][0] is column for column in arrangement.lines[0])
    text = ("" if is_first else " " * INDENT) + (" " * GAP).join(text for _, text in pieces)
    return text.rstrip() if strip else text


def _yaml(value: Any) -> str:
    """Return a default as it would be written in a config."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(map(_yaml, value))}]" if isinstance(value, (list, tuple)) else str(value)
