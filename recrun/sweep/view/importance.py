"""Show how much each setting matters and what the best points share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.console import Group

from recrun.registry.user_files import short_name
from recrun.report.terminal.columns import Field
from recrun.report.terminal.tables import Prose, table
from recrun.sweep.document import as_text
from recrun.sweep.importance.findings import LEAST_POINTS

_MOST_ROWS: Final = 6
_MOST_VALUES: Final = 3


def importance_table(found: Mapping[str, Any] | None) -> Iterator[Group]:
    """Yield the table of the settings of a sweep, the most important first, or the line that says why there is none.

    Args:
        found: what `recrun.sweep.importance.findings` has found; nothing is shown of sweeps with few points.
    """
    if found is None or found.get("points", 0) < LEAST_POINTS:
        return
    epoch = found.get("epoch")
    by = f"importance for {short_name(found['metric'])}" + (f" at epoch {epoch}" if epoch is not None else "")
    if "reason" in found:
        yield Group(Prose(f"{by} is not known: {found['reason']}", "dim"))
        return
    of_forest = found["method"] == "forest"
    how = "share of the variance"
    if of_forest:
        how = f"growth of a forest's squared error where values are exchanged (R2 {found['r2']:.2f})"
    best = found.get("best", {"points": 0, "settings": {}})
    rows = []
    for each in found["settings"][:_MOST_ROWS]:
        shared = best["settings"].get(each["setting"], {})
        rows.append([each["setting"], f"{each['importance'] + 0.0:.1%}", *_texts(shared)])
    heads: list[str | Field]
    heads = ["setting", "importance", Field(f"best {best['points']}", 1), Field(f"all {found['points']}", 2)]
    more = len(found["settings"]) - len(rows)
    caption = f"and {more} more: sweep.json has all" if more > 0 else ""
    yield Group(Prose(f"{by}: {how}", "bold"), table(None, heads, rows, caption=caption))


def _texts(shared: Mapping[str, Any]) -> list[str]:
    """Return what the best have, and what all have."""
    if "counts" in shared:
        in_best, in_all = (
            [(value, counts[place]) for value, *counts in shared["counts"] if counts[place]] for place in (0, 1)
        )
        return [_counts(in_best), _counts(in_all)]
    return [_range(shared.get("best")), _range(shared.get("all"))]


def _counts(found: list[tuple[Any, int]]) -> str:
    ordered = sorted(found, key=lambda each: -each[1])
    text = ", ".join(f"{n} {as_text(value)}" for value, n in ordered[:_MOST_VALUES])
    return f"{text}, ..." if len(ordered) > _MOST_VALUES else text


def _range(ends: list[float] | None) -> str:
    if not ends:
        return "-"
    return f"{ends[0]:.4g}" if ends[0] == ends[2] else f"{ends[0]:.4g} to {ends[2]:.4g}"
