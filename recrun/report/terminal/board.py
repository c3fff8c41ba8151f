"""What a live view knows of a run: the rows of its table, and how far it has come. Nothing here draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

TRAIN_COLUMNS = ("loss", "lr")
"""The values of training that are shown, where there are such."""


@dataclass(frozen=True)
class Row:
    """One evaluation.

    Args:
        epoch: how many epochs the model had been trained.
        split: what it was evaluated on.
        train: the last values of training ("loss", "lr"); empty before the first epoch.
        values: the monitors.
        train_seconds: training time since the row before.
        eval_seconds: time of this evaluation.
        is_best: whether it was the best so far.
    """

    epoch: int
    split: str
    train: Mapping[str, float]
    values: Mapping[str, float]
    train_seconds: float
    eval_seconds: float
    is_best: bool


@dataclass
class Pace:
    """How far something counted has come since it was first seen, and how fast."""

    done: int
    total: int | None
    started_at: float
    started_with: int

    def rate(self, now: float) -> float | None:
        """The number done a second, or None while it cannot be told."""
        elapsed, count = now - self.started_at, self.done - self.started_with
        return count / elapsed if elapsed > 0 and count > 0 else None


@dataclass
class Board:
    """The state of a run on the screen.

    `version` changes when the table or the header does, so that they need not be drawn anew for each step.
    """

    now: Callable[[], float] = time.monotonic
    info: Mapping[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    version: int = 0
    epoch: int = 0
    loss: float | None = None
    training: Pace | None = None
    ranking: Pace | None = None
    ranked_split: str = ""
    steps_per_second: float | None = None
    status: str = ""
    started_at: float = 0.0
    ended_at: float | None = None
    first_epoch: int = 0
    _train: Mapping[str, float] = field(default_factory=dict)
    _train_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.started_at = self.now()

    @property
    def epochs(self) -> int | None:
        """How many epochs the run will take at the most, when known."""
        return self.info.get("epochs")

    @property
    def best(self) -> Row | None:
        """The last row that was the best so far."""
        return next((row for row in reversed(self.rows) if row.is_best), None)

    @property
    def elapsed(self) -> float:
        """Seconds since the start, up to the end."""
        return (self.now() if self.ended_at is None else self.ended_at) - self.started_at

    @property
    def epochs_done(self) -> float:
        """Epochs trained, with the share of the one under way."""
        pace = self.training
        share = min(pace.done / pace.total, 1.0) if pace and pace.total else 0.0
        return self.epoch + share

    @property
    def remaining(self) -> float | None:
        """Seconds until all epochs are trained at the pace so far; None while it cannot be told."""
        done = self.epochs_done - self.first_epoch
        if not self.epochs or done <= 0:
            return None
        return self.elapsed * max(self.epochs - self.epochs_done, 0.0) / done

    def start(self, info: Mapping[str, Any]) -> None:
        """Take over what the run says of itself."""
        self.info = dict(info)
        self.epoch = self.first_epoch = info.get("resumed_from") or 0
        self.started_at = self.now()
        self.version += 1

    def recall(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take over what was measured before the run was resumed, as `read_metrics` returns it."""
        for line in lines:
            if line["split"] == "train":
                self.trained(line["epoch"], line["values"], line["seconds"])
            else:
                self.evaluated(line["epoch"], line["split"], line["values"], line["best"], line["seconds"])

    def step(self, step: int, n_steps: int | None, loss: float | None) -> None:
        """Note a training step of the current epoch."""
        if self.training is None or step < self.training.done:
            self.training = Pace(step, n_steps, self.now(), step)
        self.ranking = None
        self.training.done = step
        self.steps_per_second = self.training.rate(self.now()) or self.steps_per_second
        if loss is not None:
            self.loss = loss

    def evaluating(self, split: str, done: int, total: int) -> None:
        """Note how many users are ranked."""
        if self.ranking is None or split != self.ranked_split or done < self.ranking.done:
            self.ranking, self.ranked_split = Pace(done, total, self.now(), done), split
        self.ranking.done = done

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """Note the end of an epoch."""
        self.epoch, self.training, self.ranking = epoch, None, None
        self._train = dict(values)
        self._train_seconds += seconds
        self.loss = values.get("loss", self.loss)

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> Row:
        """Note the end of an evaluation and return its row."""
        train = self._train if epoch == self.epoch else self._train_of(epoch)
        row = Row(epoch, split, train, dict(values), self._train_seconds, seconds, is_best)
        self._train_seconds = 0.0
        self.ranking = None
        # A resumed run evaluates the epoch it goes on from once more.
        self.rows = [*(other for other in self.rows if (other.epoch, other.split) != (epoch, split)), row]
        self.version += 1
        return row

    def end(self, status: str) -> None:
        """Stop the clock; the first status given stays."""
        if self.ended_at is None:
            self.ended_at, self.status = self.now(), status
            self.version += 1

    def columns(self) -> tuple[list[str], list[str]]:
        """Return the names of training's columns and of the monitors', in the order they are shown."""
        train = [name for name in TRAIN_COLUMNS if any(name in row.train for row in self.rows)]
        names = [str(name) for name in self.info.get("monitors") or () if str(name) != "loss"]
        seen = dict.fromkeys(name for row in self.rows for name in row.values)
        names = [name for name in names if name in seen] if self.rows else names
        return train, list(dict.fromkeys([*names, *seen]))

    def _train_of(self, epoch: int) -> Mapping[str, float]:
        return next((row.train for row in reversed(self.rows) if row.epoch == epoch), {})


def train_title(name: str) -> str:
    """Return how a value of training is called beside the monitors."""
    return name if name == "lr" else f"train {name}"
