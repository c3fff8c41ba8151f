"""Sweeps with known numbers, that nothing was trained for, and consoles to show them on."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from recrun.sweep.engines.local import LocalEngine
from recrun.sweep.ledger import Ledger
from recrun.sweep.planning.plan import plan_sweep
from recrun.sweep.planning.request import Request
from recrun.sweep.row import DONE
from recrun.sweep.run import Listener, run_sweep


def console(width: int = 150, **options: Any) -> Console:
    """Return a console whose text is kept."""
    return Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False, **options)


def text_of(screen: Console) -> str:
    """Return what was printed on a console."""
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def lines_of(renderable: Any, width: int = 150) -> list[str]:
    """Return what a console of some width shows, without empty lines."""
    screen = console(width)
    screen.print(renderable)
    return [line.rstrip() for line in text_of(screen).splitlines() if line.strip()]


def sweep(ledger: Ledger, command: Any, view: Listener) -> None:
    """Train the trials of a sweep one after another, and show it in a view."""
    with ledger:
        run_sweep(ledger, LocalEngine(1), 1, listener=view, command=command)


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Ledger]:
    """Make a study of real configs, its trials pending."""

    def make(configs: str, *arguments: str, **request: Any) -> Ledger:
        return Ledger(plan_sweep(configs.split(), arguments, request=Request(**request)), tmp_path / "runs")

    return make


def fill(ledger: Ledger, values: Sequence[Mapping[str, float] | float], status: str = DONE) -> None:
    """Give trials their numbers, in order."""
    for row, value in zip(ledger.rows, values, strict=False):
        numbers = dict(value) if isinstance(value, Mapping) else {ledger.plan.which4best: value}
        row.status, row.seconds = status, 10.0
        row.valid, row.test = numbers, numbers if ledger.plan.is_tested else None
