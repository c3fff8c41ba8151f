"""Show how much each axis of a sweep matters by a forest, where its points are not crossed."""

from __future__ import annotations

from recrun.compare.report.sweep_trials import Sweep
from recrun.registry.user_files import short_name
from recrun.report.html.element import Element, element
from recrun.report.html.table import Cell, numeric, table
from recrun.sweep.importance.forest import forest_importance


def by_forest(sweep: Sweep, place: int, reason: str) -> list[Element]:
    """Return a table of the weights of axes by a forest, or why there are none.

    Args:
        sweep: the sweep.
        place: its number in the page.
        reason: why an additive model tells nothing, without a full stop.
    """
    points = sorted(sweep.points(), key=lambda point: point.trials[0].index)
    found = forest_importance([point.choices for point in points], [point.value for point in points])
    if isinstance(found, str):
        return [element("p", f"Not computed: {reason}; {found}.")]
    rows = [
        [Cell(each.setting), numeric(str(each.n_values), each.n_values)]
        + [numeric(f"{value + 0.0:.1%}", value) for value in (each.increase, each.sd)]
        for each in found.weights
    ]
    caption = (
        f"By how much the squared error of a forest of extremely randomised trees grows when the values of an axis are "
        f"exchanged between {found.n_points:,} points, in shares of the variance of {short_name(sweep.criterion)}. The "
        f"forest predicts {found.r2:.1%} of the variance out of bag. (Shares of an additive model: {reason}.)"
    )
    return [table(f"sweep-{place}-forest", caption, ["axis", "values", "increase", "sd"], rows, len(rows), "axes")]
