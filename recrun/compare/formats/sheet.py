"""Lay a comparison out as two tables of text, which every format of documents writes in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recrun.compare.comparison import Comparison
from recrun.compare.formats.captions import NAMES
from recrun.compare.formats.figures import Figures, effect_text, p_text
from recrun.registry.user_files import short_name
from recrun.visible import on_one_line

_WIDE = 6
"""More metrics than these are rows, not columns."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Args:
        text: its text; the part that is set in bold if it is the best.
        more: what follows, never in bold.
        is_best: whether it is the best value.
        is_close: whether it cannot be told from the best.
        is_number: whether it is aligned as numbers are.
    """

    text: str
    more: str = ""
    is_best: bool = False
    is_close: bool = False
    is_number: bool = True


@dataclass(frozen=True)
class Sheet:
    """A table: its headings, and the cells of its rows."""

    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def label(text: str) -> Cell:
    """Return a cell of text."""
    return Cell(on_one_line(text), is_number=False)


def means_sheet(comparison: Comparison) -> Sheet:
    """Return a row for each group and a column for each metric; the other way round if there are many metrics."""
    groups, metrics = comparison.groups, comparison.metrics
    titles = [on_one_line(short_name(metric)) for metric in metrics]
    columns = [_means(comparison, metric) for metric in metrics]
    if len(metrics) > max(_WIDE, len(groups)):
        rows = [(label(title), *column) for title, column in zip(titles, columns, strict=True)]
        return Sheet(("metric", *(on_one_line(group.name) for group in groups)), tuple(rows))
    rows = [
        (label(group.name), Cell(str(group.n_seeds)), *(column[place] for column in columns))
        for place, group in enumerate(groups)
    ]
    return Sheet(("group", "seeds", *titles), tuple(rows))


def sheet_of_tests(comparison: Comparison) -> Sheet | None:
    """Return a row for each test, None without tests."""
    if not comparison.tests:
        return None
    corrected = [] if comparison.correction == "none" else [NAMES[comparison.correction]]
    heads = ("metric", "group", "difference", "95 % interval", "p", *corrected, "effect")
    rows = []
    for test in comparison.tests:
        figures = Figures.of(comparison, test.metric)
        numbers = [figures.number(test.difference, signed=True), figures.interval(test.interval), p_text(test.p)]
        numbers += [p_text(test.p_corrected)] if corrected else []
        cells = [Cell(text) for text in (*numbers, effect_text(test.effect))]
        rows.append((label(short_name(test.metric)), label(test.group), *cells))
    return Sheet(heads, tuple(rows))


def sheets(comparison: Comparison) -> list[Sheet]:
    """Return the tables of a comparison."""
    tests = sheet_of_tests(comparison)
    return [means_sheet(comparison), *([] if tests is None else [tests])]


def _means(comparison: Comparison, metric: str) -> Sequence[Cell]:
    figures = Figures.of(comparison, metric)
    best, close = comparison.best.get(metric), comparison.undistinguished.get(metric, ())
    return [
        Cell(
            figures.number(group.mean[metric]),
            "" if group.sd[metric] is None else f"({figures.number(group.sd[metric])})",
            is_best=group.name == best,
            is_close=group.name in close,
        )
        for group in comparison.groups
    ]
