"""Show a sweep: a live table or plain lines while it runs, and the ranking at the end."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live

from recrun.registry.user_files import short_name
from recrun.report.terminal.columns import Field
from recrun.report.terminal.console import is_live
from recrun.report.terminal.lines import clock, counted, duration, number
from recrun.report.terminal.tables import Prose, TextTable, table
from recrun.sweep.ledger import Ledger, as_text
from recrun.sweep.points import REPEATS, Standing, Values
from recrun.sweep.row import DONE, FAILED, INTERRUPTED, PENDING, RUNNING, Row
from recrun.sweep.run import Listener
from recrun.sweep.trial_results import latest_value

_REFRESH_SECONDS: Final = 0.25
_MOST_ROWS: Final = 20
_MOST_COLUMNS: Final = 5
"""The most trials of a point that have a column of their own, so that a table fits into 80 columns."""


def view_of(console: Console, verbose: int) -> Listener:
    """Return the listener that shows a sweep on a console.

    Args:
        console: the console for progress.
        verbose: 0 shows only that a request to stop was received, 2 also shows the paths of the trials' logs.
    """
    if verbose < 1:
        return Quiet(console)
    return LiveView(console, verbose) if is_live(console) else LineView(console, verbose)


def point(row: Row, ledger: Ledger) -> str:
    """Return a trial's values on the axes of the grid, as `KEY=VALUE` text."""
    return " ".join(f"{key}={as_text(row.trial.overrides[key])}" for key in ledger.plan.axes)


