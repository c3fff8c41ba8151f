"""Show a sweep: a live table or plain lines while it runs, and the ranking at the end."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.table import Table

from recrun.registry.user_files import short_name
from recrun.report.terminal.console import is_live
from recrun.report.terminal.lines import clock, duration, number
from recrun.report.terminal.tables import table
from recrun.sweep.ledger import DONE, FAILED, INTERRUPTED, PENDING, RUNNING, Ledger, Row, as_text
from recrun.sweep.run import Listener
from recrun.sweep.trial_results import latest_value

_REFRESH_SECONDS: Final = 0.25
_MOST_ROWS: Final = 20


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
        criterion = self.ledger.plan.which4best
        text = f" {short_name(criterion)} {number(row.valid[criterion])}" if row.valid else f": {row.cause}"
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
    yield f"sweep   {counts} = {len(plan.trials)} trials, compared by {short_name(plan.which4best)} on validation"
    yield f"folder  {ledger.folder}"
    n_done = sum(row.was_done for row in ledger.rows)
    if n_done:
        yield f"done    {n_done} of {len(plan.trials)} trials are already done and are not repeated"


def progress_table(ledger: Ledger) -> Table:
    """Return the progress table: all trials, or if there are many, those around the running ones."""
    criterion = ledger.plan.which4best
    rows = list(shown_rows(ledger.rows))
    now = time.monotonic()
    cells = []
    for row in rows:
        value = (row.valid or {}).get(criterion)
        seconds = row.seconds
        if row.status == RUNNING:
            value, seconds = latest_value(row.run, criterion), now - (row.started or now)
        elapsed = "" if seconds is None else clock(seconds)
        cells.append([*_point_cells(row, ledger), row.status, elapsed, value, row.cause or ""])
    best = next((position for position, row in enumerate(rows) if row.trial.index == ledger.best), None)
    grid = table(
        None, ("trial", *ledger.plan.axes, "status", "time", f"valid {short_name(criterion)}", "cause"), cells, best
    )
    states = [row.status for row in ledger.rows]
    grid.caption = ", ".join(
        f"{states.count(state)} {state}" for state in (DONE, RUNNING, FAILED, INTERRUPTED, PENDING) if state in states
    )
    return grid


def shown_rows(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield at most `_MOST_ROWS` consecutive trials, starting a little before the first one that has not ended."""
    first_open = next((i for i, row in enumerate(rows) if row.status in (RUNNING, PENDING)), len(rows))
    start = max(0, min(first_open - _MOST_ROWS // 2, len(rows) - _MOST_ROWS))
    yield from rows[start : start + _MOST_ROWS]


def result_table(ledger: Ledger) -> Table:
    """Return the final table: the best trial first, failed trials with their cause last."""
    criterion = ledger.plan.which4best
    rows = ledger.ranked()
    others = dict.fromkeys(name for row in rows for name in row.valid or () if name != criterion)
    metrics = [criterion, *others]
    columns = ["trial", *ledger.plan.axes, "status", *map(short_name, metrics), "epoch", "time"]
    has_causes = any(row.cause for row in rows)
    cells = []
    for row in rows:
        numbers = [(row.valid or {}).get(name) for name in metrics]
        cause = [row.cause or ""] if has_causes else []
        cells.append([*_point_cells(row, ledger), row.status, *numbers, row.best_epoch, duration(row.seconds), *cause])
    title = f"{len(rows)} trials by {short_name(criterion)} on validation"
    return table(title, [*columns, "cause"] if has_causes else columns, cells, None if ledger.best is None else 0)


def closing_lines(ledger: Ledger) -> Iterator[str]:
    """Yield the lines printed below the final table: the best trial, and what to do next."""
    if ledger.best is not None:
        row = ledger.rows[ledger.best]
        yield f"best    trial {row.trial.index}: {point(row, ledger)}"
        yield f"score   recrun eval --checkpoint {shlex.quote(str(row.run.path))} --split test"
    n_open = sum(row.status != DONE for row in ledger.rows)
    if n_open:
        yield f"again   {n_open} of {len(ledger.rows)} trials are not done; repeat the command to run them again"
        yield f"logs    {ledger.trials_folder}"
    yield f"folder  {ledger.folder}"


def _point_cells(row: Row, ledger: Ledger) -> list[Any]:
    # As text: a learning rate of 1e-05 must not be rounded like a measurement.
    return [str(row.trial.index), *(as_text(row.trial.overrides[key]) for key in ledger.plan.axes)]
