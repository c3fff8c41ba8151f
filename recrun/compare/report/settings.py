"""Show in which settings groups differ, and each run with a link to its folder."""

from __future__ import annotations

from recrun.compare.formats.figures import Figures
from recrun.compare.report.limits import Limits, cut
from recrun.compare.report.material import Material, Run, mapping
from recrun.compare.report.results import group_cell
from recrun.registry.user_files import is_file_reference, short_name
from recrun.report.html.element import Element, Link
from recrun.report.html.scale import number_of
from recrun.report.html.table import Cell, numeric, table

_NOT_SET = "not set"


def differing_settings(material: Material, limits: Limits) -> list[Element]:
    """Return a table of the settings in which groups differ, none if there are none."""
    firsts = [material.of_group(series)[0] for series in range(len(material.names))]
    keys = dict.fromkeys(key for run in firsts for key in run.entry.identity)
    differing = [key for key in keys if len({run.entry.identity.get(key) for run in firsts}) > 1 and key != "seed"]
    if not differing:
        return []
    shown = differing[: limits.metrics]
    rows = [
        [group_cell(material.comparison, series), *(_setting(run, key) for key in shown)]
        for series, run in enumerate(firsts)
    ]
    caption = "Settings that affect the numbers and in which groups differ. " + cut(
        len(shown), len(differing), "settings"
    )
    return [table("settings-table", caption.strip(), ["group", *shown], rows, limits.rows, "groups")]


def runs_table(material: Material, limits: Limits, folder: str) -> Element:
    """Return a table of the runs, each with a link to its folder.

    Args:
        material: what is shown.
        limits: how much of it.
        folder: the folder of the page.
    """
    comparison = material.comparison
    metrics = comparison.metrics[: limits.metrics]
    rows = [
        [
            Cell(str(run.row["name"]), link=Link.to_path(run.entry.path, folder)),
            group_cell(comparison, run.series),
            _number(run.entry.settings.get("seed"), "d"),
            _number(run.row["best_epoch"], "d"),
            *(numeric(Figures.of(comparison, name).number(_known(run, name)), _known(run, name)) for name in metrics),
            _number(run.row["seconds"], ".2f"),
            _number(mapping(run.record.get("cost")).get("peak_memory_mb"), ".0f"),
            _number(run.record.get("n_parameters"), ",d"),
            Cell(run.entry.started[:16].replace("T", " ")),
        ]
        for run in material.runs
    ]
    part = "validation" if comparison.split == "valid" else "test"
    heads = [
        "run",
        "group",
        "seed",
        "best epoch",
        *map(short_name, metrics),
        "seconds",
        "peak MB",
        "parameters",
        "started",
    ]
    return table(
        "runs-table", f"Finished runs, with their {part} metrics at the best epoch.", heads, rows, limits.rows, "runs"
    )


def _setting(run: Run, key: str) -> Cell:
    value, given = run.entry.identity.get(key), run.entry.settings.get(key)
    if value is None:
        return Cell(_NOT_SET)
    number = number_of(given)
    if number is not None:
        return numeric(value, number)
    return Cell(short_name(given) if isinstance(given, str) and is_file_reference(given) else value)


def _known(run: Run, metric: str) -> float | None:
    return number_of(run.entry.values[metric])


def _number(value: object, form: str) -> Cell:
    """Return a number, formatted as an integer if that is what it is; "-" for none."""
    found = number_of(value)
    if found is None or ("d" in form and not isinstance(value, int)):
        return numeric("-", found)
    return numeric(format(value, form), found)
