from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recrun.cli.main import main

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "epochs=2", "batch_size=256", "device=cpu", "threads=1"]


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "recrun", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.slow
def test_the_command_prints_the_means_on_test_and_then_has_nothing_left_to_do(tmp_path: Path) -> None:
    assert _run(tmp_path, "sweep", "bprmf", *SMALL, "lr=1e-4,5e-2", "seed=1,2", "--jobs", "2").returncode == 0
    (sweep,) = (tmp_path / "runs" / "sweeps").iterdir()
    path = str(sweep.relative_to(tmp_path))
    found = _run(tmp_path, "final", path, "--jobs", "2")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("test of point ")
    assert "trained on train and valid for" in found.stdout
    assert found.stderr.count("is trained: runs/bprmf-final/Synthetic/") == 2
    again = _run(tmp_path, "final", path, "--json")
    assert (again.returncode, again.stderr) == (0, "")
    document = json.loads(again.stdout)
    assert document["sweep"] == path
    assert document["final"]["status"] == "done"
    assert [set(trial["test"]) for trial in document["final"]["trials"]] == [set(document["final"]["mean"])] * 2
    other = _run(tmp_path, "final", path, "--train-only")
    assert other.returncode == 0
    assert "--again makes that one" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nowhere"],
            "error: there is no sweep in nowhere: expected a folder with sweep.json, such as runs/sweeps/NAME",
        ),
        (["nowhere", "--engine", "slrm"], "error: unknown engine 'slrm'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        main(["final", *arguments])
    assert exit.value.code == 2
    assert capsys.readouterr().err.startswith(message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_folder_of_runs_whose_name_begins_with_a_dash_is_no_option(tmp_path: Path) -> None:
    found = _run(tmp_path, "sweep", "bprmf", *SMALL, "lr=1e-4,5e-2", "--runs=-runs")
    assert found.returncode == 0, found.stdout
    (command,) = (line.split()[2:4] for line in found.stdout.splitlines() if line.startswith("next "))
    assert command[0] == "final"
    assert command[1].startswith("./-runs/sweeps/bprmf-")
    finished = _run(tmp_path, *command)
    assert finished.returncode == 0, finished.stdout
