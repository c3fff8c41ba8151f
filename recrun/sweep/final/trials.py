"""Make the trials of the last step: their configs, where their runs are, and the commands that train or score them."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from recrun.config.reading import Given
from recrun.config.resolve import resolve_given
from recrun.config.same_settings import sweep_identity, without_run
from recrun.config.yaml_writer import dump_mapping
from recrun.errors import CheckpointError, ConfigError
from recrun.evaluation.protocol_text import on_split
from recrun.files import atomic_write
from recrun.registry import SCHEDULERS
from recrun.runs.folder import RunFolder
from recrun.runs.provenance import refuse_strange_code
from recrun.runs.records import read_json
from recrun.sweep.final.choice import Choice, Crowned, epochs_of
from recrun.sweep.final.seeds import MOST, n_seeds_with, with_seeds
from recrun.sweep.points import Values
from recrun.sweep.row import DONE, INTERRUPTED, PENDING
from recrun.sweep.same_data import DataFiles
from recrun.sweep.storage import as_argument
from recrun.sweep.trial_results import (
    CAN_GO_ON,
    attempt_id,
    attempts_in,
    holds_config,
    is_number,
    read_result,
    recorded_status,
    run_folder,
)

SUFFIX: Final = "-final"
"""What is added to the description of the sweep's runs."""


@dataclass
class FinalTrial:
    """A run of the last step.

    Args:
        crowned: the trial of the sweep whose settings and seed it has.
        name: names its files in the sweep's folder.
        config: its config; None for a trial of the sweep that is only scored on test.
        run: its run folder.
        is_continued: whether that is there, with a state to go on from.
        status: pending, running, done, failed or interrupted.
        test: the metrics on test, once done.
        cause: why it failed or was interrupted.
        is_of_search: whether the search had a trial with its seed.
    """

    crowned: Crowned
    name: str
    config: Mapping[str, Any] | None
    run: RunFolder
    is_continued: bool = False
    status: str = PENDING
    test: Values | None = None
    cause: str | None = None
    is_of_search: bool = True

    def document(self) -> dict[str, Any]:
        """Return what is recorded of it."""
        return {
            "trial": self.crowned.index if self.is_of_search else None,
            "seed": self.crowned.settings.get("seed"),
            "overrides": dict(self.crowned.overrides),
            "run": str(self.run.path) if self.status != PENDING else None,
            "status": self.status,
            "test": None if self.test is None else dict(self.test),
            "cause": self.cause,
        }

    def command(self, runs: Path, config_file: Path) -> list[str]:
        """Return the command that trains it, or that scores it on test, and write its config."""
        recrun = [sys.executable, "-m", "recrun"]
        if self.config is None:
            return [*recrun, "eval", "--checkpoint", str(self.run.path), "--split", "test", "--json", "--quiet"]
        atomic_write(config_file, dump_mapping(without_run(self.config)))
        again = ["resume=true"] if self.is_continued else []
        options = ["--runs", str(runs), "--json", "--keep-latest"]
        return [*recrun, "train", as_argument(config_file), f"id={self.run.path.name}", *again, *options]

    def look(self) -> None:
        """Take what its run has reached."""
        self.test = _scored(self.run) if self.config is None else _tested(self.run)
        if self.test is not None:
            self.status, self.cause = DONE, None

    @property
    def is_open(self) -> bool:
        """Whether something is left to be done."""
        return self.status != DONE


@dataclass
class LastStep:
    """The last step of one choice.

    Args:
        choice: the point.
        digest: of its configs, which tells it from the last steps of other choices.
        epochs: for how many epochs it is trained; None if it is not trained by epochs, or only scored.
        trials: its runs.
        at: when it was begun.
        n_seeds: how many seeds were asked for; None for those of the search.
        n_further: how many of its runs have seeds beyond these, and are done.
    """

    choice: Choice
    digest: str
    epochs: int | None
    trials: list[FinalTrial] = field(default_factory=list)
    at: str = ""
    n_seeds: int | None = None
    n_further: int = 0

    @property
    def is_trained(self) -> bool:
        """Whether the point is trained on train and valid, rather than its trials scored as they are."""
        return self.trials[0].config is not None


def plan_final(
    choice: Choice,
    runs: Path,
    *,
    train_only: bool,
    trust: bool = False,
    n_seeds: int | None = None,
    before: Sequence[Mapping[str, Any]] = (),
) -> LastStep:
    """Return the last step of a choice, with what is done of it already.

    Args:
        choice: the point.
        runs: the folder of all runs.
        train_only: whether the trials of the point are only scored on test, and nothing is trained.
        trust: whether code of the user's own that the runs name may be run although it was not run here before.
        n_seeds: how many seeds it is trained with; None for as many as it was before, or as the search had.
        before: the last steps that there were. What they have trained is kept, whatever `n_seeds` is.

    Raises:
        ConfigError: it cannot be trained without validation, or its data has changed.
        CheckpointError: a run is damaged, or names code that may not be run.
    """
    files, changes = DataFiles(), list[str]()
    for each in choice.trials:
        refuse_strange_code(f"the run {each.run.path}", each.settings, named=(), trust=trust)
        changes += files.changes(each.run, each.settings)
    if changes:
        told = "; ".join(dict.fromkeys(changes))
        raise ConfigError(f"the data of {choice.folder} has changed since it was swept: {told}; repeat the sweep first")
    if train_only:
        content: list[Any] = [[str(each.run.path.name) for each in choice.trials], "train"]
        final = LastStep(choice, _digest(content), None)
        final.trials = [
            FinalTrial(each, f"final-{final.digest}-{k}", None, each.run) for k, each in enumerate(choice.trials)
        ]
    else:
        epochs = epochs_of(choice.trials)
        configs = [_config(each, epochs) for each in choice.trials]
        final = LastStep(choice, _digest([sweep_identity(config, ()) for config in configs]), None)
        final.epochs = epochs if "stop_epoch" in configs[0] else None
        _add_trials(final, runs, epochs, n_seeds, [each for each in before if each["digest"] == final.digest])
    for trial in final.trials:
        trial.look()
    return final


