"""Run the trials of a sweep, several at a time, until all have ended, a limit is reached or the user stops them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from recrun.sweep.adopted import exit_code_in
from recrun.sweep.engines.asking import asked
from recrun.sweep.engines.engine import Engine, Job, Outcome
from recrun.sweep.engines.job_loop import JobLoop
from recrun.sweep.engines.local import threads_of
from recrun.sweep.engines.processes import ended_by
from recrun.sweep.importance.findings import findings
from recrun.sweep.ledger import Ledger
from recrun.sweep.planning.trials import NO_TEST
from recrun.sweep.row import DONE, FAILED, INTERRUPTED, PENDING, Row
from recrun.sweep.sequence import sequence_of
from recrun.sweep.storage import as_argument
from recrun.sweep.time_limits import TimeLimits
from recrun.sweep.trial_results import INTERRUPTED_EXIT, explain_failure, read_result
from recrun.training.stop_signals import StopRequests

ALL_DONE: Final = 0
SOME_FAILED: Final = 3

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
    config = as_argument(ledger.config_path(row))
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
    listener = listener or Listener()
    loop = _SweepLoop(ledger, engine, jobs, listener, command)
    with StopRequests() as requests:
        listener.begin(ledger)
        try:
            loop.run(requests)
        finally:
            listener.end()
        interrupted = requests.count > 0 and ledger.status != DONE
        loop.close(interrupted)
        ledger.save()
    if interrupted:
        return INTERRUPTED_EXIT
    return ALL_DONE if ledger.status == DONE or ledger.is_over_time else SOME_FAILED


class _SweepLoop(JobLoop[Row]):
    """Runs the trials of a sweep in the order of its sequence, and keeps its ledger."""

    def __init__(self, ledger: Ledger, engine: Engine, jobs: int, listener: Listener, command: CommandBuilder) -> None:
        super().__init__(engine)
        self._ledger, self._jobs, self._listener, self._command = ledger, jobs, listener, command
        self._sequence, self._limits = sequence_of(ledger, jobs), ledger.plan.limits
        self._time = TimeLimits(self._limits)

    def waiting(self) -> list[Row]:
        """Return the trials of the sequence that an earlier process may have started."""
        return self._sequence.waiting()

    def take(self) -> Row | None:
        """Return the next trial of the sequence."""
        return self._sequence.take()

    def known_job(self, row: Row) -> Job:
        """Return the job of a trial without its command."""
        return Job(row.trial.index, (), self._ledger.log_path(row))

    def begin(self, row: Row) -> Job:
        """Record that a trial is about to start, and return its job."""
        self._ledger.look_again(row)
        self._ledger.begin(row)
        command = tuple(self._command(self._ledger, row))
        return replace(self.known_job(row), command=command, threads=threads_of(row.trial.config, self._jobs))

    def not_started(self, row: Row) -> None:
        """Leave a trial to the next command."""
        row.status = PENDING

    def adopted(self, row: Row) -> None:
        """Record that a trial runs which an earlier process has started."""
        self._sequence.remove(row)
        self._ledger.take_over(row)

    def save(self) -> None:
        """Write the files of the sweep."""
        self._ledger.save()

    def check(self) -> None:
        """Raise an error if another process has taken the sweep over."""
        self._ledger.require_lease()

    def started(self, row: Row) -> None:
        """Notify the listener."""
        self._listener.started(row)

    def stopping(self, at_once: bool) -> None:
        """Notify the listener."""
        self._listener.stopping(at_once)

    def watch(self) -> None:
        """Stop what has run for too long."""
        if self._time.is_up and not self.stops:
            self._ledger.is_over_time = self.stops = True
            asked(self.engine.stop)
        stopped, killed = self._time.look(self.running)
        for index in stopped:
            asked(self.engine.stop_job, index)
        for index in killed:
            asked(self.engine.kill_job, index)

    def tick(self) -> None:
        """Notify the listener, and save what has changed."""
        self._listener.tick()
        self._ledger.save_if_due()

    def ended(self, row: Row, outcome: Outcome) -> None:
        """Record how a trial ended, and try it again, or stop the sweep, as its limits say."""
        is_late, was_continued = self._time.ended(row), row.continues
        self._record(row, outcome, is_late=is_late)
        self._sequence.ended(row)
        self._listener.ended(row)
        if row.status in (FAILED, INTERRUPTED) and not self.stops:
            if not is_late and self._may_retry(row, outcome, was_continued):
                self._ledger.again(row)
                self._sequence.put_back(row)
            elif self._limits.fail_fast:
                self.stops = True
                asked(self.engine.stop)

    def _may_retry(self, row: Row, outcome: Outcome, was_continued: bool) -> bool:
        """Return whether a trial that failed or was interrupted is tried again.

        One that was killed goes on once of itself where decisions depend on results: they would depend on the kill. One
        that cannot be continued begins anew.
        """
        code = outcome.exit_code
        if code is None or code < 0 or code == INTERRUPTED_EXIT:
            return row.n_tries <= max(self._limits.retries, int(self._ledger.plan.adapts))
        return was_continued or (row.n_tries <= self._limits.retries and code != _WRONG_CONFIG)

    def record_end(self, row: Row, outcome: Outcome) -> None:
        """Determine how a trial's process ended, and record it."""
        self._record(row, outcome)

    def _record(self, row: Row, outcome: Outcome, *, is_late: bool = False) -> None:
        code, cause = outcome.exit_code, None
        if outcome.is_adopted:
            code = exit_code_in(row.run)
            outcome = replace(outcome, error="it was killed" if code is None else "")
        if (code is None or code < 0) and read_result(row.run) is not None:
            code = 0  # it was killed, or its worker, after it had recorded that it is done
        if code == 0:
            status = DONE
        elif is_late:
            status, cause = FAILED, f"ran longer than {self._limits.timeout:g} s"
        elif code is None:
            status, cause = FAILED, outcome.error
        elif code == INTERRUPTED_EXIT:
            status, saved = INTERRUPTED, row.run.checkpoint_file("last").exists()
            cause = "stopped; its state was saved" if saved else "stopped before its first checkpoint"
        elif self.stops and (name := ended_by(code)):
            status, cause = INTERRUPTED, f"killed by {name} while stopping"
        else:
            status = FAILED
            cause = outcome.error or explain_failure(code, self._ledger.log_path(row), outcome.log_offset)
        self._ledger.end(row, status, outcome.seconds, code, cause)

    def close(self, interrupted: bool) -> None:
        """Mark the trials that did not start."""
        if interrupted:
            self._ledger.further = self._ledger.further and INTERRUPTED
            for row in [row for row in self._ledger.rows if row.status == PENDING]:
                self._ledger.end(row, INTERRUPTED, None, None, "not started")
        elif self.is_exhausted and not self.stops:
            self._ledger.further = None
            self._sequence.close()
        if not interrupted:
            self._ledger.importance = findings(self._ledger)
