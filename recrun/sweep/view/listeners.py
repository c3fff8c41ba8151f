"""Follow a sweep on a console: a live table, plain lines, or next to nothing."""

from __future__ import annotations

import time
from typing import Final

from rich.console import Console, Group
from rich.live import Live

from recrun.registry.user_files import short_name
from recrun.report.terminal.console import is_live
from recrun.report.terminal.lines import duration, number
from recrun.sweep.ledger import Ledger
from recrun.sweep.row import PAUSED, PRUNED, Row
from recrun.sweep.run import Listener
from recrun.sweep.view.elapsed import Elapsed
from recrun.sweep.view.opening import opening_lines
from recrun.sweep.view.pace import Pace
from recrun.sweep.view.progress import progress_view
from recrun.sweep.view.settings import point

_REFRESH_SECONDS: Final = 0.25
_MOST_SHARE: Final = 0.1
"""Drawing takes this share of the time at the most, however many trials there are."""


def view_of(console: Console, verbose: int) -> Listener:
    """Return the listener that shows a sweep on a console.

    Args:
        console: the console for progress.
        verbose: 0 shows only that a request to stop was received, 2 also shows the paths of the trials' logs.
    """
    if verbose < 1:
        return Quiet(console)
    return LiveView(console, verbose) if is_live(console) else LineView(console, verbose)


class Quiet(Listener):
    """Shows only that a request to stop was received."""

    def __init__(self, console: Console, verbose: int = 0) -> None:
        self.console = console
        self.verbose = verbose

    def begin(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.pace = Pace(ledger)

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
        self.pace.left()  # takes note of how many run at once
        where = f"  [{self.ledger.log_path(row)}]" if self.verbose > 1 else ""
        goes_on = "continued" if row.continues else "started"
        until = "" if row.until is None else f", up to epoch {row.until}"
        self.say(f"trial {row.trial.index}: {point(row, self.ledger)}: {goes_on}{until}{where}")

    def ended(self, row: Row) -> None:
        criterion, numbers = self.ledger.plan.which4best, self.ledger.numbers(row)
        value = numbers.get(criterion)
        epoch = f" at epoch {row.reached}" if row.status in (PAUSED, PRUNED) and row.reached is not None else ""
        text = f"{epoch} {short_name(criterion)} {number(value)}" if numbers else f": {row.cause}"
        time_taken = f"  [{duration(row.seconds)}]" if row.seconds is not None else ""
        so_far = f"  {self.pace.n_ended()}/{self.pace.total()}, {self.pace.text()}"
        self.say(f"trial {row.trial.index}: {point(row, self.ledger)}: {row.status}{text}{time_taken}{so_far}")


class LiveView(Quiet):
    """Shows a table that is updated while the sweep runs."""

    def __init__(self, console: Console, verbose: int = 1) -> None:
        super().__init__(console, verbose)
        self._live: Live | None = None
        self._elapsed = Elapsed()
        self._next = 0.0

    def begin(self, ledger: Ledger) -> None:
        super().begin(ledger)
        for line in opening_lines(ledger):
            self.say(line)
        # Drawn by tick() only, without a refresh thread, so that starting processes is safe. The result goes to stdout.
        self._live = Live(console=self.console, auto_refresh=False, transient=True)
        self._live.start()

    def tick(self) -> None:
        began = time.monotonic()
        if self._live is not None and began >= self._next:
            self._live.update(self._drawn(), refresh=True)
            now = time.monotonic()
            self._next = now + max(_REFRESH_SECONDS, (now - began) / _MOST_SHARE)

    def _drawn(self) -> Group:
        return progress_view(self.ledger, self.pace, self.console.size.height, self._elapsed)

    def end(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()
