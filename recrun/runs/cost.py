"""Add up what a run takes from what its parts take, by its config."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def epochs_of(config: Mapping[str, Any]) -> int:
    """Return how many epochs a config trains at the most; 0 of a model that is fitted in closed form."""
    if config.get("epochs") is None:
        return 0
    return int(config["epochs"] if config.get("stop_epoch") is None else config["stop_epoch"])


def evaluations_of(config: Mapping[str, Any]) -> int:
    """Return how often a config that trains epochs evaluates on validation at the most; 0 in closed form."""
    epochs = epochs_of(config)
    return 1 + math.ceil(epochs / config["eval_freq"]) if epochs else 0


def run_seconds(config: Mapping[str, Any], *, epoch: float, evaluation: float, rest: float) -> float:
    """Return the seconds of a run at the most.

    Args:
        config: its settings.
        epoch: the seconds of an epoch.
        evaluation: the seconds of an evaluation on validation.
        rest: the seconds of everything else.
    """
    return rest + epochs_of(config) * epoch + evaluations_of(config) * evaluation
