"""Train the point that a sweep chose on train and valid, for each of its seeds, and score test once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recrun.errors import CheckpointError, ConfigError, Fault
from recrun.report.terminal.lines import counted
from recrun.runs.folder import now
from recrun.sweep.adopted import exit_code_in
from recrun.sweep.engines.asking import asked, take_ended
from recrun.sweep.engines.engine import Engine, Job, MakeEngine, Outcome
from recrun.sweep.engines.local import threads_of
from recrun.sweep.engines.processes import ended_by
from recrun.sweep.final.choice import read_choices, sweep_folder
from recrun.sweep.final.record import document_of, read_record, write_record
from recrun.sweep.final.seeds import MOST
from recrun.sweep.final.trials import FinalTrial, LastStep, open_trials, plan_final
from recrun.sweep.locks.lock import SweepLock
from recrun.sweep.row import DONE, FAILED, INTERRUPTED, RUNNING
from recrun.sweep.trial_results import INTERRUPTED_EXIT, explain_failure
from recrun.training.stop_signals import StopRequests

ALL_DONE: Final = 0
SOME_FAILED: Final = 3
_POLL_SECONDS: Final = 0.05

Told = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What is asked of the last step.

    Args:
        point: the number of the point, in place of the one that the sweep chose.
        train_only: score the trials of the point on test as they are, and train nothing.
        again: make the last step of the present choice although there was one of another.
        trust: whether code of the user's own that the runs name may be run although it was not run here before.
        seeds: with how many seeds the point is trained, in place of those that the search had.
    """

    point: int | None = None
    train_only: bool = False
    again: bool = False
    trust: bool = False
    seeds: int | None = None

    def check(self) -> None:
        """Check what is asked for.

        Raises:
            ConfigError: there are no such seeds.
        """
        if self.seeds is not None and not (type(self.seeds) is int and 1 <= self.seeds <= MOST):
            raise ConfigError(Fault(f"expected a number of seeds from 1 to {MOST}, found {self.seeds!r}", key="seeds"))
        if self.seeds is not None and self.train_only:
            raise ConfigError(Fault("train_only trains nothing, so it takes the seeds of the search", key="seeds"))


@dataclass(frozen=True)
class Finished:
    """What became of the last step.

    Args:
        folder: the sweep's folder.
        finals: one entry for each value of the axes that change the data, as `final.json` has them.
        exit_code: 0 if all runs are done, 3 if some are not, 130 if interrupted.
        notes: what a user should know.
    """

    folder: Path
    finals: list[dict[str, Any]]
    exit_code: int
    notes: list[str]

    def document(self) -> dict[str, Any]:
        """Return what `recrun final --json` prints."""
        final = self.finals[0] if len(self.finals) == 1 else None
        return {"sweep": str(self.folder), "final": final, "finals": self.finals, "notes": self.notes}


def run_final(
    path: str | Path, wish: Wish, make_engine: MakeEngine, *, jobs: int | None = 1, tell: Told | None = None
) -> Finished:
    """Make the last step of a sweep, or continue it: what is done is neither trained nor scored again.

    After the first SIGINT, SIGTERM or SIGHUP the running trials save and stop; the second kills them.

    Args:
        path: the sweep's folder.
        wish: what is asked for.
        make_engine: makes the engine that runs the trials.
        jobs: how many run at once; None for as many as the engine's own default.
        tell: is called with a line on each run that begins or ends.

    Raises:
        ConfigError: the sweep is unfinished, running, or chose nothing; or it cannot be trained without validation.
        CheckpointError: the sweep or one of its runs is damaged.
        TrainingError: the engine failed.
    """
    wish.check()
    folder = sweep_folder(path)
    lock = SweepLock(folder, say=tell)
    try:
        record = read_record(folder)
        choices = read_choices(folder, wish.point)
        runs = folder.parent.parent
        before, earlier = record["finals"], record["earlier"]
        finals = [
            plan_final(each, runs, train_only=wish.train_only, trust=wish.trust, n_seeds=wish.seeds, before=before)
            for each in choices
        ]
        has_changed = bool(before) and {each["digest"] for each in before} != {each.digest for each in finals}
        if has_changed and not wish.again:
            return _as_before(folder, finals, before)
        if has_changed:
            earlier = [*earlier, *before]
        begun = {each["digest"]: each.get("at") for each in before}
        for final in finals:
            final.at = str(begun.get(final.digest) or now())
        work = _Work(folder, finals, earlier, tell or (lambda text: None))
        code = work.run(make_engine, jobs)
        return Finished(folder, [document_of(each) for each in finals], code, list(_notes(finals)))
    finally:
        lock.release()


def _as_before(folder: Path, finals: Sequence[LastStep], before: Sequence[dict[str, Any]]) -> Finished:
    """Return the last step that there was, and say that it would be another one now."""
    at = str(before[0].get("at"))[:10]
    now_ = ", ".join(_described(each.choice.settings) for each in finals)
    how = "on train and valid" if finals[0].is_trained else "on train alone"
    note = f"the last step of {at} is of another choice; now it would be {now_}, trained {how}: --again makes that one"
    code = ALL_DONE if all(each.get("status") == DONE for each in before) else SOME_FAILED
    return Finished(folder, list(before), code, [note])


