"""Format the output of `recrun verify`: published, expected and measured values side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from recrun.registry.user_files import short_name
from recrun.report.terminal.columns import Field
from recrun.report.terminal.console import plain
from recrun.report.terminal.tables import TextTable, table


def verification_table(document: Mapping[str, Any]) -> TextTable:
    """Return a table with a row for each split and metric: published, expected and measured value, and the verdict.

    If several values are published, the row shows the first; the lines below the table list all of them.
    """
    pairs = list(dict.fromkeys((number["split"], number["metric"]) for number in document["numbers"]))
    return table(
        f"{document['config']}",
        (
            "split",
            "metric",
            "published",
            "expected",
            "measured",
            Field("difference", rank=2),
            Field("tolerance", rank=1),
            "verdict",
        ),
        [_row(document["numbers"], split, metric) for split, metric in pairs],
    )


def verification_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines below the table: sources of the values, changed settings, and the verdict.

    A run that failed has no table, only a line with its cause.
    """
    if document["cause"] is not None:
        yield f"failed: {document['config']}: {document['cause']}"
        return
    for number in document["numbers"]:
        about = "; ".join(filter(None, (number["source"], number["protocol"])))
        if about:
            yield f"{number['from']} {number['split']} {number['metric']} {number['value']}: {about}"
    outside = [number for number in document["numbers"] if number["inside"] is False]
    for number in outside:
        span = f"{number['value']} within {number['tolerance']}"
        why = number["undefined"]
        found = f"{number['measured']:.6g}" if why is None else f"undefined: {why}"
        yield f"outside: {number['split']} {number['metric']} is {found}; expected {span}"
    for key, change in document["changed"].items():
        yield f"changed: {key} {change}; the expected values are those of the unchanged config"
    compared = sum(number["inside"] is not None for number in document["numbers"])
    what = "with changed settings" if document["changed"] else "with the settings of the config"
    yield f"{compared - len(outside)} of {compared} values are within their tolerance, {what}: {document['run']}"


def _row(numbers: list[dict[str, Any]], split: str, metric: str) -> list[Any]:
    of_pair = [number for number in numbers if (number["split"], number["metric"]) == (split, metric)]
    ours = next((number for number in of_pair if number["from"] == "ours"), None)
    published = next((number for number in of_pair if number["from"] == "published"), None)
    shown = ours or published or {}
    return [
        split,
        short_name(metric),
        published and published["value"],
        ours and ours["value"],
        shown["measured"],
        shown["difference"],
        shown["tolerance"],
        _verdict([number["inside"] for number in of_pair]),
    ]


def _verdict(inside: list[bool | None]) -> Text | str:
    if False in inside:
        return plain("outside", style="bold red")
    return plain("inside", style="green") if True in inside else ""
