"""The evaluations of a run as rows of a table, collected from what a reporter is notified of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
class Board:
    """What a run says of itself, its epoch, and its evaluations so far."""

    info: Mapping[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    epoch: int = 0
    _train: Mapping[str, float] = field(default_factory=dict)
    _train_seconds: float = 0.0

    @property
    def epochs(self) -> int | None:
        """How many epochs the run will take at the most, when known."""
        return self.info.get("epochs")

    @property
    def best(self) -> Row | None:
        """The last row that was the best so far."""
        return next((row for row in reversed(self.rows) if row.is_best), None)

    def recall(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take over what was measured before the run was resumed, as `read_metrics` returns it."""
        for line in lines:
            if line["split"] == "train":
                self.trained(line["epoch"], line["values"], line["seconds"])
            else:
                self.evaluated(line["epoch"], line["split"], line["values"], line["best"], line["seconds"])

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """Note the end of an epoch."""
        self.epoch, self._train = epoch, dict(values)
        self._train_seconds += seconds

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> Row:
        """Note the end of an evaluation and return its row."""
        earlier = next((row.train for row in reversed(self.rows) if row.epoch == epoch), {})
        train = self._train if epoch == self.epoch else earlier
        row = Row(epoch, split, train, dict(values), self._train_seconds, seconds, is_best)
        self._train_seconds = 0.0
        # A resumed run evaluates the epoch it goes on from once more.
        self.rows = [*(other for other in self.rows if (other.epoch, other.split) != (epoch, split)), row]
        return row

    def columns(self) -> tuple[list[str], list[str]]:
        """Return the names of training's columns and of the monitors', in the order they are shown."""
        train = [name for name in TRAIN_COLUMNS if any(name in row.train for row in self.rows)]
        seen = dict.fromkeys(name for row in self.rows for name in row.values)
        names = [str(name) for name in self.info.get("monitors") or () if str(name) in seen]
        return train, list(dict.fromkeys([*names, *seen]))


def train_title(name: str) -> str:
    """Return how a value of training is called beside the monitors."""
    return name if name == "lr" else f"train {name}"
