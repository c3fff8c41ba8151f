"""Run the trials of a sweep, several at a time, until all have ended, a limit is reached or the user stops them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from recrun.errors import RecrunError
from recrun.sweep.adopted import exit_code_in
from recrun.sweep.engines.asking import asked, take_ended
from recrun.sweep.engines.engine import Engine, Job, Outcome
from recrun.sweep.engines.local import threads_of
from recrun.sweep.engines.processes import ended_by
from recrun.sweep.importance.findings import findings
from recrun.sweep.ledger import Ledger
from recrun.sweep.locks.lease import LeaseLostError
from recrun.sweep.planning.trials import NO_TEST
from recrun.sweep.row import DONE, FAILED, INTERRUPTED, PENDING, Row
from recrun.sweep.sequence import Sequence as TrialSequence
from recrun.sweep.sequence import sequence_of
from recrun.sweep.time_limits import TimeLimits
from recrun.sweep.trial_results import INTERRUPTED_EXIT, explain_failure, read_result
from recrun.training.stop_signals import StopRequests

ALL_DONE: Final = 0
SOME_FAILED: Final = 3

_POLL_SECONDS: Final = 0.05
_WRONG_CONFIG: Final = 2
"""The exit code of a trial whose settings or data are wrong, which another attempt does not mend."""

CommandBuilder = Callable[[Ledger, Row], Sequence[str]]
"""Builds the argument list of a trial's process."""


class Listener:
    """Base class of objects that are notified of a sweep's progress; every method does nothing unless overridden."""

    def begin(self, ledger: Ledger) -> None:
        """The sweep begins."""

    def started(self, row: Row) -> None:
        """A trial's process starts."""

    def ended(self, row: Row) -> None:
        """A trial has ended."""

    def tick(self) -> None:
        """Called about twenty times a second."""

    def stopping(self, at_once: bool) -> None:
        """The user asked to stop: running trials save first, or are killed at once."""

    def end(self) -> None:
        """The sweep has ended, successfully or not."""


def train_command(ledger: Ledger, row: Row) -> list[str]:
    """Return the command of a trial: `recrun train` on its resolved config, without test if the sweep chooses.

    It draws no plots, unless the sweep's own arguments say `plots=true`.

    The config is the copy in the sweep folder, so editing the original while a sweep runs has no effect. The
    overrides are already in it; they are repeated so that the run records them.
    """
    no_test = [] if ledger.plan.is_tested else [NO_TEST]
    again = ["resume=true"] if row.continues else []
    no_plots = [] if any(text.startswith("plots=") for text in row.trial.arguments) else ["--no-plots"]
    until = [] if row.until is None else ["--until", str(row.until)]
    floors = ["--floors", str(ledger.floors_path(row))] if row.floors else []
    settings = [*row.trial.arguments, *no_test, f"id={row.run_id}", *again, *no_plots, *until, *floors]
    config = str(ledger.config_path(row))
    options = ["--runs", str(ledger.runs), "--json", "--keep-latest"]
    return [sys.executable, "-m", "recrun", "train", config, *settings, *options]


def run_sweep(
    ledger: Ledger,
    engine: Engine,
    jobs: int,
    *,
    listener: Listener | None = None,
    command: CommandBuilder = train_command,
) -> int:
    """Run every trial of an open ledger that is not done.

    After the first SIGINT, SIGTERM or SIGHUP the running trials save and stop, and no other is started. The second
    kills them.

    Args:
        ledger: the sweep, open.
        engine: where trials run.
        jobs: how many run at once; the available cores are divided among them.
        listener: is notified of the progress.
        command: builds a trial's command.

    Returns:
        The exit code: 0 if all are done or the time is up, 3 if some are not, 130 if interrupted.
    """
    run = _Sweep(ledger, engine, jobs, command, sequence_of(ledger, jobs))
    listener = listener or Listener()
    with StopRequests() as requests:
        listener.begin(ledger)
        try:
            run.adopt(listener)
            while run.goes_on(requests.count):
                ledger.require_lease()
                run.step(listener, requests.count)
                ledger.save_if_due()
                if run.running:
                    time.sleep(_POLL_SECONDS)
        except LeaseLostError:  # the trials are another's now, and so are the files
            raise
        except Exception:
            run.wind_down(requests)
            raise
        except BaseException:
            engine.stop()
            raise
        finally:
            listener.end()
        interrupted = requests.count > 0 and ledger.status != DONE
        run.close(interrupted)
        ledger.save()
    if interrupted:
        return INTERRUPTED_EXIT
    return ALL_DONE if ledger.status == DONE or run.is_over_time else SOME_FAILED


