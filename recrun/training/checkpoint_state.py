"""Save the state of a run in its checkpoints, and restore it on resume.

`last` is the complete state, `best` the best model on validation. In both, the model is as it is evaluated: with the
average of its weights, if there is one; `last` then also has the weights that are trained.

They are two files, and a process can be killed after writing one and before writing the other. Therefore the best model
that `last` refers to is kept beside a newer one until the next `last` is written, and a resume puts it back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import nn

from recrun.config.same_settings import OF_TRACKING, refused_changes, settings_of_trackers
from recrun.errors import CheckpointError, DataError, TrainingError
from recrun.randomness import random_state, restore_random_state
from recrun.runs.checkpoint import load_checkpoint, save_checkpoint
from recrun.runs.folder import RunFolder
from recrun.runs.provenance import data_differences
from recrun.training.finite_checks import last_good, not_finite
from recrun.training.loop_state import Best, TrainingState
from recrun.training.run_settings import DividedState, RunParts, RunSettings
from recrun.training.saved_state import check_optimizer, check_progress, check_random_state

_SUPERSEDED: Final = ".superseded.safetensors"


def save_last(
    run: RunFolder, parts: RunParts, settings: RunSettings, state: TrainingState, history: Mapping[str, Any]
) -> None:
    """Write the complete state to `last`.

    Args:
        run: the folder of the run.
        parts: what is trained.
        settings: the settings of the run.
        state: its state.
        history: the position in its history, see `recrun.runs.history`.

    Raises:
        TrainingError: it cannot be written; the message says what is left of the run.
    """
    criterion, optimizer, lr_scheduler = parts.criterion, parts.optimizer, parts.lr_scheduler
    with parts.as_evaluated():
        content = {
            **_model_state(parts, settings),
            **({} if parts.average is None else {"average": parts.average.state_dict()}),
            "criterion": criterion.state_dict() if isinstance(criterion, nn.Module) else None,
            "optimizer": optimizer.state_dict() if optimizer is not None else None,
            "lr_scheduler": lr_scheduler.state_dict() if lr_scheduler is not None else None,
            **state.state_dict(history),
            "rng": random_state(parts.device),
        }
        _write(run, "last", content, parts)
    _forget_superseded(run)


def save_best(run: RunFolder, parts: RunParts, settings: RunSettings, epoch: int) -> None:
    """Write the best model so far to `best`.

    Raises:
        TrainingError: it cannot be written; the message says what is left of the run.
    """
    if not settings.closed_form:
        _keep_superseded(run)
    with parts.as_evaluated():
        _write(run, "best", {**_model_state(parts, settings), "epoch": epoch}, parts)


def saved_state(run: RunFolder, parts: RunParts, settings: RunSettings) -> dict[str, Any] | None:
    """Return the last saved state of the run to be resumed, or None if there is none yet.

    Raises:
        CheckpointError: the checkpoint is damaged, or was made with other settings.
        DataError: the data has changed.
    """
    file = run.checkpoint_file("last")
    saved = load_checkpoint(file, mapped=parts.divided is not None) if file.exists() else None
    if saved is not None and not all(isinstance(saved.get(part), dict) for part in ("config", "data", "model")):
        raise CheckpointError(f"{file} holds no model with its config")
    recorded = (run.read_run() if saved is None else saved).get("data")
    if recorded:
        refuse_other_data(f"the run {run.path}", recorded, parts.dataset.base.hashes)
    if saved is None:
        return None
    changes = refused_changes(saved["config"], settings.cfg)
    if changes:
        listed = "; ".join(f"{key} {change}" for key, change in changes.items())
        raise CheckpointError(f"{file} was made with other settings than the run has now: {listed}")
    return saved if parts.divided is None else _dealt(file, saved, parts.divided)


def load_best(run: RunFolder, parts: RunParts) -> None:
    """Have the model be the best one on validation.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    file = run.checkpoint_file("best")
    saved = load_checkpoint(file, mapped=parts.divided is not None)
    if parts.divided is not None:
        saved = _dealt(file, {"model": saved["model"]}, parts.divided)
    parts.model.load_state_dict(saved["model"])


def _dealt(file: Path, saved: Mapping[str, Any], divided: DividedState) -> dict[str, Any]:
    try:
        return divided.dealt(saved)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file} does not fit this run: {last_line(error)}") from error


