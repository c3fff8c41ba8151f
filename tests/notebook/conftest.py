"""Small runs for the tests of notebooks."""

from __future__ import annotations

from pathlib import Path

import pytest

import recrun

SMALL = {"dataset": "Synthetic", "n_users": 60, "n_items": 40, "n_interactions": 900, "plots": False, "threads": 1}


@pytest.fixture
def small() -> dict[str, object]:
    """The settings of a data set that is small."""
    return dict(SMALL)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> recrun.Run:
    """A run of two epochs, in the working folder."""
    monkeypatch.chdir(tmp_path)
    return recrun.train("bprmf", epochs=2, id="a", progress=False, **SMALL)
