"""A made-up run of thirty evaluations, told to any reporter."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from rich.console import Console

from recrun.report.files.course import Courses
from recrun.report.terminal.console import VisibleConsole
from recrun.training.reporter import Reporter

MONITORS = ("loss", "recall@10", "recall@20", "ndcg@10", "ndcg@20")
MANY_MONITORS = ("loss", *(f"{name}@{k}" for name in ("recall", "precision", "hitrate", "ndcg") for k in (5, 10, 20)))
BEST_EPOCH = 18


def value(epoch: int, place: int) -> float:
    """The monitor at `place` after `epoch` epochs: rises until BEST_EPOCH, then falls."""
    return 0.16 * (1 - abs(epoch - BEST_EPOCH) / 40) / (1 + place)


def info(monitors: Sequence[str] = MONITORS, **changes: Any) -> dict[str, Any]:
    """What `Reporter.start` is told."""
    known = {
        "description": "BPRMF",
        "dataset": "Gowalla_m1",
        "model": "bprmf",
        "n_parameters": 4533696,
        "epochs": 30,
        "n_steps": 40,
        "device": "cpu",
        "run": "runs/BPRMF/Gowalla_m1/one",
        "which4best": "ndcg@20",
        "monitors": list(monitors),
        "statistics": {"n_users": 29858, "n_items": 40981, "rows": {"train": 729115, "test": 217242}},
        "resumed_from": None,
    }
    return known | changes


def tell(reporter: Reporter, monitors: Sequence[str] = MONITORS, first: int = 0, last: int = 30) -> dict[str, Any]:
    """Tell a reporter the run from epoch `first` on, and return its result; close() is left to the caller."""
    names = [name for name in monitors if name != "loss"]
    reporter.start(info(monitors, resumed_from=first or None))
    for epoch in range(first, last + 1):
        reporter.evaluating(epoch, "valid", 10000, 29858)
        values = {name: value(epoch, place) for place, name in enumerate(names)}
        reporter.evaluated(epoch, "valid", values, epoch <= BEST_EPOCH, 1.5)
        if epoch < last:
            reporter.step(epoch, 1, 40)
            reporter.step(epoch, 40, 40)
            reporter.trained(epoch + 1, {"loss": math.exp(-(epoch + 1) / 8)}, 12.0)
    best = {name: value(BEST_EPOCH, place) for place, name in enumerate(names)}
    reporter.evaluated(BEST_EPOCH, "test", best, False, 1.5)
    result = {
        "run": "runs/BPRMF/Gowalla_m1/one",
        "status": "done",
        "best_epoch": BEST_EPOCH,
        "which4best": "ndcg@20",
        "valid": best,
        "test": best,
        "users": {"valid": 29000, "test": 29858, "skipped": 858},
        "seconds": {"train": 360.0, "evaluate": 48.0, "total": 415.25},
    }
    reporter.finish(result)
    return result


class Keeper(Reporter):
    """Keeps the course of every metric of a run."""

    def __init__(self) -> None:
        self.courses = Courses()

    def trained(self, epoch: int, values: Any, seconds: float) -> None:
        self.courses.append("train", epoch, values)

    def evaluated(self, epoch: int, split: str, values: Any, is_best: bool, seconds: float) -> None:
        self.courses.append(split, epoch, values)


@pytest.fixture
def fake_run() -> Callable[..., dict[str, Any]]:
    """Tell a reporter a whole run."""
    return tell


@pytest.fixture
def fake_info() -> Callable[..., dict[str, Any]]:
    """What a run says of itself when it starts."""
    return info


@pytest.fixture
def many_monitors() -> tuple[str, ...]:
    """More monitors than a terminal has room for."""
    return MANY_MONITORS


@pytest.fixture
def courses_and_result() -> tuple[Courses, dict[str, Any]]:
    """The courses and the result of a whole run."""
    keeper = Keeper()
    return keeper.courses, tell(keeper)


@pytest.fixture
def screen() -> Callable[..., Console]:
    """Make a console that writes into a StringIO (`console.file`) and takes it for a terminal, or not."""

    def make(terminal: bool = True, width: int = 100, height: int = 40, **options: Any) -> Console:
        return VisibleConsole(
            file=options.pop("file", io.StringIO()),
            force_terminal=terminal,
            force_interactive=terminal,
            width=width,
            height=height,
            color_system="standard" if terminal else None,
            markup=False,
            highlight=False,
            **options,
        )

    return make


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the colour settings of whoever runs the tests out of them."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
