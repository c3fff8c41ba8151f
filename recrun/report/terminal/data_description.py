"""Format the report of `recrun data describe`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType

from recrun.report.terminal.columns import Field
from recrun.report.terminal.console import plain
from recrun.report.terminal.tables import Prose, table

_STYLES = {"refuse": "red", "setting": "yellow", "drop": "yellow", "keep": ""}
_QUANTILES = ("min", "p25", "median", "p75", "p90", "p99", "max", "mean")
_FIRST_LEFT_OUT = ("p99", "p75", "p25", "p90")
"""The quantiles that a narrow terminal does without, the last of them first."""


def description_report(document: Mapping[str, Any], actions: Mapping[str, str], config: str) -> Group:
    """Return the report that `recrun data describe` prints.

    Args:
        document: the document of `recrun data describe --json`.
        actions: the meaning of each action of a fault.
        config: the config that reads the data, as YAML.
    """
    return Group(*_parts(document, actions, config))


def _parts(document: Mapping[str, Any], actions: Mapping[str, str], config: str) -> Iterator[RenderableType]:
    for file in document["files"]:
        yield from _file(file)
    if document["statistics"]:
        yield from _statistics(document["statistics"])
    faults = [fault for file in document["files"] for fault in file["faults"]]
    for action, meaning in actions.items():
        chosen = [fault for fault in faults if fault["action"] == action]
        if chosen:
            yield Prose("")
            yield Prose(f"{action}: {meaning}", style=f"bold {_STYLES[action]}".strip())
            for fault in chosen:
                yield from _fault(fault)
    for note in document["notes"]:
        yield Prose(f"note: {note}")
    for name, checksum in document["hashes"].items():
        yield Prose(f"sha256 {checksum}  {name}")
    if not document["usable"]:
        yield Prose("")
        yield Prose("This data cannot be trained on.", style="bold red")
        return
    yield Prose("")
    yield Prose("Train on it with", style="bold")
    # What may be copied is not wrapped.
    yield plain(f"  {document['command']}")
    yield Prose("or add to a config", style="bold")
    yield from (plain(f"  {line}") for line in config.splitlines())


def _file(file: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield Prose(file["path"], style="bold")
    layout = file["layout"]
    if layout is None:
        return
    facts = [f"format {layout['format']}"]
    facts += [layout["encoding"]] if layout["encoding"] else []
    facts += [f"separator {layout['separator']!r}"] if layout["separator"] else []
    if layout["header"] is not None:
        facts.append("with a header row" if layout["header"] else "without a header row")
    yield Prose("  " + ", ".join(facts))
    if layout["columns"]:
        yield Prose("  columns: " + ", ".join(layout["columns"][:30]) + (" ..." if len(layout["columns"]) > 30 else ""))
    if layout["roles"]:
        yield Prose("  " + ", ".join(f"{role} = {name}" for role, name in layout["roles"].items()))
    for other in layout["alternatives"]:
        yield Prose(f"  or {other}")


def _statistics(figures: Mapping[str, Any]) -> Iterator[RenderableType]:
    if "labelled" in figures:
        yield from _labelled(figures["labelled"])
        return
    counts = [f"{figures[name]:,} {name}" for name in ("users", "items", "interactions")]
    yield Prose("")
    yield Prose(f"{', '.join(counts)}; density {100 * figures['density']:.3g} %")
    parts = figures.get("parts") or {}
    if parts:
        yield Prose("parts: " + ", ".join(f"{n_rows:,} {part}" for part, n_rows in parts.items()))
    rows = [
        ("interactions of a user", *(figures["per_user"][name] for name in _QUANTILES)),
        ("interactions of an item", *(figures["per_item"][name] for name in _QUANTILES)),
    ]
    for name, column in figures["columns"].items():
        if "mean" in column:
            rows.append((name, *(column.get(quantile) for quantile in _QUANTILES)))
    yield table(
        None,
        (Field("statistic", wraps=True), *map(_field, _QUANTILES)),
        rows,
    )
    yield Prose(f"the 1 % most popular items have {100 * figures['top_items_share']:.3g} % of the interactions")
    for name, column in figures["columns"].items():
        if "first" in column:
            unit = f" ({column['unit']} since 1970)" if column["unit"] else ""
            yield Prose(f"{name}: from {column['first']} to {column['last']}{unit}")
        if "counts" in column:
            yield Prose(f"{name}: " + ", ".join(f"{value} ({count:,})" for value, count in column["counts"].items()))


def _field(quantile: str) -> Field:
    return Field(quantile, _FIRST_LEFT_OUT.index(quantile) + 1 if quantile in _FIRST_LEFT_OUT else 0)


def _labelled(figures: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the statistics of labelled rows, with a table row for each column."""
    ids = "".join(f", {figures[what]:,} {what}" for what in ("users", "items") if what in figures)
    share = f"{100 * figures['share_labelled_1']:.3g} % labelled 1"
    yield Prose("")
    yield Prose(f"labelled rows: {figures['rows']:,}, {share}{ids}")
    yield Prose("parts: " + ", ".join(f"{figures[part]:,} {part}" for part in ("train", "valid", "test")))
    names = ("missing", "distinct", "min", "mean", "max")
    rows = [(each["name"], each["role"], *(each.get(name) for name in names)) for each in figures["columns"]]
    if rows:
        yield table(None, ("column", Field("role", 1), *names), rows)


def _fault(fault: Mapping[str, Any]) -> Iterator[RenderableType]:
    count = f" ({fault['count']:,})" if fault["count"] else ""
    message = fault["message"] if fault["message"].startswith(fault["path"]) else f"{fault['path']}: {fault['message']}"
    yield Prose(f"  {message}{count}")
    for line in fault["lines"]:
        yield Prose(f"    {fault['path']}:{line['line']}: {line['found']}")
    more = fault["count"] - len(fault["lines"])
    if fault["lines"] and more:
        yield Prose(f"    and {more:,} more")
