"""Show how far a sweep is: a table of the trials around the running ones, counts, time, and the best so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.console import Group

from recrun.registry.user_files import short_name
from recrun.report.terminal.columns import Field
from recrun.report.terminal.lines import duration, number
from recrun.report.terminal.tables import Prose, table
from recrun.sweep.ledger import Ledger
from recrun.sweep.row import DONE, FAILED, INTERRUPTED, PAUSED, PENDING, PRUNED, RUNNING, Row
from recrun.sweep.trial_results import latest_value
from recrun.sweep.view.elapsed import Elapsed
from recrun.sweep.view.pace import Pace
from recrun.sweep.view.settings import columns_of, cut, settings_text, shown

MOST_ROWS: Final = 20
"""The trials that are shown of a sweep with many."""
_LEAST_ROWS: Final = 4
_OTHER_LINES: Final = 12
"""The lines of the terminal that the table's head, the lines below it and the prompt take."""
_BAR: Final = 30
_ORDER: Final = (DONE, RUNNING, PAUSED, PRUNED, FAILED, INTERRUPTED, PENDING)


def progress_view(ledger: Ledger, pace: Pace, height: int, elapsed: Elapsed | None = None) -> Group:
    """Return what is drawn while a sweep runs.

    Args:
        ledger: the sweep.
        pace: its pace.
        height: the lines of the terminal.
        elapsed: what is known of the histories of running trials.
    """
    n_rows = max(_LEAST_ROWS, min(MOST_ROWS, height - _OTHER_LINES))
    heads, cells, best, counts = progress_cells(ledger, n_rows, elapsed)
    n_axes = len(columns_of(ledger))
    trial, *axes, status, time_taken, value, cause = heads
    # Of many settings, the last ones are left out first; the cause of a failure is in the result too.
    columns: list[str | Field] = [trial, *(Field(key, 3 + place) for place, key in enumerate(axes)), status]
    columns += [Field(time_taken, 1), value]
    texts = [[cut(each) if 0 < place <= n_axes else each for place, each in enumerate(row)] for row in cells]
    if any(row[-1] for row in texts):
        columns.append(Field(cause, 2, wraps=True))
        texts = [[*row[:-1], _short_cause(row[-1])] for row in texts]
    else:
        texts = [row[:-1] for row in texts]
    lines = [Prose(text, "dim") for text in (f"{bar(pace.n_ended(), pace.total())}  {pace.text()}", counts)]
    best_line = best_so_far(ledger)
    if best_line:
        lines.append(Prose(best_line, "bold"))
    return Group(table(None, columns, texts, best, more="the result has them"), *lines)


def _short_cause(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def bar(n_ended: int, total: int) -> str:
    """Return a progress bar with its numbers.

    >>> bar(1, 4)
    '[########                      ] 1/4'
    """
    filled = _BAR if total <= n_ended else round(_BAR * n_ended / total)
    return f"[{'#' * filled:{_BAR}}] {n_ended}/{total}"


def progress_cells(
    ledger: Ledger, n_rows: int = MOST_ROWS, elapsed: Elapsed | None = None
) -> tuple[list[str], list[list[Any]], int | None, str]:
    """Return the headings of the progress table, its rows, the position of the best one, and how many trials are how.

    The columns are the trial, its values on the axes, its status, the time taken, its value, and its cause.

    Args:
        ledger: the sweep.
        n_rows: how many rows there are at the most.
        elapsed: what is known of the histories of running trials.
    """
    criterion = ledger.plan.which4best
    rows = list(shown_rows(ledger.rows, n_rows))
    elapsed = elapsed or Elapsed()
    keys = columns_of(ledger)
    cells = []
    for row in rows:
        value = ledger.numbers(row).get(criterion)
        if row.status == RUNNING:
            value = latest_value(row.run, criterion)
        seconds = elapsed.seconds(row)
        taken = "" if seconds is None else duration(seconds)
        settings = [shown(row, key) for key in keys]
        cells.append([str(row.trial.index), *settings, status_of(row), taken, value, row.cause or ""])
    leader = ledger.best
    best = next((position for position, row in enumerate(rows) if row.trial.index == leader), None)
    heads = ["trial", *keys, "status", "time", f"{ledger.split} {short_name(criterion)}", "cause"]
    return heads, cells, best, counts_of(ledger)


def status_of(row: Row) -> str:
    """Return the status of a trial, with the epoch at which it was paused or pruned."""
    at = row.status in (PAUSED, PRUNED) and row.reached is not None
    return f"{row.status} at {row.reached}" if at else row.status


def counts_of(ledger: Ledger) -> str:
    """Return how many trials have which status."""
    states = [row.status for row in ledger.rows]
    undrawn = ledger.plan.most_at_once - len(states)
    found = [f"{states.count(state)} {state}" for state in _ORDER if state in states]
    return ", ".join([*found, *([f"{undrawn} not drawn yet"] if undrawn > 0 else [])])


def best_so_far(ledger: Ledger) -> str:
    """Return a line on the best point so far, or how many are on the front; "" if there is none."""
    plan = ledger.plan
    if len(plan.criteria) > 1:
        standings = ledger.standings()
        front = ledger.front_of(standings)
        return f"front   {len(front)} of {sum(each.is_complete for each in standings)} points" if front else ""
    best = ledger.best_point
    if best is None:
        return ""
    n = f" over {best.n_done}" if best.n_done > 1 else ""
    value = f"{short_name(plan.which4best)} {number(best.mean.get(plan.which4best))}{n}"
    return f"best    {value}: {settings_text(best.point.choices, ledger)}"


def shown_rows(rows: Sequence[Row], n_rows: int = MOST_ROWS) -> Iterator[Row]:
    """Yield at most so many consecutive trials, starting a little before the first one that has not ended."""
    first_open = next((i for i, row in enumerate(rows) if row.status in (RUNNING, PENDING)), len(rows))
    start = max(0, min(first_open - n_rows // 2, len(rows) - n_rows))
    yield from rows[start : start + n_rows]
