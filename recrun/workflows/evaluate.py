"""Evaluate a checkpoint on validation or test, and record every evaluation on test in its run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from recrun.config.find import read_overrides
from recrun.config.resolve import Resolved, resolve_given
from recrun.config.settings import OF_EVALUATION, PROTOCOL
from recrun.config.suggestions.keys import meant_setting
from recrun.config.yaml_reader import Given
from recrun.errors import CheckpointError, ConfigError
from recrun.evaluation.protocol import Protocol
from recrun.metrics.per_user import PerUser
from recrun.metrics.undefined import as_nulls, undefined_entry
from recrun.runs.checkpoint import load_checkpoint
from recrun.runs.find import locate_checkpoint
from recrun.runs.folder import RunFolder
from recrun.runs.per_user import add_per_user
from recrun.runs.provenance import refuse_strange_code
from recrun.runs.record_lock import changing
from recrun.runs.user_groups import write_user_groups
from recrun.training.checkpoint_state import last_line, refuse_other_data
from recrun.training.coach import Coach
from recrun.training.reporter import Reporter
from recrun.training.run_record import protocol_entry, rows_scored
from recrun.training.run_settings import RunSettings
from recrun.workflows.build import build

_EVALUATED: Final = ("dataset", "split", "model", "monitors", "which4best")
"""The settings that may name code which an evaluation runs."""


def evaluate(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    split: str = "test",
    reporters: Sequence[Reporter] = (),
    trust: bool = False,
) -> dict[str, Any]:
    """Score a checkpoint on one split; an evaluation on test is recorded in its run.

    Args:
        path: a run folder, one of its checkpoints, or a checkpoint file.
        overrides: `KEY=VALUE` for the settings of evaluation (`OF_EVALUATION`).
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
    run, file = locate_checkpoint(path)
    content = load_checkpoint(file)
    resolved = _resolve_checkpoint(file, content, overrides, trust=trust)
    protocol, of_run = Protocol.of(resolved.config), Protocol.of(content["config"])
    coach = _build_to_evaluate(resolved, file, content, of_run)
    if not coach.dataset.base.describe()[split]:
        raise ConfigError(f"the data has no {split} part to evaluate on")
    settings = RunSettings.read(resolved.config, resolved.config.monitors, coach.model, coach.dataset.base)
    protocol.check(coach.dataset.base, [split])
    entry = _enter(run, file) if split == "test" and run is not None else None
    values = coach.score(split, settings, resolved.config.monitors, reporters)
    if entry is not None and run is not None:
        run.end_test_evaluation(entry, values, **protocol_entry(protocol, coach.dataset.base))
    per_user = coach.evaluator.per_user.get(split) if protocol.choice == of_run.choice else None
    kept = None if run is None else _keep_per_user(run, file, split, per_user, coach)
    return {
        "run": None if run is None else str(run.path),
        "checkpoint": str(file),
        "split": split,
        "metrics": as_nulls(values),
        **undefined_entry({split: values}),
        **({"groups": coach.evaluator.groups[split]} if settings.groupings else {}),
        "users": coach.state.users[split][0],
        "per_user": kept,
        **protocol_entry(protocol, coach.dataset.base),
        **{key: counts[split] for key, counts in rows_scored(coach.parts, coach.settings, coach.state).items()},
    }


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


def _resolve_checkpoint(file: Path, content: dict[str, Any], overrides: Sequence[str], *, trust: bool) -> Resolved:
    """Return the config in a checkpoint, with the overrides of evaluation applied."""
    config = content.get("config")
    if not all(isinstance(content.get(part), dict) for part in ("config", "data", "model")) or config is None:
        raise CheckpointError(f"{file} holds no model with its config")
    given = read_overrides(overrides)
    if "monitors" in given and "which4best" not in given:
        config["which4best"] = None
    if not given.keys().isdisjoint(("candidates", "candidates_path")):  # another protocol is given as a whole
        config = {key: value for key, value in config.items() if key not in PROTOCOL}
    named = {key: config[key] for key in _EVALUATED if ".py:" in str(config.get(key))}
    faults = [
        value.fault(
            "cannot be changed for an evaluation; only settings of evaluation can",
            key,
            meant_setting(key, OF_EVALUATION),
        )
        for key, value in given.items()
        if key not in OF_EVALUATION and key not in named
    ]
    if faults:
        raise ConfigError(faults)
    refuse_strange_code(str(file), named, named=given, trust=trust)
    carried = {str(key): Given(value) for key, value in config.items()}
    return resolve_given(carried | given, str(file))


def _build_to_evaluate(resolved: Resolved, file: Path, content: dict[str, Any], of_run: Protocol) -> Coach:
    """Build the data set and the model of a checkpoint, and load its weights; other candidates are no other data."""
    try:
        coach = build(resolved, to_train=False)
    except (RuntimeError, MemoryError) as error:
        raise CheckpointError(f"the model of {file} cannot be built: {last_line(error)}") from error
    before, now, protocol = dict(content["data"]), dict(coach.dataset.base.hashes), Protocol.of(resolved.config)
    if protocol.choice != of_run.choice:
        before.pop(of_run.path, None)
        now.pop(str(protocol.path), None)
    refuse_other_data(f"the model of {file}", before, now)
    try:
        coach.model.load_state_dict(content.pop("model"))  # a large model is not held twice while it is scored
    except (RuntimeError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file} does not fit its config and data: {last_line(error)}") from None
    return coach


def _enter(run: RunFolder, file: Path) -> int:
    """Record in run.json that an evaluation on test begins; return the index of the entry."""
    try:
        return run.begin_test_evaluation(file.parent.name, by="eval")
    except OSError as error:
        raise CheckpointError(
            f"an evaluation on test must be recorded in {run.run_file}, which cannot be written: {error.strerror}; "
            "use --split valid, or a copy of the run"
        ) from error
