"""Show the means of groups, their differences to the baseline, and how these were tested."""

from __future__ import annotations

from collections.abc import Iterator

from recrun.compare.comparison import Comparison, GroupResult
from recrun.compare.formats.captions import NAMES, captions
from recrun.compare.formats.figures import Figures, effect_text, p_text
from recrun.compare.report.limits import Limits, cut
from recrun.compare.report.material import Material
from recrun.registry.user_files import short_name
from recrun.report.html.charts import Difference, differences
from recrun.report.html.element import Element, element
from recrun.report.html.figure import legend
from recrun.report.html.table import Cell, numeric, table

CLOSE = "†"


def results(material: Material, limits: Limits) -> list[Element]:
    """Return the tables of a comparison, and below them how it was made."""
    comparison = material.comparison
    found = [_means(comparison, limits)]
    if comparison.tests:
        found.append(_tests(comparison, limits))
    texts = list(captions(comparison, "Bold", CLOSE))
    return [*found, *(element("p", text) for text in texts)]


def plots(material: Material, limits: Limits) -> list[Element]:
    """Return a figure of the differences of each metric with their intervals; none without tests."""
    comparison = material.comparison
    series = {group.name: place for place, group in enumerate(comparison.groups)}
    found = []
    metrics = [metric for metric in comparison.metrics if any(test.metric == metric for test in comparison.tests)]
    for place, metric in enumerate(metrics[: limits.metrics]):
        figures, name = Figures.of(comparison, metric), short_name(metric)
        tests = [test for test in comparison.tests if test.metric == metric and test.difference is not None]
        rows = [
            Difference(f"{series[test.group] + 1} {test.group}", series[test.group], test.difference, *test.interval)
            for test in tests[: limits.groups]
            if test.difference is not None
        ]
        if not rows:
            continue
        description = (
            f"For each of {len(rows)} groups, the difference of {name} to {comparison.baseline} with its 95 % "
            "interval; a line marks zero. The table of differences has the numbers."
        )

        def form(value: float, figures: Figures = figures) -> str:
            return figures.number(value, signed=True)

        note = f"difference to {comparison.baseline}, 95 % intervals. " + cut(len(rows), len(tests), "groups")
        found.append(
            differences(f"difference-{place + 1}", name, description, f"difference of {name}", rows, form, note)
        )
    left_out = cut(limits.metrics, len(metrics), "metrics")
    return [element("div", *found, class_="figures"), *([element("p", left_out)] if left_out else [])] if found else []


def group_cell(comparison: Comparison, place: int) -> Cell:
    """Return the cell that names a group by its sign and its name."""
    return Cell(comparison.groups[place].name, series=place if len(comparison.groups) > 1 else None)


def group_legend(material: Material, limits: Limits, toggles: str) -> list[Element]:
    """Return a legend of the groups that figures show, none for a single group."""
    names = material.names[: limits.groups]
    return [legend(names, toggles)] if len(material.names) > 1 else []


def _means(comparison: Comparison, limits: Limits) -> Element:
    metrics = comparison.metrics[: limits.metrics]
    rows = []
    for place, group in enumerate(comparison.groups):
        cells = [group_cell(comparison, place), numeric(str(group.n_seeds), group.n_seeds)]
        rows.append([*cells, *(_mean(comparison, metric, group) for metric in metrics)])
    spread = (
        ", with the standard deviation over seeds in brackets" if any(g.n_seeds > 1 for g in comparison.groups) else ""
    )
    part = "validation" if comparison.split == "valid" else "test"
    caption = f"Means on {part}{spread}. " + cut(len(metrics), len(comparison.metrics), "metrics")
    heads = ["group", "seeds", *map(short_name, metrics)]
    return table("means", caption.strip(), heads, rows, limits.rows, "groups")


def _mean(comparison: Comparison, metric: str, group: GroupResult) -> Cell:
    figures = Figures.of(comparison, metric)
    deviation = group.sd[metric]
    return numeric(
        figures.number(group.mean[metric]),
        group.mean[metric],
        more="" if deviation is None else f"({figures.number(deviation)})",
        is_best=comparison.best.get(metric) == group.name,
        mark=CLOSE if group.name in comparison.undistinguished.get(metric, ()) else "",
    )


def _tests(comparison: Comparison, limits: Limits) -> Element:
    is_corrected = comparison.correction != "none"
    heads = ["group", "metric", "mean", "sd", "difference", "95 % interval", "p"]
    heads += [*([NAMES[comparison.correction]] if is_corrected else []), "effect", "over", "n"]
    rows = list(_test_rows(comparison, is_corrected=is_corrected))
    caption = f"Differences to {comparison.baseline}."
    return table("tests", caption, heads, rows, limits.rows, "tests")


def _test_rows(comparison: Comparison, *, is_corrected: bool) -> Iterator[list[Cell]]:
    series = {group.name: place for place, group in enumerate(comparison.groups)}
    for test in comparison.tests:
        figures, group = Figures.of(comparison, test.metric), comparison.groups[series[test.group]]
        mean, deviation = group.mean[test.metric], group.sd[test.metric]
        yield [
            group_cell(comparison, series[test.group]),
            Cell(short_name(test.metric)),
            _mean_only(comparison, test.metric, group, figures.number(mean)),
            numeric(figures.number(deviation), deviation),
            numeric(figures.number(test.difference, signed=True), test.difference),
            numeric(figures.interval(test.interval), test.interval[0]),
            numeric(p_text(test.p), test.p),
            *([numeric(p_text(test.p_corrected), test.p_corrected)] if is_corrected else []),
            numeric(effect_text(test.effect), test.effect),
            Cell("users and seeds" if test.over == "both" else test.over),
            numeric(f"{test.n:,}", test.n),
        ]


def _mean_only(comparison: Comparison, metric: str, group: GroupResult, text: str) -> Cell:
    is_close = group.name in comparison.undistinguished.get(metric, ())
    is_best = comparison.best.get(metric) == group.name
    return numeric(text, group.mean[metric], is_best=is_best, mark=CLOSE if is_close else "")
