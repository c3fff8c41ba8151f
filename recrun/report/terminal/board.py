"""Collect the evaluations of a run as rows of a table, from the notifications of a reporter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

TRAIN_COLUMNS = ("loss", "lr")
"""The values of training that are shown, if present."""


@dataclass(frozen=True)
class Row:
    """One evaluation.

    Args:
        epoch: how many epochs the model was trained.
        split: the split it was evaluated on.
        train: the last values of training ("loss", "lr"); empty before the first epoch.
        values: the monitored metrics.
        train_seconds: training time since the previous row.
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
class Board:
    """The description of a run, its current epoch, and its evaluations so far."""

    info: Mapping[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    epoch: int = 0
    _train: Mapping[str, float] = field(default_factory=dict)
    _train_seconds: float = 0.0

    @property
    def epochs(self) -> int | None:
        """The maximum number of epochs, if known."""
        return self.info.get("epochs")

    @property
    def best(self) -> Row | None:
        """The last row that was the best so far."""
        return next((row for row in reversed(self.rows) if row.is_best), None)

    def recall(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Load the values from before the run was resumed, as `read_metrics` returns them."""
        for line in lines:
            if line["split"] == "train":
                self.trained(line["epoch"], line["values"], line["seconds"])
            else:
                self.evaluated(line["epoch"], line["split"], line["values"], line["best"], line["seconds"])

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """Record the end of an epoch."""
        self.epoch, self._train = epoch, dict(values)
        self._train_seconds += seconds

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> Row:
        """Record the end of an evaluation and return its row."""
        earlier = next((row.train for row in reversed(self.rows) if row.epoch == epoch), {})
        train = self._train if epoch == self.epoch else earlier
        row = Row(epoch, split, train, dict(values), self._train_seconds, seconds, is_best)
        self._train_seconds = 0.0
        # A resumed run evaluates the epoch from which it continues again.
        self.rows = [*(other for other in self.rows if (other.epoch, other.split) != (epoch, split)), row]
        return row

    def columns(self) -> tuple[list[str], list[str]]:
        """Return the names of the training columns and of the monitors, in display order."""
        train = [name for name in TRAIN_COLUMNS if any(name in row.train for row in self.rows)]
        seen = dict.fromkeys(name for row in self.rows for name in row.values)
        names = [str(name) for name in self.info.get("monitors") or () if str(name) in seen]
        return train, list(dict.fromkeys([*names, *seen]))


def train_title(name: str) -> str:
    """Return the column title of a training value."""
    return name if name == "lr" else f"train {name}"
