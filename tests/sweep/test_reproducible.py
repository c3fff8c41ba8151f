"""The same study with real runs, whatever runs at once and however often it is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SMALL = [
    *("n_users=60", "n_items=50", "n_interactions=900", "batch_size=256", "device=cpu", "threads=1"),
    *("embedding_dim=4", "early_stop_patience=null"),
]
STUDIES = {
    "asha": ["lr=1e-4..1e-1:log", "epochs=9", "--search", "random", "--trials", "6", "--prune", "asha"],
    "tpe": ["lr=1e-4..1e-1:log", "epochs=3", "--search", "tpe", "--trials", "6"],
}


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _study(folder: Path, name: str, jobs: int, kills: int) -> list[Any]:
    """Run a study, killing it and now and then a trial of it before, and return the table of its trials."""
    folder.mkdir()
    command = [sys.executable, "-m", "recrun", "sweep", "bprmf", *SMALL, *STUDIES[name]]
    command += ["--generation", "3", "--jobs", str(jobs), "--quiet", "--json"]
    chance = random.Random(kills)
    for _ in range(kills):
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(2, 8))
        children = _children(process.pid) if chance.random() < 0.5 else []
        for child in children[:1]:
            os.kill(child, signal.SIGKILL)
            time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.wait()
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0, found.stderr
    trials = json.loads(found.stdout)["trials"]
    return [[trial[key] for key in ("overrides", "status", "valid", "best_epoch")] for trial in trials]


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_the_same_for_any_number_of_jobs_and_kills(tmp_path: Path, name: str) -> None:
    if name == "tpe":
        pytest.importorskip("optuna", reason="recrun[search] is not installed")
    whole = _study(tmp_path / "whole", name, jobs=1, kills=0)
    assert len(whole) == 6
    assert _study(tmp_path / "killed", name, jobs=3, kills=2) == whole
