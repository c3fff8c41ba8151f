"""Say what a tracker gets of a run, and what it must be able to do with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from recrun.runs.folder import RunFolder


@dataclass(frozen=True)
class About:
    """What a run is.

    Args:
        id: identifies the run at its tracker, 16 hexadecimal digits; the same after a resume.
        handle: what `begin` returned the last time; None at the first.
        name: the name of the run's folder.
        project: the setting `track_project`; None if it is not set.
        description: the description of the experiment, which is the project where nothing else names one.
        settings: every setting of the run by its key.
        tags: model, dataset, path of the run, git commit ...
    """

    id: str
    handle: str | None
    name: str
    project: str | None
    description: str
    settings: Mapping[str, Any]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Point:
    """What was measured after an epoch.

    Args:
        epoch: the number of epochs the model had been trained.
        split: "train" or "valid".
        values: the finite values, by name ("ndcg@20"; "loss" for train).
        seconds: the seconds that it took.
    """

    epoch: int
    split: str
    values: Mapping[str, float]
    seconds: float

    def named(self) -> dict[str, float]:
        """Return the values as `split/metric`."""
        return {f"{self.split}/{name}": value for name, value in self.values.items()}


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Args:
        status: "done", "failed", "interrupted", "paused", or "killed" if nothing could be recorded any more.
        cause: the error that ended it, or None.
        at: when, in ISO 8601; None if that is not recorded.
        epoch: the best epoch, None if the run is not done.
        values: the final values of a run that is done: `test/<metric>`, and `best/<metric>` on validation at the best
            epoch.
        files: what is kept with it: config.yaml, metrics.json and SUMMARY.md, as far as they are there.
    """

    status: str
    cause: str | None
    at: str | None
    epoch: int | None
    values: Mapping[str, float]
    files: Sequence[Path]


class Receiver(Protocol):
    """What is delivered to; `recrun.report.trackers.tracker.Tracker` says what each method does."""

    name: str
    run: RunFolder

    def begin(self, about: About) -> str | None: ...

    def known(self) -> Mapping[str, int] | None: ...

    def log(self, points: Sequence[Point]) -> None: ...

    def end(self, ending: Ending) -> None: ...

    def abandon(self) -> None: ...