def _notes(finals: Sequence[LastStep]) -> Iterator[str]:
    """Yield a note where more seeds were trained before than are asked for now."""
    n_further = sum(final.n_further for final in finals)
    if n_further:
        yield f"{counted(n_further, 'run')} with further seeds, scored on test before, stay in the means"


def _described(settings: Any) -> str:
    return " ".join(f"{key}={value}" for key, value in settings.items()) or "the same settings"


class _Work:
    """Runs what is left of the last step, and keeps its record.

    Args:
        folder: the sweep's folder, whose lock is held.
        finals: the last steps.
        earlier: those of other choices before.
        tell: is called with a line on each run that begins or ends.
    """

    def __init__(self, folder: Path, finals: Sequence[LastStep], earlier: Sequence[Any], tell: Told) -> None:
        self._folder, self._finals, self._earlier, self._tell = folder, finals, earlier, tell
        self._requests = StopRequests()

    def run(self, make_engine: MakeEngine, jobs: int | None) -> int:
        """Run everything that is not done, and return the exit code."""
        self._save()
        waiting = open_trials(self._finals)
        if waiting:
            engine = make_engine(None if jobs is None else min(jobs, len(waiting)))
            try:
                with self._requests:
                    self._loop(waiting, engine)
            except BaseException:
                with suppress(Exception):
                    engine.stop()
                raise
        self._record_choices()
        self._save()
        if not open_trials(self._finals):
            return ALL_DONE
        return INTERRUPTED_EXIT if self._requests.count else SOME_FAILED

    def _loop(self, waiting: list[FinalTrial], engine: Engine) -> None:
        numbers = {trial.name: number for number, trial in enumerate(waiting)}
        running = {numbers[trial.name]: trial for trial in waiting if self._adopt(numbers[trial.name], trial, engine)}
        waiting, served = [trial for trial in waiting if numbers[trial.name] not in running], 0
        while running or (waiting and not self._requests.count):
            while waiting and not self._requests.count and asked(engine.has_room):
                trial = waiting.pop(0)
                running[numbers[trial.name]] = trial
                self._start(numbers[trial.name], trial, engine)
            if self._requests.count > served:
                served = self._requests.count
                asked(engine.stop if served == 1 else engine.kill)
            for ended, outcome in take_ended(engine, running):
                self._end(ended, outcome, stopped=served > 0)
            if running:
                time.sleep(_POLL_SECONDS)

    def _log(self, trial: FinalTrial) -> Path:
        return self._folder / "trials" / f"{trial.name}.log"

    def _adopt(self, number: int, trial: FinalTrial, engine: Engine) -> bool:
        """Take over the process of a trial that an earlier, killed command started, if it still runs."""
        if not asked(engine.adopt, Job(number, (), self._log(trial))):
            return False
        trial.status, trial.cause = RUNNING, None
        self._tell(f"seed {trial.crowned.settings.get('seed')} still runs: {trial.run.path}")
        return True

    def _start(self, number: int, trial: FinalTrial, engine: Engine) -> None:
        config_file = self._folder / "trials" / f"{trial.name}.yaml"
        command = trial.command(self._folder.parent.parent, config_file)
        trial.status, trial.cause = RUNNING, None
        self._save()
        what = "scored on test" if trial.config is None else "continued" if trial.is_continued else "trained"
        self._tell(f"seed {trial.crowned.settings.get('seed')} is {what}: {trial.run.path}")
        threads = threads_of(trial.crowned.settings, engine.jobs)
        asked(engine.start, Job(number, tuple(command), self._log(trial), threads))

    def _end(self, trial: FinalTrial, outcome: Outcome, *, stopped: bool) -> None:
        """Take what a process left; what its run holds counts, not its exit code alone."""
        code = exit_code_in(trial.run) if outcome.is_adopted else outcome.exit_code
        if code is None or code <= 0:
            trial.look()  # one that was killed may have recorded before that it is done
        if trial.is_open:
            was_stopped = code == INTERRUPTED_EXIT or (stopped and code is not None and ended_by(code) is not None)
            trial.status = INTERRUPTED if was_stopped else FAILED
            trial.cause = "stopped; the same command continues it" if was_stopped else self._why(trial, outcome, code)
        self._tell(
            f"seed {trial.crowned.settings.get('seed')} {trial.status}{f': {trial.cause}' if trial.cause else ''}"
        )
        self._save()

    def _why(self, trial: FinalTrial, outcome: Outcome, code: int | None) -> str:
        """Return why a trial failed."""
        if code is None:
            return outcome.error or "it was ended; the same command continues it"
        if code == 0:
            return f"ended without metrics on test in {trial.run.path}"
        return explain_failure(code, self._log(trial), outcome.log_offset)

    def _record_choices(self) -> None:
        """Record in each finished run how it was chosen, unless it is recorded."""
        for final in self._finals:
            choice = final.choice
            content = {
                "sweep": str(self._folder),
                "point": choice.point,
                "settings": dict(choice.settings),
                "chosen_by": choice.document(),
                "best_epochs": [trial.best_epoch for trial in choice.trials],
                "runs": [str(trial.run.path) for trial in choice.trials],
            }
            for trial in final.trials:
                if trial.status == DONE:
                    with suppress(CheckpointError, OSError):  # a run that was moved away meanwhile
                        if "final_of" not in trial.run.read_run():
                            trial.run.update_run(final_of=content)

    def _save(self) -> None:
        write_record(self._folder, self._finals, self._earlier)
