"""Collect the last evaluations of a run and its best one as rows of a table, from the notifications of a reporter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from recrun.runs.history import Part

MAX_ROWS: Final = 100
"""Rows that are kept besides the best one: more than a terminal shows, however long the run."""
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
        train_seconds: training time since the previous row; None if not all of it is known.
        eval_seconds: time of this evaluation.
        is_best: whether it was the best so far.
    """

    epoch: int
    split: str
    train: Mapping[str, float]
    values: Mapping[str, float]
    train_seconds: float | None
    eval_seconds: float
    is_best: bool


@dataclass
class Board:
    """The description of a run, its current epoch, its last evaluations, and the last that was the best so far."""

    info: Mapping[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    best: Row | None = None
    epoch: int = 0
    _train: Mapping[str, float] = field(default_factory=dict)
    _train_seconds: float | None = 0.0

    @property
    def epochs(self) -> int | None:
        """The maximum number of epochs, if known."""
        return self.info.get("epochs")

    def recall(self, parts: Iterable[Part]) -> None:
        """Load what was measured before the run was resumed, as `recent_history` returns it."""
        for part in parts:
            self._train_seconds = 0.0 if part.is_first else None
            for line in part.lines:
                if line["split"] == "train":
                    self.trained(line["epoch"], line["values"], line["seconds"])
                else:
                    self.evaluated(line["epoch"], line["split"], line["values"], line["best"], line["seconds"])

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """Record the end of an epoch."""
        self.epoch, self._train = epoch, dict(values)
        if self._train_seconds is not None:
            self._train_seconds += seconds

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> Row:
        """Record the end of an evaluation and return its row."""
        kept = [*reversed(self.rows), *([self.best] if self.best is not None else [])]
        earlier = next((row.train for row in kept if row.epoch == epoch), {})
        train = self._train if epoch == self.epoch else earlier
        row = Row(epoch, split, train, dict(values), self._train_seconds, seconds, is_best)
        self._train_seconds = 0.0
        self.best = row if is_best else self.best
        self.rows.append(row)
        del self.rows[:-MAX_ROWS]
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
