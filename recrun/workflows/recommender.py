"""Make a recommender of a run: load its model and its data."""

from __future__ import annotations

from pathlib import Path

from recrun.config.given.arguments import Overrides
from recrun.config.settings import OF_USE
from recrun.errors import ConfigError
from recrun.recommendation.recommender import AsOf, Recommender
from recrun.workflows.load import Loaded, load


def open_recommender(
    path: str | Path, overrides: Overrides = (), *, as_of: AsOf = "test", trust: bool = False
) -> tuple[Recommender, Loaded]:
    """Load the model of a checkpoint to recommend with.

    Args:
        path: a run folder, one of its checkpoints, or a checkpoint file.
        overrides: `KEY=VALUE`, or Python values by key, for the settings in `OF_USE`.
        as_of: which interactions are known; see `Recommender`.
        trust: whether code of the user's own that the checkpoint names may be run although it was not run here before.

    Raises:
        CheckpointError, DataError: as `recrun.workflows.load.load`.
        ConfigError: an override is not in `OF_USE`, or the model predicts labels.
    """
    loaded = load(path, overrides, may_change=OF_USE, trust=trust)
    return recommender_of(loaded, as_of), loaded


def recommender_of(loaded: Loaded, as_of: AsOf = "test") -> Recommender:
    """Return what recommends with a loaded model, from what is known at some moment; see `Recommender`.

    Raises:
        ConfigError: the model predicts labels, or was trained on interactions from after the moment.
    """
    config, coach = loaded.resolved.config, loaded.coach
    if as_of == "valid" and coach.dataset.base.trains_on_valid:
        known = f"the model of {loaded.file} was trained on valid (train_on: train_valid)"
        raise ConfigError(f"{known}, and does not recommend as of before that; use as of test, or end")
    return Recommender(coach.model, coach.dataset.base, as_of=as_of, device=coach.device, memory_mb=config.eval_memory)
