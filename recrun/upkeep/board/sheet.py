"""Lay out a table of results as text: what its heading says, its columns, and the cells of each row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any, Final

from recrun.registry.user_files import short_name
from recrun.report.terminal.lines import duration, number, size
from recrun.upkeep.board.document import Row, Table

_MANY: Final = 5
"""More seeds in a row are written as their first and last."""
_SHOWN_DIGITS: Final = 12


@dataclass(frozen=True)
class Cell:
    """The text of a cell.

    Args:
        text: what it says.
        kind: "text", "number", or "code" for a command line.
    """

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Sheet:
    """A table of results as text.

    Args:
        title: the data set and how it is split.
        note: what the rows have in common.
        ending: what is to be added to each command; "" if nothing is.
        heads: the headings.
        rows: the cells of each row.
    """

    title: str
    note: str
    ending: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def sheets(tables: Iterable[Table]) -> list[Sheet]:
    """Return the tables as text; columns that would be empty are left out."""
    return [_sheet(table) for table in tables]


def _sheet(table: Table) -> Sheet:
    ending = _common(table.rows)
    metrics = list(dict.fromkeys(name for row in table.rows for name in row.metrics))
    columns = [
        ("model", [Cell(row.model) for row in table.rows]),
        ("runs", [Cell(_repeats(row)) for row in table.rows]),
        *((short_name(name), [Cell(_value(row, name), "number") for row in table.rows]) for name in metrics),
        ("published", [Cell(_published(row)) for row in table.rows]),
        ("time, peak memory", [Cell(_cost(row)) for row in table.rows]),
        ("command", [Cell(row.command(without=ending), "code") for row in table.rows]),
    ]
    kept = [(head, cells) for head, cells in columns if any(cell.text for cell in cells)]
    settings = [f"{key}={text}" for key, text in table.protocol.items()]
    return Sheet(
        title=", ".join([short_name(table.dataset), *settings]),
        note=_note(table),
        ending=" ".join(map(quote, ending)),
        heads=[head for head, _ in kept],
        rows=list(zip(*(cells for _, cells in kept), strict=True)),
    )


def _note(table: Table) -> str:
    counts = table.counts
    texts = []
    if counts:
        parts = ", ".join(f"{counts[part]:,} in {part}" for part in ("train", "valid", "test") if part in counts)
        whole = ", ".join(f"{counts[key]:,} {key}" for key in ("users", "items") if key in counts)
        texts.append("; ".join(filter(None, [whole, f"interactions: {parts}" if parts else ""])))
    if len(table.parts) > 1:
        texts.append(f"each run on parts of its own, {len(table.parts)} in all")
    else:
        texts.append(f"SHA-256 of the parts {table.parts[0][:_SHOWN_DIGITS]}")
    texts += [table.ranked] if table.ranked else []
    devices = list(dict.fromkeys(row.device for row in table.rows if row.device))
    texts += [f"device: {'; '.join(devices)}"] if devices else []
    return ". ".join(text[:1].upper() + text[1:] for text in texts) + "."


def _common(rows: Sequence[Row]) -> list[str]:
    """Return the overrides that all rows of a table have, if there are several."""
    known = [row.overrides for row in rows if row.config]
    if len(known) < 2 or len(known) < len(rows):
        return []
    return [each for each in known[0] if all(each in others for others in known)]


def _repeats(row: Row) -> str:
    """Return how many runs a row is of, and what differs among them: "3 (seed 1, 2, 3)"."""
    varied = row.varied
    if not varied:
        return str(len(row.repeats))
    texts: dict[str, list[str]] = {}
    for name in varied:
        texts.setdefault(_enumerated([each.get(name) for each in row.repeats]), []).append(name)
    shown = "; ".join(f"{' and '.join(names)} {values}" for values, names in texts.items())
    return f"{len(row.repeats)} ({shown})"


def _enumerated(values: Sequence[Any]) -> str:
    if len(values) > _MANY:
        return f"{values[0]} ... {values[-1]}"
    return ", ".join(map(str, dict.fromkeys(values)))


def _value(row: Row, metric: str) -> str:
    if metric not in row.metrics:
        return ""
    mean, sd = row.mean(metric), row.sd(metric)
    shown = number(mean)
    if sd is None:
        return shown
    # A deviation has as many decimals as its mean.
    decimals = len(shown.partition(".")[2])
    return f"{shown} ({number(sd) if 'e' in shown else f'{sd:.{decimals}f}'})"


def _published(row: Row) -> str:
    by_source: dict[tuple[str, str], list[str]] = {}
    for each in row.published:
        values = by_source.setdefault((each.source, each.protocol), [])
        if each.metric in row.metrics or not row.metrics:
            values.append(f"{short_name(each.metric)} {number(each.value)}")
    return "; ".join(
        f"{', '.join(values)} ({': '.join(filter(None, origin))})" for origin, values in by_source.items() if values
    )


def _cost(row: Row) -> str:
    memory = "" if row.peak_memory is None else size(row.peak_memory)
    return ", ".join(filter(None, ["" if row.seconds is None else duration(row.seconds), memory]))
