"""What the checkpoints of a run hold, and how a run takes it up again.

`last` is the whole state, `best` the model that was best on validation. They are two files, and a process can be killed
between writing the one and the other; so the best model that `last` speaks of is kept beside a newer one until the next
`last` is written, and resuming puts it back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from torch import nn

from recrun.config.same_settings import refused_changes
from recrun.errors import CheckpointError, DataError
from recrun.randomness import random_state, restore_random_state
from recrun.runs.checkpoint import load_checkpoint
from recrun.runs.folder import RunFolder
from recrun.runs.provenance import data_differences
from recrun.training.loop_state import Best, Progress

if TYPE_CHECKING:
    from recrun.training.coach import Coach

_SUPERSEDED: Final = ".superseded.safetensors"


def full_state(coach: Coach) -> dict[str, Any]:
    """Return everything that a resume needs."""
    return {
        **model_state(coach),
        "criterion": coach.criterion.state_dict() if isinstance(coach.criterion, nn.Module) else None,
        "optimizer": coach.optimizer.state_dict() if coach.optimizer is not None else None,
        "lr_scheduler": coach.lr_scheduler.state_dict() if coach.lr_scheduler is not None else None,
        "progress": coach.progress.state_dict(),
        "meters": coach.meters.state_dict("train"),
        "rng": random_state(coach.device),
    }


def model_state(coach: Coach) -> dict[str, Any]:
    """Return the model, with the settings it was made by and the hashes of the data it was trained on."""
    return {
        "config": dict(coach.cfg),
        "data": dict(coach.dataset.base.hashes),
        "model": coach.model.state_dict(),
    }


def saved_state(coach: Coach) -> dict[str, Any] | None:
    """Return the last state of the run that the Coach is to continue, or None when it has none yet.

    Raises:
        CheckpointError: a checkpoint is damaged, or was made with other settings.
        DataError: the data is not what it was.
    """
    file = coach.run.checkpoint_file("last")
    state = load_checkpoint(file) if file.exists() else None
    if state is not None and not all(isinstance(state.get(part), dict) for part in ("config", "data", "model")):
        raise CheckpointError(f"{file} holds no model with its config")
    recorded = (coach.run.read_run() if state is None else state).get("data")
    if recorded:
        refuse_other_data(f"the run {coach.run.path}", recorded, coach.dataset.base.hashes)
    if state is None:
        return None
    changes = refused_changes(state["config"], coach.cfg)
    if changes:
        listed = "; ".join(f"{key} {change}" for key, change in changes.items())
        raise CheckpointError(f"{file} was made with other settings than the run has now: {listed}")
    return state


def restore(coach: Coach, state: Mapping[str, Any]) -> None:
    """Take up a state that `full_state` returned.

    Raises:
        CheckpointError: it is not of this model, optimizer or schedule.
    """
    file = coach.run.checkpoint_file("last")
    try:
        coach.model.load_state_dict(state["model"])
        for name in ("criterion", "optimizer", "lr_scheduler"):
            part = getattr(coach, name)
            if state[name] is not None and part is not None:
                part.load_state_dict(state[name])
        coach.progress = Progress.from_state_dict(state["progress"])
        coach.meters.load_state_dict("train", state["meters"])
        restore_random_state(state["rng"], coach.device)
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file} does not fit this run: {last_line(error)}") from error
    _settle_best(coach.run, coach.progress.best)


def keep_superseded(run: RunFolder) -> None:
    """Keep the best model that `last` speaks of, before a better one takes its place."""
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


def forget_superseded(run: RunFolder) -> None:
    """Let go of what `keep_superseded` kept, once `last` speaks of the new best model."""
    (run.checkpoint_file("best").parent / _SUPERSEDED).unlink(missing_ok=True)


def _settle_best(run: RunFolder, best: Best | None) -> None:
    """Make `best` the model that `last` speaks of.

    Raises:
        CheckpointError: that model is missing or damaged.
    """
    if best is None:
        forget_superseded(run)
        return
    file = run.checkpoint_file("best")
    superseded = file.parent / _SUPERSEDED
    if superseded.exists() and load_checkpoint(superseded).get("epoch") == best.epoch:
        os.replace(superseded, file)
        return
    found = load_checkpoint(file).get("epoch")
    if found != best.epoch:
        raise CheckpointError(
            f"{file} is the model of epoch {found}, and that of epoch {best.epoch} was best when the run stopped; "
            "the run cannot be continued without it"
        )
    forget_superseded(run)


def refuse_other_data(who: str, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Check that the data is what it was.

    Raises:
        DataError: naming the files whose content has changed.
    """
    differences = data_differences(before, now)
    if differences:
        raise DataError(f"{who} was trained on other data: {'; '.join(differences)}")


def last_line(error: BaseException) -> str:
    """Return the last line of an error's text: the one that says which tensor does not fit."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
