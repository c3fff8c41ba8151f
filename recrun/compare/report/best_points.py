"""Show what the best points of a sweep share, and what sweep.json says of the importance of settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recrun.compare.report.sweep_trials import Point, Sweep
from recrun.registry.user_files import short_name
from recrun.report.html.element import Element
from recrun.report.html.plots import described
from recrun.report.html.scale import number_of
from recrun.report.html.table import Cell, numeric, table
from recrun.sweep.importance.best_share import Range, Shared, what_best_share

_MOST_VALUES = 4


def best_share(sweep: Sweep, points: Sequence[Point], place: int) -> list[Element]:
    """Return a table of the settings of the best quarter of the points beside those of all, if there are enough.

    Args:
        sweep: the sweep.
        points: its points that are done.
        place: its number in the page.
    """
    found = what_best_share([point.choices for point in points], [point.value for point in points], falls=sweep.falls)
    if isinstance(found, str):
        return []
    rows = [
        [Cell(each.setting), Cell(_text(each, in_best=True)), Cell(_text(each, in_best=False))]
        for each in found.settings
    ]
    caption = (
        f"The settings of the best {found.n_best} of {found.n} points by {short_name(sweep.criterion)}, and of all. Of "
        "numbers: the least, the middle one in brackets, the largest; of other values: how many points have each."
    )
    heads = ["axis", f"best {found.n_best}", f"all {found.n}"]
    return [table(f"sweep-{place}-best", caption, heads, rows, len(rows), "axes")]


def _text(shared: Shared, *, in_best: bool) -> str:
    if shared.all is not None:
        return _range(shared.best if in_best else shared.all)
    counts = [(value, best if in_best else n) for value, best, n in shared.counts]
    some = sorted((each for each in counts if each[1]), key=lambda each: -each[1])
    text = ", ".join(f"{n} {described(value)}" for value, n in some[:_MOST_VALUES])
    return (f"{text}, ..." if len(some) > _MOST_VALUES else text) or "-"


def _range(found: Range | None) -> str:
    if found is None:
        return "-"
    return f"{described(found.low)} ({described(found.median)}) {described(found.high)}"


def recorded(sweep: Sweep, place: int) -> list[Element]:
    """Return the table of the importance that the sweep itself has recorded, over pruned points too; else nothing.

    Args:
        sweep: the sweep, whose record may come from a stranger.
        place: its number in the page.
    """
    found = sweep.importance
    epoch, n, listed = found.get("epoch"), found.get("points"), found.get("settings")
    if type(epoch) is not int or type(n) is not int or not isinstance(listed, list):
        return []
    rows = [[Cell(name), numeric(f"{value + 0.0:.1%}", value)] for name, value in map(_weight, listed) if name]
    if not rows:
        return []
    how = "share of the variance"
    if found.get("method") == "forest":
        r2 = number_of(found.get("r2"))
        how = "growth of a forest's squared error where values are exchanged"
        how += "" if r2 is None else f", in shares of the variance, of which it predicts {r2:.1%} out of bag"
    caption = (
        f"Importance for {short_name(sweep.criterion)} at epoch {epoch}, over {n:,} points, pruned ones too: {how}."
    )
    return [table(f"sweep-{place}-recorded", caption, ["axis", "importance"], rows, len(rows), "axes")]


def _weight(document: object) -> tuple[str, float]:
    """Return a setting and its importance; "" if that is not what is there."""
    if not isinstance(document, Mapping):
        return "", 0.0
    name, value = document.get("setting"), number_of(document.get("importance"))
    return (name, value) if isinstance(name, str) and value is not None else ("", 0.0)