def _add_trials(
    final: LastStep, runs: Path, epochs: int, n_seeds: int | None, before: Sequence[Mapping[str, Any]]
) -> None:
    """Add the runs that are asked for, and those with further seeds that the last step before has done.

    A run that was scored on test stays in the means: seeds are not chosen by their numbers on test.
    """
    chosen = final.choice.trials
    recorded = next((each.get("n_seeds") for each in before), None)
    final.n_seeds = recorded if n_seeds is None and type(recorded) is int and 0 < recorded <= MOST else n_seeds
    wanted = with_seeds(chosen, final.n_seeds)
    known = n_seeds_with(chosen, (trial.get("seed") for each in before for trial in each["trials"]))
    further = with_seeds(chosen, max(known, final.n_seeds or 0)) if known else {}
    for number, crowned in dict(sorted({**further, **wanted}.items())).items():
        trial = _placed(crowned, _config(crowned, epochs), runs, f"{final.digest}-{number}")
        trial.is_of_search = number < len(chosen)
        trial.look()
        if number in wanted or not trial.is_open:
            final.trials.append(trial)
            final.n_further += number not in wanted


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _config(crowned: Crowned, epochs: int) -> dict[str, Any]:
    """Return the config of a run on train and valid.

    Raises:
        ConfigError: it cannot be trained without validation.
    """
    settings = dict(crowned.settings)
    scheduler = settings.get("lr_scheduler")
    if isinstance(scheduler, str) and SCHEDULERS.describe(scheduler).traits.needs_value:
        raise ConfigError(
            f"lr_scheduler: {scheduler} of {crowned.run.path} follows the validation metric, of which there is none "
            "once valid is trained on; with --train-only, the runs of the sweep are scored on test as they are"
        )
    changed: dict[str, Any] = {
        "description": f"{settings.get('description') or settings.get('model')}{SUFFIX}",
        "train_on": "train_valid",
        "eval_valid": False,
        "eval_test": True,
    }
    if "epochs" in settings:
        changed |= {"early_stop_patience": None, "stop_epoch": epochs}
    if settings.get("eval_users_on") == "valid":
        changed |= {"eval_users": None, "eval_users_seed": 1, "eval_users_on": "valid_test"}
    given = {str(key): Given(value) for key, value in (without_run(settings) | changed).items()}
    return dict(resolve_given(given, str(crowned.run.config_file)).config)


def _placed(crowned: Crowned, config: Mapping[str, Any], runs: Path, id: str) -> FinalTrial:
    """Return a run of the last step: the one that is done, else one to go on with, else a new one."""
    known = attempts_in(run_folder(runs, config, id).path.parent).get(id, [])
    name, found = f"final-{id}", list[FinalTrial]()
    for attempt in known:
        run = run_folder(runs, config, attempt_id(id, attempt))
        if not holds_config(run, config):
            continue
        if read_result(run) is not None:
            return FinalTrial(crowned, name, config, run)
        if recorded_status(run) in (*CAN_GO_ON, DONE):
            found.append(FinalTrial(crowned, name, config, run, is_continued=True, status=INTERRUPTED))
    if found:
        return found[-1]
    next_id = attempt_id(id, known[-1] + 1 if known else 1)
    return FinalTrial(crowned, name, config, run_folder(runs, config, next_id))


def _tested(run: RunFolder) -> Values | None:
    """Return the metrics on test of a run that is done."""
    result = read_result(run)
    return _numbers(None if result is None else result.get("test"))


def _scored(run: RunFolder) -> Values | None:
    """Return the metrics of the first evaluation of a run's best model on test that was completed as the run would be.

    An evaluation on test that was made before, by whatever command, counts: test is not scored again.
    """
    try:
        record, result = run.read_run(), read_json(run.metrics_file)
    except CheckpointError:
        return None
    monitors, entries = run.read_settings().get("monitors"), record.get("test_evaluations")
    wanted = [name for name in monitors if name != "loss"] if isinstance(monitors, list) else []
    for entry in entries if isinstance(entries, list) else []:
        metrics = entry.get("metrics") if isinstance(entry, dict) else None
        if not isinstance(metrics, dict) or entry.get("checkpoint") != "best":
            continue
        if entry.get("protocol") == on_split(result.get("protocol"), "test") and all(
            name in metrics for name in wanted
        ):
            return _numbers(metrics)
    return None


def _numbers(values: Any) -> Values | None:
    if not isinstance(values, dict) or not values:
        return None
    return {str(name): float(value) if is_number(value) else None for name, value in values.items()}


def open_trials(finals: Sequence[LastStep]) -> list[FinalTrial]:
    """Return the trials of which something is left to be done."""
    return [trial for final in finals for trial in final.trials if trial.is_open]
