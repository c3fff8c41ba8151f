"""Lay a comparison out for a terminal: a table for each metric, groups best first."""

from __future__ import annotations

from collections.abc import Iterator

from recrun.compare.comparison import Comparison, GroupResult
from recrun.compare.formats.captions import NAMES
from recrun.compare.formats.figures import Figures, effect_text, p_text
from recrun.registry.user_files import short_name
from recrun.report.terminal.comparison import BEST, CLOSE, Block


def blocks(comparison: Comparison) -> Iterator[Block]:
    """Yield the table of each metric.

    In a narrow terminal the columns are left out that say least; the corrected p value always stays.
    """
    for metric in comparison.metrics:
        heads: list[tuple[str, int]] = [("", 0), ("group", 0), ("mean", 0)]
        n_seeds = {group.n_seeds for group in comparison.groups}
        if max(n_seeds) > 1:
            heads.append(("sd", 0))
        if len(n_seeds) > 1:
            heads.append(("seeds", 3))
        if comparison.tests:
            corrected = [] if comparison.correction == "none" else [(NAMES[comparison.correction], 0)]
            p = ("p", 2 if corrected else 0)
            heads += [("difference", 0), ("95 % interval", 0), p, *corrected, ("effect", 1)]
        rows = [_row(comparison, metric, group, [head for head, _ in heads]) for group in comparison.groups]
        order = sorted(range(len(rows)), key=lambda place: rows[place][0] != BEST)
        yield Block(short_name(metric), tuple(heads), tuple(_aligned([rows[place] for place in order])))


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yield rows whose numbers, from the third column on, are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        numbers = (text.rjust(width) for text, width in zip(row[2:], widths[2:], strict=True))
        yield (*row[:2], *numbers)


def _row(comparison: Comparison, metric: str, group: GroupResult, heads: list[str]) -> tuple[str, ...]:
    figures = Figures.of(comparison, metric)
    is_close = group.name in comparison.undistinguished.get(metric, ())
    mark = BEST if comparison.best.get(metric) == group.name else CLOSE if is_close else ""
    found = {
        "": mark,
        "group": group.name,
        "mean": figures.number(group.mean[metric]),
        "sd": figures.number(group.sd[metric]),
        "seeds": str(group.n_seeds),
    }
    test = next((each for each in comparison.tests if (each.metric, each.group) == (metric, group.name)), None)
    if test is not None:
        found |= {
            "difference": figures.number(test.difference, signed=True),
            "95 % interval": figures.interval(test.interval),
            NAMES[comparison.correction]: p_text(test.p_corrected),
            "p": p_text(test.p),
            "effect": effect_text(test.effect),
        }
    return tuple(found.get(head, "") for head in heads)