def restore(run: RunFolder, parts: RunParts, state: TrainingState, saved: Mapping[str, Any]) -> None:
    """Restore a state that `saved_state` returned.

    Raises:
        CheckpointError: it does not fit the model, optimizer or schedule, the run cannot be where it says, or the best
            model is missing or damaged.
    """
    try:
        steps = None if parts.optimizer is None else parts.dataset.n_batches("train")
        progress = saved["progress"]
        check_progress(progress, epochs=saved["config"]["epochs"], n_steps=steps)
        if parts.optimizer is not None and saved["optimizer"] is not None:
            has_trained = (progress["epoch"], progress["step"]) > (0, 0)
            check_optimizer(parts.optimizer, saved["optimizer"], has_trained=has_trained)
        check_random_state(saved["rng"])
        parts.model.load_state_dict(saved["model"])
        if ("average" in saved) != (parts.average is not None):
            raise ValueError(f"it has {'an' if parts.average is None else 'no'} average of the weights, unlike the run")
        if parts.average is not None:
            parts.average.load_state_dict(saved["average"])
        for name in ("criterion", "optimizer", "lr_scheduler"):
            part = getattr(parts, name)
            if (saved[name] is None) != (part is None or not hasattr(part, "load_state_dict")):
                raise ValueError(f"it has {'no' if saved[name] is None else 'a'} {name}, unlike the run")
            if saved[name] is not None:
                part.load_state_dict(saved[name])
        state.load_state_dict(saved)
        restore_random_state(saved["rng"], parts.device)
        spoilt = not_finite(parts.model)
        if spoilt:
            raise ValueError(f"{spoilt[0]} holds NaN or infinity")
    except (KeyError, IndexError, RuntimeError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"{run.checkpoint_file('last')} does not fit this run: {last_line(error)}") from error
    _settle_best(run, state.best)


def _model_state(parts: RunParts, settings: RunSettings) -> dict[str, Any]:
    """Return the model, the settings it was trained with, and the hashes of the data it was trained on.

    Trackers are left out, so that the model can be used where they are not installed.
    """
    of_trackers = {*OF_TRACKING, *settings_of_trackers(settings.cfg)}
    return {
        "config": {key: value for key, value in settings.cfg.items() if key not in of_trackers},
        "data": dict(parts.dataset.base.hashes),
        "model": parts.model.state_dict(),
    }


def _write(run: RunFolder, which: str, content: Mapping[str, Any], parts: RunParts) -> None:
    try:
        whole = content if parts.divided is None else parts.divided.whole(content)
        save_checkpoint(run.checkpoint_file(which), whole)
    except CheckpointError as error:
        raise TrainingError(f"{error}. {last_good(run)}") from error


def _keep_superseded(run: RunFolder) -> None:
    """Keep the best model that `last` refers to, before a better one replaces it."""
    best = run.checkpoint_file("best")
    superseded = best.parent / _SUPERSEDED
    if not best.exists() or superseded.exists():
        return
    try:
        os.link(best, superseded)
    except OSError:  # a file system without hard links
        copy = best.parent / f"{_SUPERSEDED}.tmp"
        shutil.copyfile(best, copy)
        os.replace(copy, superseded)


def _forget_superseded(run: RunFolder) -> None:
    """Delete the model that `_keep_superseded` kept, once `last` refers to the new best model."""
    (run.checkpoint_file("best").parent / _SUPERSEDED).unlink(missing_ok=True)


def _settle_best(run: RunFolder, best: Best | None) -> None:
    """Make sure that `best` is the model that `last` refers to.

    Raises:
        CheckpointError: that model is missing or damaged.
    """
    if best is None:
        _forget_superseded(run)
        return
    file = run.checkpoint_file("best")
    superseded = file.parent / _SUPERSEDED
    if superseded.exists() and load_checkpoint(superseded).get("epoch") == best.epoch:
        os.replace(superseded, file)
        return
    found = load_checkpoint(file).get("epoch")
    if found != best.epoch:
        raise CheckpointError(
            f"{file} is the model of epoch {found}, but the best model was that of epoch {best.epoch}; "
            "the run cannot be continued without it"
        )
    _forget_superseded(run)


def refuse_other_data(who: str, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Check that the data has not changed.

    Raises:
        DataError: it has; the message names the files.
    """
    differences = data_differences(before, now)
    if differences:
        raise DataError(f"{who} was trained on other data: {'; '.join(differences)}")


def last_line(error: BaseException) -> str:
    """Return the last line of an error's text; in errors of torch it names the tensor that does not fit."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
