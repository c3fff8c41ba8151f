"""Train the point that a sweep chose on train and valid, for each of its seeds, and score test once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from recrun.errors import CheckpointError, ConfigError, Fault
from recrun.report.terminal.lines import counted
from recrun.runs.folder import now
from recrun.sweep.adopted import exit_code_in
from recrun.sweep.engines.engine import Engine, Job, MakeEngine, Outcome
from recrun.sweep.engines.job_loop import JobLoop
from recrun.sweep.engines.local import threads_of
from recrun.sweep.engines.processes import ended_by
from recrun.sweep.final.choice import read_choices, sweep_folder
from recrun.sweep.final.record import document_of, read_record, write_record
from recrun.sweep.final.seeds import MOST
from recrun.sweep.final.trials import FinalTrial, LastStep, open_trials, plan_final
from recrun.sweep.locks.lock import SweepLock
from recrun.sweep.row import DONE, FAILED, INTERRUPTED, PENDING, RUNNING
from recrun.sweep.storage import open_folder, writing
from recrun.sweep.trial_results import INTERRUPTED_EXIT, explain_failure
from recrun.training.stop_signals import StopRequests

ALL_DONE: Final = 0
SOME_FAILED: Final = 3

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
        open_folder(folder, folder / "trials")
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
        work = _Work(lock, folder, finals, earlier, tell or (lambda text: None))
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
    """What is left of the last step, and its record.

    Args:
        lock: the sweep's lock, which is held.
        folder: the sweep's folder.
        finals: the last steps.
        earlier: those of other choices before.
        tell: is called with a line on each run that begins or ends.
    """

    def __init__(
        self, lock: SweepLock, folder: Path, finals: Sequence[LastStep], earlier: Sequence[Any], tell: Told
    ) -> None:
        self.lock, self.folder, self.tell = lock, folder, tell
        self._finals, self._earlier = finals, earlier

    def run(self, make_engine: MakeEngine, jobs: int | None) -> int:
        """Run everything that is not done, and return the exit code."""
        self.save()
        waiting = open_trials(self._finals)
        with StopRequests() as requests:
            if waiting:
                engine = make_engine(None if jobs is None else min(jobs, len(waiting)))
                _FinalLoop(engine, waiting, self).run(requests)
            self._record_choices()
            self.save()
        if not open_trials(self._finals):
            return ALL_DONE
        return INTERRUPTED_EXIT if requests.count else SOME_FAILED

    def save(self) -> None:
        """Write the record, which is no longer this process's to write if another has taken the sweep over."""
        self.lock.check()
        write_record(self.folder, self._finals, self._earlier)

    def _record_choices(self) -> None:
        """Record in each finished run how it was chosen, unless it is recorded."""
        for final in self._finals:
            choice = final.choice
            content = {
                "sweep": str(self.folder),
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


class _FinalLoop(JobLoop[FinalTrial]):
    """Runs the trials of the last step in their order.

    Args:
        engine: where they run.
        trials: those that are not done.
        work: what they belong to, with its record.
    """

    def __init__(self, engine: Engine, trials: Sequence[FinalTrial], work: _Work) -> None:
        super().__init__(engine)
        self._waiting, self._work = list(trials), work
        self._numbers = {trial.name: number for number, trial in enumerate(trials)}

    def waiting(self) -> list[FinalTrial]:
        """Return the trials that an earlier process may have started."""
        return list(self._waiting)

    def take(self) -> FinalTrial | None:
        """Return the next trial."""
        return self._waiting.pop(0) if self._waiting else None

    def known_job(self, trial: FinalTrial) -> Job:
        """Return the job of a trial without its command."""
        return Job(self._numbers[trial.name], (), self._work.folder / "trials" / f"{trial.name}.log")

    def begin(self, trial: FinalTrial) -> Job:
        """Record that a trial is about to start, and return its job."""
        job, folder = self.known_job(trial), self._work.folder
        with writing(folder, has_begun=True):
            command = trial.command(folder.parent.parent, job.log.with_suffix(".yaml"))
        trial.status, trial.cause = RUNNING, None
        self.save()
        what = "scored on test" if trial.config is None else "continued" if trial.is_continued else "trained"
        self._tell(trial, f"is {what}: {trial.run.path}")
        return replace(job, command=tuple(command), threads=threads_of(trial.crowned.settings, self.engine.jobs))

    def not_started(self, trial: FinalTrial) -> None:
        """Leave a trial to the next command."""
        trial.status = INTERRUPTED if trial.is_continued else PENDING

    def adopted(self, trial: FinalTrial) -> None:
        """Record that a trial runs which an earlier, killed command has started."""
        self._waiting.remove(trial)
        trial.status, trial.cause = RUNNING, None
        self._tell(trial, f"still runs: {trial.run.path}")

    def record_end(self, trial: FinalTrial, outcome: Outcome) -> None:
        """Record what a process left; what its run holds counts, not its exit code alone."""
        code = exit_code_in(trial.run) if outcome.is_adopted else outcome.exit_code
        if code is None or code <= 0:
            trial.look()  # one that was killed may have recorded before that it is done
        if trial.is_open:
            was_stopped = code == INTERRUPTED_EXIT or (self.stops and code is not None and ended_by(code) is not None)
            trial.status = INTERRUPTED if was_stopped else FAILED
            trial.cause = "stopped; the same command continues it" if was_stopped else self._why(trial, outcome, code)
        self._tell(trial, f"{trial.status}{f': {trial.cause}' if trial.cause else ''}")
        self.save()

    def _why(self, trial: FinalTrial, outcome: Outcome, code: int | None) -> str:
        """Return why a trial failed."""
        if code is None:
            return outcome.error or "it was ended; the same command continues it"
        if code == 0:
            return f"ended without metrics on test in {trial.run.path}"
        return explain_failure(code, self.known_job(trial).log, outcome.log_offset)

    def save(self) -> None:
        """Write the record of the last step."""
        self._work.save()

    def check(self) -> None:
        """Raise an error if another process has taken the sweep over."""
        self._work.lock.check()

    def _tell(self, trial: FinalTrial, text: str) -> None:
        self._work.tell(f"seed {trial.crowned.settings.get('seed')} {text}")