class _Sweep:
    """The state of a sweep while it runs."""

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine,
        jobs: int,
        command: CommandBuilder,
        sequence: TrialSequence,
    ) -> None:
        self.ledger, self.engine, self.jobs, self.command = ledger, engine, jobs, command
        self.sequence, self.limits = sequence, ledger.plan.limits
        self.running: dict[int, Row] = {}
        self.is_over_time = False
        self._served = 0
        self._has_failed = self._is_exhausted = False
        self.time = TimeLimits(self.limits)

    @property
    def stops(self) -> bool:
        """Whether no further trial starts."""
        return self._served > 0 or self.is_over_time or self._has_failed

    def goes_on(self, n_requests: int) -> bool:
        """Return whether something runs, or may start."""
        return bool(self.running) or not (self._is_exhausted or self.stops or n_requests)

    def step(self, listener: Listener, n_requests: int) -> None:
        """Start what can start, take note of what has ended, and stop what is to be stopped."""
        if not self.stops and not n_requests:
            self._fill(listener)
        if n_requests > self._served:
            self._served = n_requests
            listener.stopping(at_once=n_requests > 1)
            asked(self.engine.stop if n_requests == 1 else self.engine.kill)
        self._watch_time()
        self._collect(listener)
        listener.tick()

    def _fill(self, listener: Listener) -> None:
        self._is_exhausted = False
        while asked(self.engine.has_room):
            row = self.sequence.take()
            if row is None:
                self._is_exhausted = not self.running
                return
            self._start(row)
            listener.started(row)

    def _start(self, row: Row) -> None:
        self.ledger.look_again(row)
        try:
            self.ledger.begin(row)
            asked(self.engine.start, self._job(row))
        except BaseException:
            row.status = PENDING
            raise
        self.running[row.trial.index] = row

    def _job(self, row: Row) -> Job:
        command, log = tuple(self.command(self.ledger, row)), self.ledger.log_path(row)
        return Job(row.trial.index, command, log, threads_of(row.trial.config, self.jobs))

    def adopt(self, listener: Listener) -> None:
        """Take over the trials that an earlier process of this sweep has started and that still run."""
        for row in self.sequence.waiting():
            log = self.ledger.log_path(row)
            if log.exists() and asked(self.engine.adopt, Job(row.trial.index, (), log)):
                self.sequence.remove(row)
                self.ledger.take_over(row)
                self.running[row.trial.index] = row
                listener.started(row)

    def _watch_time(self) -> None:
        """Stop what has run for too long."""
        if self.time.is_up and not self.stops:
            self.is_over_time = True
            asked(self.engine.stop)
        stopped, killed = self.time.look(self.running)
        for index in stopped:
            asked(self.engine.stop_job, index)
        for index in killed:
            asked(self.engine.kill_job, index)

    def _collect(self, listener: Listener) -> None:
        """Record the trials that have ended."""
        for row, outcome in take_ended(self.engine, self.running):
            is_late, was_continued = self.time.ended(row), row.continues
            self._end(row, outcome, is_late=is_late)
            self.sequence.ended(row)
            listener.ended(row)
            if row.status in (FAILED, INTERRUPTED) and not self.stops:
                if not is_late and self._may_retry(row, outcome, was_continued):
                    self.ledger.again(row)
                    self.sequence.put_back(row)
                elif self.limits.fail_fast:
                    self._has_failed = True
                    asked(self.engine.stop)

    def _may_retry(self, row: Row, outcome: Outcome, was_continued: bool) -> bool:
        """Return whether a trial that failed or was interrupted is tried again.

        One that was killed goes on once of itself where decisions depend on results: they would depend on the kill. One
        that cannot be continued begins anew.
        """
        code = outcome.exit_code
        if code is None or code < 0 or code == INTERRUPTED_EXIT:
            return row.n_tries <= max(self.limits.retries, int(self.ledger.plan.adapts))
        return was_continued or (row.n_tries <= self.limits.retries and code != _WRONG_CONFIG)

    def _end(self, row: Row, outcome: Outcome, *, is_late: bool = False) -> None:
        """Determine how a trial's process ended, and record it."""
        code, cause = outcome.exit_code, None
        if outcome.is_adopted:
            code = exit_code_in(row.run)
            outcome = replace(outcome, error="it was killed" if code is None else "")
        if (code is None or code < 0) and read_result(row.run) is not None:
            code = 0  # it was killed, or its worker, after it had recorded that it is done
        if code == 0:
            status = DONE
        elif is_late:
            status, cause = FAILED, f"ran longer than {self.limits.timeout:g} s"
        elif code is None:
            status, cause = FAILED, outcome.error
        elif code == INTERRUPTED_EXIT:
            status, saved = INTERRUPTED, row.run.checkpoint_file("last").exists()
            cause = "stopped; its state was saved" if saved else "stopped before its first checkpoint"
        elif self.stops and (name := ended_by(code)):
            status, cause = INTERRUPTED, f"killed by {name} while stopping"
        else:
            status = FAILED
            cause = outcome.error or explain_failure(code, self.ledger.log_path(row), outcome.log_offset)
        self.ledger.end(row, status, outcome.seconds, code, cause)

    def close(self, interrupted: bool) -> None:
        """Mark the trials that did not start."""
        self.ledger.is_over_time = self.is_over_time
        if interrupted:
            self.ledger.further = self.ledger.further and INTERRUPTED
            for row in [row for row in self.ledger.rows if row.status == PENDING]:
                self.ledger.end(row, INTERRUPTED, None, None, "not started")
        elif self._is_exhausted and not self.stops:
            self.ledger.further = None
            self.sequence.close()
        if not interrupted:
            self.ledger.importance = findings(self.ledger)

    def wind_down(self, requests: StopRequests) -> None:
        """Let running trials save and end after the sweep itself has failed, and record what can be recorded.

        A further request to stop kills them. An engine that fails is not asked again.
        """
        served = requests.count
        self._served = max(self._served, 1)
        with suppress(Exception):
            self.engine.stop()
            while self.running and requests.count == served:
                for row, outcome in take_ended(self.engine, self.running):
                    with suppress(RecrunError):
                        self._end(row, outcome)
                time.sleep(_POLL_SECONDS)
            if self.running:
                self.engine.kill()
        with suppress(RecrunError):
            self.ledger.save()
