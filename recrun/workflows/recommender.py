"""Make a recommender of a run: load its model and its data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from recrun.recommendation.recommender import AsOf, Recommender
from recrun.workflows.load import Loaded, load

OF_USE: Final = ("root", "device", "threads", "eval_memory")
"""The settings that may change when a model is put to use: where the data is, and where and how to compute."""


def open_recommender(
    path: str | Path, overrides: Sequence[str] = (), *, as_of: AsOf = "test", trust: bool = False
) -> tuple[Recommender, Loaded]:
    """Load the model of a checkpoint to recommend with.

    Args:
        path: a run folder, one of its checkpoints, or a checkpoint file.
        overrides: `KEY=VALUE` for the settings in `OF_USE`.
        as_of: which interactions are known; see `Recommender`.
        trust: whether code of the user's own that the checkpoint names may be run although it was not run here before.

    Raises:
        CheckpointError, DataError: as `recrun.workflows.load.load`.
        ConfigError: an override is not in `OF_USE`, or the model predicts labels.
    """
    loaded = load(path, overrides, may_change=OF_USE, trust=trust)
    config, coach = loaded.resolved.config, loaded.coach
    base = coach.dataset.base
    recommender = Recommender(coach.model, base, as_of=as_of, device=coach.device, memory_mb=config.eval_memory)
    return recommender, loaded
