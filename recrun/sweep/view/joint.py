"""Show a sweep that chooses nothing on several configs or data sets: a row for each, with all metrics.

The cells are means with half the width of their 95 % interval. Metrics that do not fit beside each other are in
further tables below the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console, ConsoleOptions, Group, RenderResult

from recrun.config.monitor_names import parse_monitor, smaller_is_better
from recrun.registry.user_files import short_name
from recrun.report.terminal.columns import GAP, Field, text_width
from recrun.report.terminal.console import plain
from recrun.report.terminal.lines import number
from recrun.report.terminal.tables import Prose, table
from recrun.sweep.document import as_text
from recrun.sweep.ledger import Ledger
from recrun.sweep.points import Standing, half_width
from recrun.sweep.view.settings import columns_of, keys_in, repeated

_BEST: Final = "bold green"


def joint_table(ledger: Ledger) -> Group:
    """Return the table: the best mean of each metric, among rows of the same data, is in bold."""
    plan = ledger.plan
    standings = sorted(ledger.standings(), key=lambda each: each.point.trials[0])
    settings = [{**each.point.data, **each.point.choices} for each in standings]
    keys = keys_in(settings, columns_of(ledger))
    found = dict.fromkeys(name for each in standings for name in each.mean)
    metrics = [*(name for name in plan.criteria if name in found), *(n for n in found if n not in plan.criteria)]
    rows = [[as_text(each[key]) if key in each else "" for key in keys] for each in settings]
    heads = list(keys)
    if not all(each.is_complete for each in standings):
        heads.append("done")
        rows = [[*row, f"{each.n_done}/{len(each.point.trials)}"] for row, each in zip(rows, standings, strict=True)]
    columns = [(short_name(name), _cells(standings, name, plan.of_subject)) for name in metrics]
    return Group(Prose(_title(ledger, standings), "bold"), Blocks(heads, rows, columns))


def _title(ledger: Ledger, standings: Sequence[Standing]) -> str:
    plan, counts = ledger.plan, {len(each.point.trials) for each in standings}
    title = "test" if plan.is_tested else "validation"
    if not plan.has_repeats:
        return title
    n = f"{counts.pop()} values of " if len(counts) == 1 else ""
    return f"{title}: mean over {n}{' and '.join(repeated(plan))} ± half the width of its 95 % interval"


def _cells(standings: Sequence[Standing], name: str, subject: str | None) -> list[Any]:
    """Return the cells of a metric, the best of each data set in bold."""
    sign = -1.0 if smaller_is_better(parse_monitor(name)) else 1.0
    best: dict[str, float] = {}
    groups = [repr({key: value for key, value in each.point.data.items() if key != subject}) for each in standings]
    values = [each.mean.get(name) for each in standings]
    for group, value in zip(groups, values, strict=True):
        if value is not None:
            best[group] = max(best.get(group, sign * value), sign * value)
    cells: list[Any] = []
    for group, value, each in zip(groups, values, standings, strict=True):
        width = half_width(each, name)
        text = number(value) + ("" if width is None else f" ± {number(width)}")
        is_best = value is not None and sign * value == best[group] and groups.count(group) > 1
        cells.append(plain(text, style=_BEST) if is_best else text)
    return cells


class Blocks:
    """A table whose last columns go on in further tables where they do not fit, each with the first ones again.

    Args:
        heads: the headings of the first columns.
        rows: their cells.
        columns: the others, each with its heading and its cells.
    """

    def __init__(
        self, heads: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[tuple[str, Sequence[Any]]]
    ) -> None:
        self._heads, self._rows, self._columns = heads, rows, columns

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        firsts = [max(map(text_width, cells)) for cells in zip(self._heads, *self._rows, strict=True)]
        begin = sum(firsts) + GAP * (len(firsts) - 1)
        blocks: list[list[tuple[str, Sequence[Any]]]] = [[]]
        width = begin
        for head, cells in self._columns:
            needed = GAP + max(text_width(str(cell)) for cell in (head, *cells))
            if blocks[-1] and width + needed > options.max_width:
                blocks.append([])
                width = begin
            blocks[-1].append((head, cells))
            width += needed
        for block in blocks:
            fields = [Field(head) for head in (*self._heads, *(head for head, _ in block))]
            rows = [[*row, *(cells[place] for _, cells in block)] for place, row in enumerate(self._rows)]
            yield table(None, fields, rows)