class Quiet(Listener):
    """Shows only that a request to stop was received."""

    def __init__(self, console: Console, verbose: int = 0) -> None:
        self.console = console
        self.verbose = verbose

    def begin(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def stopping(self, at_once: bool) -> None:
        text = "stopping at once" if at_once else "stopping: running trials save their state; once more to stop at once"
        self.say(text)

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(text, soft_wrap=True)


class LineView(Quiet):
    """Prints a line when a trial starts and a line when it ends."""

    def begin(self, ledger: Ledger) -> None:
        super().begin(ledger)
        for line in opening_lines(ledger):
            self.say(line)

    def started(self, row: Row) -> None:
        where = f"  [{self.ledger.log_path(row)}]" if self.verbose > 1 else ""
        self.say(f"trial {row.trial.index}: {point(row, self.ledger)}: started{where}")

    def ended(self, row: Row) -> None:
        criterion, numbers = self.ledger.plan.which4best, self.ledger.numbers(row)
        value = numbers.get(criterion)
        text = f" {short_name(criterion)} {number(value)}" if numbers else f": {row.cause}"
        time_taken = f"  [{duration(row.seconds)}]" if row.seconds is not None else ""
        self.say(f"trial {row.trial.index}: {point(row, self.ledger)}: {row.status}{text}{time_taken}")


class LiveView(Quiet):
    """Shows a table that is updated while the sweep runs."""

    def __init__(self, console: Console, verbose: int = 1) -> None:
        super().__init__(console, verbose)
        self._live: Live | None = None
        self._drawn = 0.0

    def begin(self, ledger: Ledger) -> None:
        super().begin(ledger)
        for line in opening_lines(ledger):
            self.say(line)
        # Drawn by tick() only, without a refresh thread, so that starting processes is safe. The result goes to stdout.
        self._live = Live(console=self.console, auto_refresh=False, transient=True)
        self._live.start()

    def tick(self) -> None:
        if self._live is not None and time.monotonic() - self._drawn >= _REFRESH_SECONDS:
            self._live.update(progress_table(self.ledger), refresh=True)
            self._drawn = time.monotonic()

    def end(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()


def opening_lines(ledger: Ledger) -> Iterator[str]:
    """Yield the lines printed when a sweep begins."""
    plan = ledger.plan
    counts = " x ".join(f"{len(values)} {key}" for key, values in plan.axes.items())
    yield f"config  {plan.config_path}"
    yield f"sweep   {counts} = {len(plan.trials)} trials, {_purpose(ledger)}"
    yield f"folder  {ledger.folder}"
    yield from _untested_folds(ledger)
    n_done = sum(row.was_done for row in ledger.rows)
    if n_done:
        yield f"done    {n_done} of {len(plan.trials)} trials are already done and are not repeated"


def _purpose(ledger: Ledger) -> str:
    """Return what a sweep does with the numbers of its trials."""
    plan = ledger.plan
    if plan.is_tested:
        return "each scored on test: nothing is chosen"
    if not any(point.choices for point in plan.points):
        return "each scored on validation: nothing is chosen, and eval_test is false"
    mean = f"the mean over {_repeated(ledger)} of " if plan.has_repeats else ""
    apart = f", for each {' and '.join(plan.points[0].data)} separately" if plan.n_data > 1 else ""
    return f"compared by {mean}{short_name(plan.which4best)} on validation{apart}"


def _untested_folds(ledger: Ledger) -> Iterator[str]:
    """Yield the line that says which share of the folds is tested, if it is not all."""
    n_folds = max((row.trial.config.get("n_folds") or 0 for row in ledger.rows), default=0)
    n_tested = len(ledger.plan.axes.get("test_fold", ()))
    if 0 < n_tested < n_folds:
        yield f"note    {n_tested} of {n_folds} folds are tested; test_fold=1..{n_folds} tests all"


def _repeated(ledger: Ledger) -> str:
    """Return the axes whose trials are averaged."""
    return " and ".join(axis for axis in ledger.plan.axes if axis in REPEATS)


def progress_table(ledger: Ledger) -> TextTable:
    """Return the progress table: all trials, or if there are many, those around the running ones."""
    (trial, *axes, status, time_taken, value, cause), cells, best, counts = progress_cells(ledger)
    columns: list[str | Field]
    columns = [trial, *axes, status, Field(time_taken, 1), value, Field(cause, 2, wraps=True)]
    return table(None, columns, cells, best, caption=counts)


def progress_cells(ledger: Ledger) -> tuple[list[str], list[list[Any]], int | None, str]:
    """Return the headings of the progress table, its rows, the position of the best one, and how many trials are how.

    The columns are the trial, its values on the axes, its status, the time taken, its value, and its cause.
    """
    criterion = ledger.plan.which4best
    rows = list(shown_rows(ledger.rows))
    now = time.monotonic()
    cells = []
    for row in rows:
        value = ledger.numbers(row).get(criterion)
        seconds = row.seconds
        if row.status == RUNNING:
            value, seconds = latest_value(row.run, criterion), now - (row.started or now)
        elapsed = "" if seconds is None else clock(seconds)
        cells.append([*_point_cells(row, ledger), row.status, elapsed, value, row.cause or ""])
    best = next((position for position, row in enumerate(rows) if row.trial.index == ledger.best), None)
    heads = ["trial", *ledger.plan.axes, "status", "time", f"{ledger.split} {short_name(criterion)}", "cause"]
    states = [row.status for row in ledger.rows]
    order = (DONE, RUNNING, FAILED, INTERRUPTED, PENDING)
    return heads, cells, best, ", ".join(f"{states.count(state)} {state}" for state in order if state in states)


def shown_rows(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield at most `_MOST_ROWS` consecutive trials, starting a little before the first one that has not ended."""
    first_open = next((i for i, row in enumerate(rows) if row.status in (RUNNING, PENDING)), len(rows))
    start = max(0, min(first_open - _MOST_ROWS // 2, len(rows) - _MOST_ROWS))
    yield from rows[start : start + _MOST_ROWS]


def result_tables(ledger: Ledger) -> Iterator[Group]:
    """Yield the final tables: points with the mean of their trials if some have several, and the trials.

    The trials are left out where the first table already has all there is to say of them.
    """
    plan = ledger.plan
    if plan.is_tested:
        yield from (_repeats_table(ledger, each) for each in ledger.standings() if each.n_done)
    elif plan.has_repeats or plan.n_data > 1:
        yield _points_table(ledger)
    has_points = plan.is_tested or plan.has_repeats or plan.n_data > 1
    if not has_points or any(row.status != DONE for row in ledger.rows):
        yield trials_table(ledger)


def trials_table(ledger: Ledger) -> Group:
    """Return the table of all trials, the best first and failed ones last, and the causes of failures below it."""
    rows = ledger.ranked()
    metrics = _metrics(ledger, (ledger.numbers(row) for row in rows))
    status = Field("status", 1 if all(row.status == DONE for row in rows) else 0)
    columns: list[str | Field]
    columns = ["trial", *ledger.plan.axes, status, *_metric_fields(metrics), Field("epoch", 2), Field("time", 3)]
    cells = []
    for row in rows:
        numbers = [ledger.numbers(row).get(name) for name in metrics]
        cells.append([*_point_cells(row, ledger), row.status, *numbers, row.best_epoch, duration(row.seconds)])
    part = "test" if ledger.plan.is_tested else "validation"
    title = f"{counted(len(rows), 'trial')} by {short_name(ledger.plan.which4best)} on {part}"
    best = None if ledger.best is None or len(rows) == 1 else 0
    causes: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.cause:
            causes.setdefault((row.status, row.cause), []).append(str(row.trial.index))
    lines = [
        Prose(f"{'trial' if len(trials) == 1 else 'trials'} {', '.join(trials)} {status}: {cause}")
        for (status, cause), trials in causes.items()
    ]
    return _titled(title, table(None, columns, cells, best), *lines)


def _points_table(ledger: Ledger) -> Group:
    """Return the table of points, best first: the mean of each metric, and the criterion's standard deviation."""
    plan, standings = ledger.plan, ledger.standings()
    criterion, *others = _metrics(ledger, (each.mean for each in standings))
    cells = [
        [
            *map(as_text, (*each.point.data.values(), *each.point.choices.values())),
            f"{each.n_done}/{len(each.point.trials)}",
            each.mean.get(criterion),
            each.sd.get(criterion),
            *(each.mean.get(name) for name in others),
        ]
        for each in standings
    ]
    first = plan.points[0]
    head: list[str | Field]
    head = [*first.data, *first.choices, Field("done", 2), *_metric_fields([criterion])]
    head += [Field("sd", 1), *_metric_fields([criterion, *others])[1:]]
    mean = f"mean over {_repeated(ledger)}" if plan.has_repeats else "compared within each value of the data"
    title = f"{counted(len(standings), 'point')} by {short_name(criterion)} on validation, {mean}"
    best = None if ledger.best_point is None or len(standings) == 1 else 0
    return _titled(title, table(None, head, cells, best))


def _repeats_table(ledger: Ledger, standing: Standing) -> Group:
    """Return the table of one point of a sweep that chooses nothing: mean and deviation, and trials if they are few."""
    plan, point = ledger.plan, standing.point
    rows = [row for row in (ledger.rows[index] for index in point.trials) if row.status == DONE]
    shown = rows if len(rows) <= _MOST_COLUMNS else []
    cells = [
        [
            short_name(name),
            standing.mean[name],
            standing.sd.get(name),
            *(ledger.numbers(row).get(name) for row in shown),
        ]
        for name in _metrics(ledger, [standing.mean])
    ]
    repeated = [axis for axis in plan.axes if axis in REPEATS]
    heads = [" ".join(as_text(row.trial.overrides[axis]) for axis in repeated) for row in shown]
    values = "".join(f" {axis}={as_text(value)}" for axis, value in point.data.items())
    over = f" over {_repeated(ledger)}" if repeated else ""
    title = f"test{values}{over}, {len(rows)} of {len(point.trials)} done"
    return _titled(title, table(None, ["metric", "mean", "sd", *heads], cells))


def _titled(title: str, grid: TextTable, *lines: Prose) -> Group:
    return Group(Prose(title, "bold"), grid, *lines)


def _metric_fields(metrics: Sequence[str]) -> list[Field]:
    """Return the columns of metrics: the first, which is the criterion, is always shown."""
    return [Field(short_name(name), 10 + position if position else 0) for position, name in enumerate(metrics)]


def _metrics(ledger: Ledger, numbers: Iterable[Values]) -> list[str]:
    """Return the metrics that some trials have, the criterion first."""
    found = dict.fromkeys(name for values in numbers for name in values)
    criterion = ledger.plan.which4best
    is_first = criterion in found or not ledger.plan.is_tested
    return [*([criterion] if is_first else []), *(name for name in found if name != criterion)]


def closing_lines(ledger: Ledger) -> Iterator[str]:
    """Yield the lines printed below the final tables: the best trial or trials, and what to do next."""
    best = ledger.best_point
    if best is not None:
        rows = [ledger.rows[index] for index in best.point.trials]
        values = " ".join(f"{key}={as_text(value)}" for key, value in best.point.choices.items())
        yield f"best    {f'trial {rows[0].trial.index}' if len(rows) == 1 else f'{len(rows)} trials'}: {values}"
        for row in rows[:_MOST_ROWS]:
            yield f"score   recrun eval --checkpoint {shlex.quote(str(row.run.path))} --split test"
    n_open = sum(row.status != DONE for row in ledger.rows)
    if n_open:
        yield f"again   {n_open} of {len(ledger.rows)} trials are not done; repeat the command to run them again"
        yield f"logs    {ledger.trials_folder}"
    yield f"folder  {ledger.folder}"


def _point_cells(row: Row, ledger: Ledger) -> list[Any]:
    # As text: a learning rate of 1e-05 must not be rounded like a measurement.
    return [str(row.trial.index), *(as_text(row.trial.overrides[key]) for key in ledger.plan.axes)]
