"""Run the trials of a sweep, several at a time, in grid order, until all have ended or the user stops them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from recrun.errors import RecrunError, TrainingError
from recrun.sweep.engines.engine import Engine, Job, Outcome
from recrun.sweep.engines.local import threads_per_job
from recrun.sweep.engines.processes import ended_by
from recrun.sweep.ledger import Ledger
from recrun.sweep.plan import NO_TEST
from recrun.sweep.row import DONE, FAILED, INTERRUPTED, PENDING, Row
from recrun.sweep.trial_results import INTERRUPTED_EXIT, explain_failure
from recrun.training.stop_signals import StopRequests

ALL_DONE: Final = 0
SOME_FAILED: Final = 3

_POLL_SECONDS: Final = 0.05

T = TypeVar("T")
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
    again = ["resume=true"] if row.lacks_end else []
    no_plots = [] if any(text.startswith("plots=") for text in row.trial.arguments) else ["--no-plots"]
    settings = [*row.trial.arguments, *no_test, f"id={row.run_id}", *again, *no_plots]
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
        The exit code: 0 if all are done, 3 if some are not, 130 if interrupted.
    """
    listener = listener or Listener()
    waiting = [row for row in ledger.rows if row.status == PENDING]
    running: dict[int, Row] = {}
    with StopRequests() as requests:
        listener.begin(ledger)
        try:
            served = 0
            while running or (waiting and not requests.count):
                while waiting and not requests.count and _asked(engine.has_room):
                    row = waiting.pop(0)
                    _start(row, ledger, engine, jobs, command)
                    running[row.trial.index] = row
                    listener.started(row)
                if requests.count > served:
                    served = requests.count
                    listener.stopping(at_once=served > 1)
                    _asked(engine.stop if served == 1 else engine.kill)
                for row in _collect(running, ledger, engine, stopped=served > 0):
                    listener.ended(row)
                listener.tick()
                ledger.save_if_due()
                if running:
                    time.sleep(_POLL_SECONDS)
        except Exception:
            _wind_down(running, ledger, engine, requests)
            raise
        except BaseException:
            engine.stop()
            raise
        finally:
            listener.end()
        interrupted = requests.count > 0 and ledger.status != DONE
        if interrupted:
            for row in waiting:
                ledger.end(row, INTERRUPTED, None, None, "not started")
        ledger.save()
    if interrupted:
        return INTERRUPTED_EXIT
    return ALL_DONE if ledger.status == DONE else SOME_FAILED


def _collect(running: dict[int, Row], ledger: Ledger, engine: Engine, *, stopped: bool) -> Iterator[Row]:
    """Record the trials that have ended, and yield each."""
    for outcome in _asked(engine.poll):
        row = running.pop(outcome.index, None) if isinstance(outcome, Outcome) else None
        if row is None:
            name = type(engine).__name__
            raise TrainingError(
                f"the engine {name} returned from poll() what is no outcome of a running trial: {outcome}"
            )
        _end(row, outcome, ledger, stopped=stopped)
        yield row


def _wind_down(running: dict[int, Row], ledger: Ledger, engine: Engine, requests: StopRequests) -> None:
    """Let running trials save and end after the sweep itself has failed, and record what can be recorded.

    A further request to stop kills them. An engine that fails is not asked again.
    """
    served = requests.count
    with suppress(Exception):
        engine.stop()
        while running and requests.count == served:
            for outcome in engine.poll():
                row = running.pop(outcome.index)
                with suppress(RecrunError):
                    _end(row, outcome, ledger, stopped=True)
            time.sleep(_POLL_SECONDS)
        if running:
            engine.kill()
    with suppress(RecrunError):
        ledger.save()


def _start(row: Row, ledger: Ledger, engine: Engine, jobs: int, command: CommandBuilder) -> None:
    threads = None if row.trial.config.get("threads") else threads_per_job(jobs)
    try:
        ledger.begin(row)
        _asked(engine.start, Job(row.trial.index, tuple(command(ledger, row)), ledger.log_path(row), threads))
    except BaseException:
        row.status = PENDING
        raise


def _asked(method: Callable[..., T], *arguments: Any) -> T:
    """Call a method of an engine, which may be a user's own, and name it in the error if it fails."""
    try:
        return method(*arguments)
    except RecrunError:
        raise
    except Exception as error:
        engine = type(getattr(method, "__self__", None)).__name__
        what = f"{type(error).__name__}: {error}"
        raise TrainingError(f"the engine {engine} failed in {method.__name__}(): {what}") from error


def _end(row: Row, outcome: Outcome, ledger: Ledger, stopped: bool) -> None:
    """Determine how a trial's process ended, and record it."""
    code, cause = outcome.exit_code, None
    if code is None:
        status, cause = FAILED, outcome.error
    elif code == 0:
        status = DONE
    elif code == INTERRUPTED_EXIT:
        saved = row.run.checkpoint_file("last").exists()
        status, cause = INTERRUPTED, "stopped; its state was saved" if saved else "stopped before its first checkpoint"
    elif stopped and (name := ended_by(code)):
        status, cause = INTERRUPTED, f"killed by {name} while stopping"
    else:
        status, cause = FAILED, explain_failure(code, ledger.log_path(row), outcome.log_offset)
    ledger.end(row, status, outcome.seconds, code, cause)
