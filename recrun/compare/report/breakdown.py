"""Show the metrics of groups of users and of items, and how far apart these are."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recrun.compare.formats.figures import Figures
from recrun.compare.report.limits import Limits, cut
from recrun.compare.report.material import Material, Run, mapping
from recrun.compare.report.results import group_cell, group_legend
from recrun.registry.user_files import short_name
from recrun.report.html.charts import bars
from recrun.report.html.element import Element, element
from recrun.report.html.scale import number_of
from recrun.report.html.table import Cell, numeric, table

_GAPS = {"difference": "difference", "ratio": "ratio", "mean_difference": "mean difference", "gini": "Gini"}


@dataclass(frozen=True)
class _Grouping:
    """The numbers of a grouping: means over seeds of each group of runs.

    Args:
        categories: the groups of users or items, with their sizes.
        metrics: the metrics.
        values: by series, metric and category.
        gaps: by series, metric and kind.
    """

    categories: Mapping[str, str]
    metrics: Sequence[str]
    values: Mapping[tuple[int, str, str], float | None]
    gaps: Mapping[tuple[int, str, str], float | None]

    @property
    def members(self) -> set[int]:
        """The series of the groups of runs that have this grouping."""
        return {series for series, _, _ in self.values}


def breakdown(material: Material, limits: Limits) -> list[Element]:
    """Return bars and a table for each grouping that runs have in their metrics.json."""
    split = material.comparison.split
    names = dict.fromkeys(name for run in material.runs for name in _groupings(run, split))
    found: list[Element] = []
    for place, name in enumerate(list(names)[: limits.categories], start=1):
        grouping = _read(material, name)
        if grouping.categories and grouping.metrics:
            found.append(element("h3", name))
            found.append(_bars(material, place, name, grouping, limits))
            found.append(_table(material, place, name, grouping, limits))
    return [*group_legend(material, limits, "groups"), *found] if found else []


def _groupings(run: Run, split: str) -> Mapping[str, Any]:
    return mapping(mapping(run.metrics.get("groups")).get(split))


def _rows(grouping: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = grouping.get("groups")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _read(material: Material, name: str) -> _Grouping:
    split = material.comparison.split
    of_runs = [(run.series, mapping(_groupings(run, split).get(name))) for run in material.runs]
    categories: dict[str, str] = {}
    values: dict[tuple[int, str, str], list[float | None]] = {}
    gaps: dict[tuple[int, str, str], list[float | None]] = {}
    for series, grouping in of_runs:
        for row in _rows(grouping):
            category = str(row.get("group"))
            sizes = [f"{row[key]:,} {key}" for key in ("items", "users") if isinstance(row.get(key), int)]
            categories.setdefault(category, f"{category} ({', '.join(sizes)})" if sizes else category)
            for metric, value in mapping(row.get("metrics")).items():
                values.setdefault((series, metric, category), []).append(number_of(value))
        for metric, found in mapping(grouping.get("gaps")).items():
            for kind in _GAPS:
                gaps.setdefault((series, metric, kind), []).append(number_of(mapping(found).get(kind)))
    metrics = list(dict.fromkeys(metric for _, metric, _ in values))
    first = [metric for metric in material.comparison.metrics if metric in metrics]
    metrics = [*first, *(metric for metric in metrics if metric not in first)]
    return _Grouping(categories, metrics, _means(values), _means(gaps))


def _means(found: Mapping[tuple[int, str, str], list[float | None]]) -> dict[tuple[int, str, str], float | None]:
    """Return means over seeds; None where one of them has no value."""
    return {
        key: None if None in values else statistics.fmean(value for value in values if value is not None)
        for key, values in found.items()
    }


def _figures(grouping: _Grouping, metric: str) -> Figures:
    """Return a format for a metric, by its largest value."""
    known = [abs(value) for (_, of, _), value in grouping.values.items() if of == metric and value is not None]
    return Figures.of_values(known)


def _bars(material: Material, place: int, name: str, grouping: _Grouping, limits: Limits) -> Element:
    metric = grouping.metrics[0]
    categories = list(grouping.categories)[: limits.categories]
    shown_groups = [each for each in range(len(material.names)) if each in grouping.members][: limits.groups]
    found = grouping.values
    rows = [
        {each: found[each, metric, category] for each in shown_groups if (each, metric, category) in found}
        for category in categories
    ]
    figures, shown = _figures(grouping, metric), short_name(metric)
    note = cut(len(categories), len(grouping.categories), "groups")
    description = (
        f"{shown} of each of {len(categories)} groups of {name}, a bar for each of {len(shown_groups)} groups of runs. "
        "The table that follows has the numbers."
    )
    title = f"{shown} by {name}. {note}".strip()
    return bars(f"groups-{place}", title, description, shown, categories, rows, material.names, figures.number)


def _table(material: Material, place: int, name: str, grouping: _Grouping, limits: Limits) -> Element:
    categories = list(grouping.categories)[: limits.categories]
    rows = []
    for metric in grouping.metrics[: limits.metrics]:
        figures = _figures(grouping, metric)
        for series in sorted(grouping.members):
            values = [grouping.values.get((series, metric, category)) for category in categories]
            gaps = {kind: grouping.gaps.get((series, metric, kind)) for kind in _GAPS}
            rows.append(
                [
                    group_cell(material.comparison, series),
                    Cell(short_name(metric)),
                    *(numeric(figures.number(value), value) for value in values),
                    *(numeric(_gap(kind, gap, figures), gap) for kind, gap in gaps.items()),
                ]
            )
    heads = ["group", "metric", *(grouping.categories[category] for category in categories), *_GAPS.values()]
    several = any(group.n_seeds > 1 for group in material.comparison.groups)
    caption = f"Metrics by {name}{', means over seeds' if several else ''}, and the gaps between its groups. "
    caption += cut(len(categories), len(grouping.categories), "groups")
    return table(f"breakdown-{place}", caption.strip(), heads, rows, limits.rows, "rows")


def _gap(kind: str, value: float | None, figures: Figures) -> str:
    return figures.number(value) if kind in ("difference", "mean_difference") else Figures(3).number(value)
