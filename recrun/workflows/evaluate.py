"""Evaluate a checkpoint on validation or test, and record every evaluation on test in its run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recrun.config.given.arguments import Overrides, read_overrides
from recrun.config.settings import EVALUATED_USERS
from recrun.errors import CheckpointError, ConfigError
from recrun.evaluation.protocol import Protocol
from recrun.metrics.per_user import PerUser
from recrun.metrics.undefined import as_nulls, undefined_entry
from recrun.runs.folder import RunFolder
from recrun.runs.per_user import add_per_user
from recrun.runs.record_lock import changing
from recrun.runs.user_groups import write_user_groups
from recrun.training.coach import Coach
from recrun.training.reporter import Reporter
from recrun.training.run_record import protocol_entry, rows_scored
from recrun.training.run_settings import RunSettings
from recrun.workflows.load import load


def evaluate(
    path: str | Path,
    overrides: Overrides = (),
    *,
    split: str = "test",
    reporters: Sequence[Reporter] = (),
    trust: bool = False,
) -> dict[str, Any]:
    """Score a checkpoint on one split; an evaluation on test is recorded in its run.

    Args:
        path: a run folder, one of its checkpoints, or a checkpoint file.
        overrides: `KEY=VALUE`, or Python values by key, for the settings of evaluation (`OF_EVALUATION`).
        split: "valid" or "test".
        reporters: are notified of the progress.
        trust: whether code of the user's own that the checkpoint names may be run although it was not run here before.

    Returns:
        The document of `recrun eval --json`.

    Raises:
        CheckpointError: there is no checkpoint, it does not fit its config, or it names code that may not be run.
        DataError: the data has changed since the training.
        ConfigError: an override is not a setting of evaluation, or the split is empty.
    """
    loaded = load(path, overrides, trust=trust)
    run, file, resolved, coach = loaded.run, loaded.file, loaded.resolved, loaded.coach
    protocol, of_run = Protocol.of(resolved.config), loaded.protocol_of_run
    if not coach.dataset.base.describe()[split]:
        raise ConfigError(f"the data has no {split} part to evaluate on")
    if split == "valid" and coach.dataset.base.trains_on_valid:
        raise ConfigError(f"the model of {file} was trained on valid (train_on: train_valid); use --split test")
    if given_users := [key for key in EVALUATED_USERS if key in read_overrides(overrides)]:
        _refuse_without_effect(protocol, split, given_users)
    settings = RunSettings.read(resolved.config, resolved.config.monitors, coach.model, coach.dataset.base)
    protocol.check(coach.model, coach.dataset.base, [split])
    entry = _enter(run, file) if split == "test" and run is not None else None
    values = coach.score(split, settings, resolved.config.monitors, reporters)
    per_user = coach.evaluator.per_user.get(split) if protocol.choice(split) == of_run.choice(split) else None
    kept = None if run is None else _keep_per_user(run, file, split, per_user, coach)
    if entry is not None and run is not None:
        run.end_test_evaluation(entry, values, **protocol_entry(protocol, coach.dataset.base, split))
    return {
        "run": None if run is None else str(run.path),
        "checkpoint": str(file),
        "split": split,
        "metrics": as_nulls(values),
        **undefined_entry({split: values}),
        **({"groups": coach.evaluator.groups[split]} if settings.groupings else {}),
        **({"index": coach.evaluator.searches[split]} if protocol.index is not None else {}),
        "users": coach.state.users[split][0],
        "per_user": kept,
        **protocol_entry(protocol, coach.dataset.base, split),
        **{key: counts[split] for key, counts in rows_scored(coach.parts, coach.settings, coach.state).items()},
    }


def _refuse_without_effect(protocol: Protocol, split: str, given: Sequence[str]) -> None:
    """Refuse a sample of users that is not drawn on the split that is evaluated."""
    if protocol.sample.n is not None and protocol.sample.choice(split) is None:
        message = f"would have no effect on {split}, where all users are evaluated with eval_users_on: valid"
        raise ConfigError(f"{', '.join(given)} {message}; add eval_users_on=valid_test")


def _keep_per_user(run: RunFolder, file: Path, split: str, per_user: PerUser | None, coach: Coach) -> str | None:
    """Add the metrics of each user to the files of a finished run whose best model was evaluated; return which file.

    The groups of users are added too. The metrics that the run has of each user already stay as they are.
    """
    is_final = file == run.checkpoint_file("best") and run.read_run().get("status") == "done"
    if per_user is None or not per_user.values or not is_final:
        return None
    target = run.per_user_file(split)
    try:
        with changing(run.path):
            add_per_user(run, split, per_user)
            write_user_groups(run, coach.settings.groupings, coach.dataset.base)
    except OSError as error:
        message = f"the metrics of each user are not kept: {target} cannot be written: {error.strerror}"
        logging.getLogger(__name__).warning(message)
        return None
    return str(target)


def _enter(run: RunFolder, file: Path) -> int:
    """Record in run.json that an evaluation on test begins; return the index of the entry."""
    try:
        return run.begin_test_evaluation(file.parent.name, by="eval")
    except OSError as error:
        raise CheckpointError(
            f"an evaluation on test must be recorded in {run.run_file}, which cannot be written: {error.strerror}; "
            "use --split valid, or a copy of the run"
        ) from error
