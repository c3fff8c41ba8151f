"""Show what came of a sweep: its points ranked by the mean of their trials, its trials, its Pareto front."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Group

from recrun.registry.user_files import short_name
from recrun.report.terminal.columns import Field
from recrun.report.terminal.lines import counted, duration, number
from recrun.report.terminal.tables import Prose, TextTable, table
from recrun.sweep.document import as_text
from recrun.sweep.ledger import Ledger
from recrun.sweep.points import Standing, Values, half_width, interval
from recrun.sweep.row import DONE, ENDED, PAUSED, PRUNED, Row
from recrun.sweep.view.importance import importance_table
from recrun.sweep.view.joint import joint_table
from recrun.sweep.view.settings import columns_of, keys_in, repeated, shown

MOST_ROWS: Final = 50
"""The points or trials that a table shows; all of them are in the files of the sweep."""
_MOST_COLUMNS: Final = 5
"""The most trials of a point that have a column of their own, so that a table fits into 80 columns."""
_MOST_CAUSES: Final = 10


def result_tables(ledger: Ledger) -> Iterator[Group]:
    """Yield the final tables: points with the mean of their trials if some have several, and the trials.

    The trials are left out where the first table already has all there is to say of them. Below, of sweeps with enough
    points, is the importance of their settings.
    """
    yield from _points_and_trials(ledger)
    yield from importance_table(ledger.importance)


def _points_and_trials(ledger: Ledger) -> Iterator[Group]:
    plan = ledger.plan
    chooses = any(each.point.choices for each in ledger.standings())
    if not chooses and len(plan.points) > 1:
        yield joint_table(ledger)
    elif plan.is_tested:
        yield from (_repeats_table(ledger, each) for each in ledger.standings() if each.n_done)
    elif plan.has_repeats or plan.n_data > 1 or len(plan.criteria) > 1:
        yield points_table(ledger)
    else:
        yield trials_table(ledger)
        return
    if any(row.status not in (DONE, PRUNED) for row in ledger.rows):
        yield unfinished_table(ledger)


def trials_table(ledger: Ledger) -> Group:
    """Return the table of all trials, the best first and failed ones last, and the causes of failures below it."""
    title = f"{counted(len(ledger.rows), 'trial')} by {short_name(ledger.plan.which4best)} on {_part(ledger)}"
    best = None if ledger.best is None or len(ledger.rows) == 1 else 0
    return _table_of_trials(ledger, ledger.ranked(), title, best)


def unfinished_table(ledger: Ledger) -> Group:
    """Return the table of the trials that are not done, and why."""
    rows = [row for row in ledger.ranked() if row.status not in (DONE, PRUNED)]
    n_all = len(ledger.rows)
    return _table_of_trials(ledger, rows, f"{len(rows)} of {counted(n_all, 'trial')} are not done", None)


def _table_of_trials(ledger: Ledger, rows: Sequence[Row], title: str, best: int | None) -> Group:
    keys, metrics = columns_of(ledger), _metrics(ledger, (ledger.numbers(row) for row in rows))
    status = Field("status", 1 if all(row.status == DONE for row in rows) else 0)
    columns: list[str | Field]
    columns = ["trial", *keys, status, *_metric_fields(metrics), Field("epoch", 2)]
    is_partial = any(row.status in (PAUSED, PRUNED) for row in rows)
    columns += [*([Field("trained to", 1)] if is_partial else []), Field("time", 3)]
    cells = []
    for row in rows[:MOST_ROWS]:
        numbers = [ledger.numbers(row).get(name) for name in metrics]
        reached = [_reached(row)] if is_partial else []
        settings = [shown(row, key) for key in keys]
        cells.append(
            [str(row.trial.index), *settings, row.status, *numbers, row.best_epoch, *reached, duration(row.seconds)]
        )
    return _titled(title, table(None, columns, cells, best), *_more(len(rows), "trial"), *_causes(rows))


def _reached(row: Row) -> str:
    """Return how far a trial was trained."""
    if row.reached is not None:
        return f"epoch {row.reached}"
    return "the end" if row.status == DONE else "not begun" if row.status == PRUNED else ""


def _causes(rows: Iterable[Row]) -> list[Prose]:
    causes: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.cause and row.status not in ENDED:
            causes.setdefault((row.status, row.cause), []).append(str(row.trial.index))
    lines = [
        Prose(f"{'trial' if len(trials) == 1 else 'trials'} {_listed(trials)} {status}: {cause}")
        for (status, cause), trials in list(causes.items())[:_MOST_CAUSES]
    ]
    left = len(causes) - _MOST_CAUSES
    return [*lines, *([Prose(f"and {counted(left, 'other cause')}: sweep.csv has all")] if left > 0 else [])]


def _listed(trials: Sequence[str]) -> str:
    more = len(trials) - 20
    return ", ".join(trials[:20]) + (f" and {more} more" if more > 0 else "")


def points_table(ledger: Ledger) -> Group:
    """Return the table of points, best first: the mean of each criterion with its interval, and of other metrics.

    Points that were not trained to their end are below the others, with the epoch that they reached. Of several
    criteria, the points of the Pareto front come first and have a star.
    """
    plan, standings = ledger.plan, ledger.standings()
    front = {each.point.trials for each in ledger.front_of(standings)} if len(plan.criteria) > 1 else set()
    ranked = sorted(standings, key=lambda each: each.point.trials not in front)
    keys = keys_in([{**each.point.data, **each.point.choices} for each in ranked], columns_of(ledger))
    metrics = _metrics(ledger, (each.mean for each in ranked))
    criteria = [name for name in plan.criteria if name in metrics]
    others = [name for name in metrics if name not in criteria]
    is_partial = any(each.reached is not None for each in ranked)
    head: list[str | Field] = [*([Field("")] if front else []), *keys, Field("done", 1)]
    for name in criteria:
        head += [short_name(name), *([Field("± 95 %", 2), Field("sd", 3)] if plan.has_repeats else [])]
    head += [*([Field("trained to", 1)] if is_partial else [])]
    head += [Field(short_name(name), 10 + place) for place, name in enumerate(others)]
    cells = []
    for each in ranked[:MOST_ROWS]:
        row: list[Any] = [*(["★" if each.point.trials in front else ""] if front else [])]
        row += _settings({**each.point.data, **each.point.choices}, keys)
        row.append(f"{each.n_done}/{len(each.point.trials)}")
        for name in criteria:
            row += [each.mean.get(name), *([half_width(each, name), each.sd.get(name)] if plan.has_repeats else [])]
        if is_partial:
            row.append("the end" if each.is_complete else "" if each.reached is None else f"epoch {each.reached}")
        cells.append([*row, *(each.mean.get(name) for name in others)])
    best = None if ledger.best_point is None or len(ranked) == 1 else 0
    told = ["compared within each value of the data"] if plan.n_data > 1 else []
    told += [f"mean over {' and '.join(repeated(plan))}"] if plan.has_repeats else []
    told += [f"{len(front)} on the Pareto front (★)"] if front else []
    names = " and ".join(map(short_name, plan.criteria))
    title = ", ".join([f"{counted(len(ranked), 'point')} by {names} on {_part(ledger)}", *told])
    return _titled(title, table(None, head, cells, best), *_more(len(ranked), "point"))


def _settings(settings: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    return [as_text(settings[key]) if key in settings else "" for key in keys]


def _repeats_table(ledger: Ledger, standing: Standing) -> Group:
    """Return the table of the one point of a sweep that chooses nothing: a row for each metric.

    The columns are its mean, standard deviation and interval, and the trials if they are few.
    """
    plan, point = ledger.plan, standing.point
    rows = [row for row in (ledger.row(index) for index in point.trials) if row.status == DONE]
    few = rows if len(rows) <= _MOST_COLUMNS else []
    intervals = interval(standing)
    cells = [
        [
            short_name(name),
            standing.mean[name],
            standing.sd.get(name),
            _ends(intervals.get(name)),
            *(ledger.numbers(row).get(name) for row in few),
        ]
        for name in _metrics(ledger, [standing.mean])
    ]
    axes = repeated(plan)
    trials = [" ".join(as_text(row.trial.overrides[axis]) for axis in axes) for row in few]
    heads: list[str | Field] = ["metric", "mean", "sd", Field("95 % interval", 1)]
    heads += [Field(head, 2) for head in trials]
    over = f" over {' and '.join(axes)}" if axes else ""
    title = f"{_part(ledger)}{over}, {len(rows)} of {len(point.trials)} done"
    return _titled(title, table(None, heads, cells))


def _ends(ends: Sequence[float] | None) -> str | None:
    return f"{number(ends[0])} to {number(ends[1])}" if ends else None


def _part(ledger: Ledger) -> str:
    return "test" if ledger.plan.is_tested else "validation"


def _titled(title: str, grid: TextTable, *lines: Prose) -> Group:
    return Group(Prose(title, "bold"), grid, *lines)


def _more(n: int, what: str) -> list[Prose]:
    """Return the line that says how many rows are not shown."""
    return [Prose(f"and {counted(n - MOST_ROWS, what)} more: sweep.json has all", "dim")] if n > MOST_ROWS else []


def _metric_fields(metrics: Sequence[str]) -> list[Field]:
    """Return the columns of metrics: the first, which is the criterion, is always shown."""
    return [Field(short_name(name), 10 + position if position else 0) for position, name in enumerate(metrics)]


def _metrics(ledger: Ledger, numbers: Iterable[Values]) -> list[str]:
    """Return the metrics that some trials have, the criterion first."""
    found = dict.fromkeys(name for values in numbers for name in values)
    criterion = ledger.plan.which4best
    is_first = criterion in found or not ledger.plan.is_tested
    return [*([criterion] if is_first else []), *(name for name in found if name != criterion)]
