"""Estimate what a study costs: train the first point of each lane for two epochs, and scale the times up."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from recrun.config.same_settings import without_run
from recrun.config.yaml_writer import dump_mapping
from recrun.errors import TrainingError
from recrun.files import atomic_write
from recrun.report.terminal.lines import duration
from recrun.runs.cost import epochs_of, run_seconds
from recrun.runs.history import read_history
from recrun.sweep.engines import processes
from recrun.sweep.engines.local import child_environment, threads_of
from recrun.sweep.planning.lanes import longest_of
from recrun.sweep.planning.study import Plan, Trial
from recrun.sweep.planning.trials import NO_TEST
from recrun.sweep.trial_results import explain_failure, run_folder
from recrun.training.stop_signals import Interrupted, StopRequests

EPOCHS: Final = 2
"""How many epochs are timed; more where the first evaluation comes later."""
SHOWN: Final = 3
"""How many points are shown."""
_ID: Final = "estimate"
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Measured:
    """What the short trial of one lane took.

    Args:
        trial: its number.
        settings: its settings.
        epochs: how many epochs it trained; 0 of a model that is fitted in closed form.
        epoch: the seconds of the last of them.
        evaluation: the seconds of the last evaluation.
        rest: the seconds of everything else: to start, to read the data, to save.
    """

    trial: int
    settings: Mapping[str, Any]
    epochs: int
    epoch: float
    evaluation: float
    rest: float

    def seconds(self, config: Mapping[str, Any]) -> float:
        """Return what a trial with a config takes by this."""
        return run_seconds(config, epoch=self.epoch, evaluation=self.evaluation, rest=self.rest)


@dataclass(frozen=True)
class Estimate:
    """What a study takes.

    Args:
        n_points: how many points it has.
        n_trials: how many trials.
        epochs: how many epochs they train.
        is_most: whether that is the most, because trials may end early.
        points: the settings of the first points.
        measured: what was timed.
        jobs: how many trials run at once.
        seconds: how long it takes with these.
    """

    n_points: int
    n_trials: int
    epochs: int
    is_most: bool
    points: list[Mapping[str, Any]]
    measured: list[Measured]
    jobs: int
    seconds: float

    def document(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


def estimate(plan: Plan, jobs: int, say: Callable[[str], None] = lambda text: None) -> Estimate:
    """Return what a study takes, by one short trial of each of its lanes. Its runs folder is not touched.

    Args:
        plan: the study.
        jobs: how many trials run at once.
        say: is told what is being timed.

    Raises:
        TrainingError: a short trial failed.
        Interrupted: it was interrupted.
    """
    longest = longest_of(plan.checked)
    trials = [_first(plan, lane.number) for lane in plan.lanes]
    measured = []
    with StopRequests() as requests:
        for trial in trials:
            say(f"timing a short trial{'' if len(trials) == 1 else f' of {_text(trial.shown)}'} ...")
            measured.append(_timed(plan, trial, jobs, requests))
    costs, n_epochs = [], 0
    for lane, each in zip(plan.lanes, measured, strict=True):
        known = [trial.config for trial in plan.trials if trial.lane == lane.number]
        configs = known if lane.draws is not None else [longest[lane.number]] * (lane.n_points * len(lane.repeats))
        costs += [each.seconds(config) for config in configs]
        n_epochs += sum(map(epochs_of, configs))
    total = sum(costs)
    most_epochs = plan.settled.procedure.max_epochs
    if most_epochs is not None and n_epochs > most_epochs:
        total, n_epochs = total * most_epochs / n_epochs, most_epochs
    seconds = max(total / jobs, max(costs, default=0.0))
    if plan.limits.max_hours is not None:
        seconds = min(seconds, 3600 * plan.limits.max_hours)
    return Estimate(
        n_points=sum(lane.n_points for lane in plan.lanes),
        n_trials=plan.most_at_once,
        epochs=n_epochs,
        is_most=_may_end_early(plan),
        points=[{**point.data, **point.choices} for point in plan.points[:SHOWN]],
        measured=measured,
        jobs=jobs,
        seconds=seconds,
    )


def _may_end_early(plan: Plan) -> bool:
    is_scheduled = any(lane.schedule is not None and lane.schedule.adapts for lane in plan.lanes)
    return is_scheduled or any(config.get("early_stop_patience") is not None for _, config in plan.checked)


def _first(plan: Plan, number: int) -> Trial:
    """Return the first trial of a lane; a point that depends on no result is drawn for it."""
    lane = plan.lanes[number]
    if lane.draws is None and lane.sampler is not None:
        draw = lane.sampler.draw([])
        if draw is not None:
            plan.add_point(number, draw)
    return next(trial for trial in plan.trials if trial.lane == number)


def _timed(plan: Plan, trial: Trial, jobs: int, requests: StopRequests) -> Measured:
    """Train a trial for a short time in a folder that is removed, and return what it took."""
    with tempfile.TemporaryDirectory(prefix="recrun-estimate-") as name:
        folder = Path(name)
        config, log = folder / "config.yaml", folder / "log.txt"
        atomic_write(config, dump_mapping(without_run(trial.config)))
        settings = [*trial.arguments, *([] if plan.is_tested else [NO_TEST]), f"id={_ID}"]
        settings += ["track=[]"] if trial.config.get("track") else []
        pause = ["--until", str(EPOCHS)] if epochs_of(trial.config) > EPOCHS else []
        options = ["--no-plots", "--keep-latest", "--json", "--runs", str(folder / "runs"), *pause]
        begun = time.monotonic()
        _run([sys.executable, "-m", "recrun", "train", str(config), *settings, *options], trial, jobs, log, requests)
        seconds = time.monotonic() - begun
        lines = list(read_history(run_folder(folder / "runs", trial.config, _ID).metrics_lines_file))
    trained = [line["seconds"] for line in lines if line["split"] == "train"]
    evaluated = [line["seconds"] for line in lines if line["split"] != "train"]
    if not epochs_of(trial.config):
        return Measured(trial.index, trial.shown, 0, 0.0, 0.0, seconds)
    rest = max(0.0, seconds - sum(trained) - sum(evaluated))
    return Measured(
        trial.index,
        trial.shown,
        len(trained),
        trained[-1] if trained else 0.0,
        evaluated[-1] if evaluated else 0.0,
        rest,
    )


def _run(command: list[str], trial: Trial, jobs: int, log: Path, requests: StopRequests) -> None:
    with log.open("wb") as output:
        process = processes.start(command, output, child_environment(threads_of(trial.config, jobs)), ())
        try:
            while process.poll() is None and not requests.count:
                time.sleep(_POLL_SECONDS)
        finally:
            processes.kill_with_children(process)
            code = process.wait()
    if requests.count:
        raise Interrupted("interrupted; nothing was kept")
    if code != 0:
        cause = explain_failure(code, log, 0)
        raise TrainingError(
            f"a short trial of {_text(trial.shown) or 'the config'} failed, so no cost is known: {cause}"
        )


def _text(settings: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in settings.items())


def lines_of(found: Estimate) -> Iterator[str]:
    """Yield an estimate as lines of text: how many trials there are, the first points, and what was measured."""
    most = "at most " if found.is_most else ""
    yield f"trials: {found.n_trials:,} of {found.n_points:,} points, {most}{found.epochs:,} epochs"
    for number, point in enumerate(found.points):
        if point:
            yield f"point {number}: {_text(point)}"
    if found.n_points > len(found.points):
        yield f"... {found.n_points - len(found.points):,} more"
    for each in found.measured:
        name = f"measured: trial {each.trial}"
        if not each.epochs:
            yield f"{name} was fitted in {duration(each.rest)}"
        else:
            yield (
                f"{name} trained {each.epochs} epochs: {duration(each.epoch)} for the last, "
                f"{duration(each.evaluation)} for an evaluation, {duration(each.rest)} to start and end"
            )
    at_once = "one trial at a time" if found.jobs == 1 else f"{found.jobs} trials at once, as if none slowed another"
    yield f"estimate: {most}{duration(found.seconds)} with {at_once}"
