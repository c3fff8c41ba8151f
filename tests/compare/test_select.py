"""The runs that arguments name: paths of every level, sweeps, conditions, and what is left out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from recrun.compare.select import listed, select
from recrun.errors import CheckpointError, ConfigError
from tests.compare.conftest import write_run


def _names(arguments: list[str], root: Path | str = "runs") -> list[str]:
    return [row["name"] for row in select(arguments, root).rows]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs of one description, one of another, seen from the folder above."""
    monkeypatch.chdir(tmp_path)
    root = Path("runs")
    write_run(root, "a")
    write_run(root, "b", 2, lr=0.1)
    write_run(root, "c", description="other")
    return root


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ("runs", {"a", "b", "c"}),
        ("runs/mf", {"a", "b"}),
        ("runs/mf/Synthetic", {"a", "b"}),
        ("runs/mf/Synthetic/b", {"b"}),
        ("runs/mf/Synthetic/b/", {"b"}),
    ],
)
def test_a_folder_of_any_level_stands_for_its_runs(root: Path, argument: str, names: set[str]) -> None:
    assert set(_names([argument])) == names


def test_the_link_to_the_latest_run_is_followed(root: Path) -> None:
    (root / "latest").symlink_to("mf/Synthetic/b")
    assert _names(["runs/latest"]) == ["b"]
    assert set(_names(["runs"])) == {"a", "b", "c"}


def test_conditions_choose_among_the_runs_of_paths_or_among_all(root: Path) -> None:
    assert _names(["runs/mf", "lr=0.1"]) == ["b"]
    assert set(_names(["lr=0.01"], root)) == {"a", "c"}
    assert _names(["lr=0.01", "description=other"], root) == ["c"]


def test_a_run_that_is_given_twice_counts_once(root: Path) -> None:
    found = select(["runs/mf/Synthetic/a", "runs/mf", os.path.abspath("runs/mf/Synthetic/a")])
    assert [row["name"] for row in found.rows] == ["a", "b"]
    assert found.notes == ["given more than once, counted once: runs/mf/Synthetic/a"]


def test_runs_that_are_not_done_are_named_and_left_out(root: Path) -> None:
    write_run(root, "failed", record={"status": "failed", "cause": "TrainingError: NaN"})
    write_run(root, "killed", record={"status": "running"})
    damaged = write_run(root, "damaged")
    damaged.metrics_file.write_text("{", encoding="utf-8")
    found = select(["runs"])
    assert {row["name"] for row in found.rows} == {"a", "b", "c"}
    assert found.notes == [
        f"left out: {damaged.metrics_file} is damaged: it is not JSON",
        "left out, since failed: runs/mf/Synthetic/failed",
        "left out, since killed: runs/mf/Synthetic/killed",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "argument 1: there is nothing at 'nothing'; expected a run, a sweep, a folder of runs, or a"),
        (["runs", "file.txt"], "file.txt is neither a run nor a sweep, and it is not a folder"),
        (["empty"], "empty is neither a run nor a sweep, and there are no runs in it"),
        (["lr=7"], "no run meets lr=7"),
        (["lr=0.1", "seed=1"], "no run meets lr=0.1 and seed=1"),
        (["learning=7"], "no run has such a setting or metric"),
        (["runs/mf", "status=failed"], "no run meets status=failed"),
    ],
)
def test_what_names_no_run_is_refused(root: Path, arguments: list[str], message: str) -> None:
    Path("empty").mkdir()
    Path("file.txt").touch()
    with pytest.raises(ConfigError) as error:
        select(arguments, root)
    assert message in str(error.value)


def test_a_folder_without_runs_is_refused_where_only_conditions_are_given(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are no runs in"):
        select(["lr=1"], tmp_path / "none")


def test_runs_of_which_none_is_done_are_refused(root: Path) -> None:
    write_run(root, "failed", record={"status": "failed"})
    with pytest.raises(ConfigError, match=r"none of the runs is done: left out, since failed: .*failed"):
        select(["runs/mf/Synthetic/failed"])


def _sweep(folder: Path, trials: object, name: str = "runs/sweeps/mf-1") -> None:
    folder.mkdir(parents=True)
    document = {"schema": 1, "sweep": name, "trials": trials}
    (folder / "sweep.json").write_text(json.dumps(document), encoding="utf-8")


def test_a_sweep_stands_for_the_runs_of_its_trials(root: Path) -> None:
    _sweep(root / "sweeps/mf-1", [{"run": "runs/mf/Synthetic/b"}, {"run": None}, {"run": "runs/mf/Synthetic/a"}])
    found = select(["runs/sweeps/mf-1"])
    assert [row["name"] for row in found.rows] == ["b", "a"]
    assert found.notes == ["left out: 1 trial of runs/sweeps/mf-1 has no run"]


def test_trials_that_were_pruned_are_counted_and_left_out(root: Path) -> None:
    write_run(root, "half", record={"status": "interrupted"})
    trials = [{"run": "runs/mf/Synthetic/b", "status": "done"}, {"run": "runs/mf/Synthetic/half", "status": "pruned"}]
    trials += [{"run": None, "status": "pruned"}, {"run": "runs/mf/Synthetic/half", "status": "paused"}]
    _sweep(root / "sweeps/mf-1", [*trials, {"run": "runs/mf/Synthetic/a", "status": "pruned"}])
    found = select(["runs/sweeps/mf-1"])
    assert [row["name"] for row in found.rows] == ["b", "a"]  # a was continued to its end by hand
    assert found.notes == [
        "left out: 2 trials of runs/sweeps/mf-1 were pruned",
        "left out: 1 trial of runs/sweeps/mf-1 was paused",
    ]


def test_the_runs_of_a_sweep_are_found_where_both_were_moved(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sweep(root / "sweeps/mf-1", [{"run": "runs/mf/Synthetic/b"}])
    root.rename("moved")
    monkeypatch.chdir("/")
    assert _names([str(tmp_path / "moved/sweeps/mf-1")]) == ["b"]


@pytest.mark.parametrize("trials", [None, 3, ["a"], [{"run": "a"}, 3]])
def test_a_damaged_sweep_is_refused(root: Path, trials: object) -> None:
    _sweep(root / "sweeps/mf-1", trials)
    with pytest.raises(CheckpointError, match=r"sweep.json is damaged: it has no list of trials"):
        select(["runs/sweeps/mf-1"])


@pytest.mark.parametrize("trials", [[], [{"run": None}], [{"run": "runs/mf/Synthetic/gone"}], [{"run": 3}]])
def test_a_sweep_without_runs_is_refused(root: Path, trials: list[object]) -> None:
    _sweep(root / "sweeps/mf-1", trials)
    with pytest.raises(ConfigError, match="no trial of the sweep runs/sweeps/mf-1 has a run"):
        select(["runs/sweeps/mf-1"])


def test_of_many_paths_the_first_are_listed() -> None:
    assert listed([f"r{number}" for number in range(7)]) == "r0, r1, r2, r3, r4 and 2 more"
