"""How far a run has come: everything but the model and the optimizer that a resume needs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from recrun.monitors import AverageMeter, MonitorHistory


@dataclass
class Best:
    """The best evaluation so far: after how many epochs, the criterion's value, all monitored values."""

    epoch: int
    value: float
    values: dict[str, float]


@dataclass
class Progress:
    """The position of a run.

    Args:
        epoch: whole epochs trained.
        step: batches trained of the epoch under way.
        evaluated: the last epoch whose validation is done, -1 when none is.
        best: the best validation so far.
        stale: validations since the best one.
        loss: the mean loss of the epoch under way.
        history: what was monitored.
        users: how many users were ranked and how many had nothing to find, by split, at its last evaluation.
        seconds: time spent, by activity.
    """

    epoch: int = 0
    step: int = 0
    evaluated: int = -1
    best: Best | None = None
    stale: int = 0
    loss: AverageMeter = field(default_factory=AverageMeter)
    history: MonitorHistory = field(default_factory=MonitorHistory)
    users: dict[str, tuple[int, int]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {"train": 0.0, "evaluate": 0.0})

    def state_dict(self) -> dict[str, Any]:
        """Return the position as plain data."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "evaluated": self.evaluated,
            "best": vars(self.best) if self.best else None,
            "stale": self.stale,
            "loss": vars(self.loss),
            "history": self.history.state_dict(),
            "users": {split: list(counts) for split, counts in self.users.items()},
            "seconds": self.seconds,
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> Progress:
        """Return the position that `state_dict` described."""
        history = MonitorHistory()
        history.load_state_dict(state["history"])
        return cls(
            epoch=state["epoch"],
            step=state["step"],
            evaluated=state["evaluated"],
            best=Best(**state["best"]) if state["best"] else None,
            stale=state["stale"],
            loss=AverageMeter(**state["loss"]),
            history=history,
            users={split: (int(ranked), int(skipped)) for split, (ranked, skipped) in state["users"].items()},
            seconds=dict(state["seconds"]),
        )


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of the global generators of Python, numpy, torch, and of the device."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    version, words, gauss = random.getstate()
    state: dict[str, Any] = {
        "python": [version, list(words), gauss],
        "numpy": [str(kind), np.asarray(keys), int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


@contextmanager
def undisturbed_random_state(device: torch.device) -> Iterator[None]:
    """Leave the generators as they were on entering: some libraries draw from them when they are first imported."""
    state = random_state(device)
    yield
    restore_random_state(state, device)


def restore_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Put the global generators back into the state that `random_state` returned."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, np.asarray(keys), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
