"""Show the last step of a sweep: its choice, trained on train and valid, and its metrics on test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from recrun.compare.formats.figures import Figures
from recrun.registry.user_files import short_name
from recrun.report.html.element import Element, element
from recrun.report.html.plots import described
from recrun.report.html.scale import number_of
from recrun.report.html.table import Cell, numeric, table
from recrun.report.terminal.lines import counted

_MOST: Final = 12
"""The last steps that are shown."""
_MOST_METRICS: Final = 24


def last_step(finals: Sequence[Mapping[str, Any]], place: int) -> list[Element]:
    """Return a table for each last step of a sweep; nothing if there was none.

    Args:
        finals: as of `recrun.sweep.final.record.read_final`; the values may be a stranger's.
        place: the number of the sweep in the page.
    """
    shown = [_table(final, f"sweep-{place}-final-{n}") for n, final in enumerate(finals[:_MOST], start=1)]
    return [element("h3", "The last step: test"), *shown] if shown else []


def _table(final: Mapping[str, Any], id: str) -> Element:
    names = [str(name) for name in final["mean"]][:_MOST_METRICS]
    figures = Figures.of_values(value for name in names if (value := number_of(final["mean"][name])) is not None)

    def cell(value: Any) -> Cell:
        known = number_of(value)
        return numeric("" if known is None else figures.number(known), known)

    rows = []
    for name in names:
        interval = final["interval"].get(name)
        low, high = interval if isinstance(interval, list) and len(interval) == 2 else (None, None)
        rows.append([Cell(short_name(name)), *map(cell, (final["mean"][name], final["sd"].get(name), low, high))])
    return table(id, _caption(final), ["metric", "mean", "sd", "low", "high"], rows, len(rows), "metrics")


def _caption(final: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{key}={described(value)}" for key, value in final["settings"].items())
    chosen, epochs, n = final["chosen_by"], final.get("epochs"), final.get("n")
    by = "named" if chosen.get("by") == "user" else "chosen"
    trained = "trained on train and valid" if final.get("train_on") == "train_valid" else "as trained on train"
    trained += f" for {counted(epochs, 'epoch')}" if isinstance(epochs, int) else ""
    criterion = short_name(str(chosen.get("metric")))
    among = f"among {chosen.get('points')} points by {criterion} on validation" if by == "chosen" else "by the user"
    runs = counted(n, "run") if isinstance(n, int) else "its runs"
    return f"{settings or 'The settings'}: {by} {among}, {trained}; the mean on test of {runs}, with 95 % intervals."
