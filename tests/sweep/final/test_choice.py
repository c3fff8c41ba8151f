"""What a sweep chose, read from its folder as from a stranger's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.errors import CheckpointError, ConfigError
from recrun.sweep.final.choice import Crowned, epochs_of, read_choices, sweep_folder

Swept = Callable[..., Path]


@pytest.fixture
def folder(swept: Swept) -> Path:
    """A sweep of two points with two seeds each."""
    return swept("lr=1e-4,5e-2", "seed=1,2", "epochs=1")


def _change(folder: Path, **changes: Any) -> dict[str, Any]:
    document = json.loads((folder / "sweep.json").read_text(encoding="utf-8")) | changes
    (folder / "sweep.json").write_text(json.dumps(document), encoding="utf-8")
    return document  # type: ignore[no-any-return]


def test_the_best_point_is_chosen_with_the_numbers_of_its_runs(folder: Path) -> None:
    document = _change(folder)
    (choice,) = read_choices(folder)
    assert choice.point == document["best_point"]
    assert [trial.index for trial in choice.trials] == document["points"][choice.point]["trials"]
    assert choice.document()["mean"] == pytest.approx(document["points"][choice.point]["mean"]["ndcg@20"])
    assert (choice.n_points, choice.n_trials, choice.is_asked) == (2, 4, False)


def test_a_point_that_is_asked_for_is_taken_if_its_trials_are_done(folder: Path) -> None:
    other = 1 - read_choices(folder)[0].point
    (choice,) = read_choices(folder, other)
    assert (choice.point, choice.is_asked) == (other, True)
    with pytest.raises(ConfigError, match="point: there is no point 7; expected 0 to 1"):
        read_choices(folder, 7)
    trials = _change(folder)["trials"]
    trials[0]["status"] = "failed"
    _change(folder, trials=trials)
    with pytest.raises(ConfigError, match="not all trials of point 0 are done"):
        read_choices(folder, 0)


def test_an_unfinished_sweep_is_refused_and_one_with_failed_trials_is_not(folder: Path) -> None:
    document = _change(folder)
    worst = document["points"][1 - document["best_point"]]["trials"][0]
    for status in ("pending", "running", "interrupted", "paused"):
        document["trials"][worst]["status"] = status
        _change(folder, trials=document["trials"], status=status)
        with pytest.raises(ConfigError, match=rf"is unfinished \(1 {status}\): repeat its command first"):
            read_choices(folder)
    for status in ("failed", "pruned"):
        document["trials"][worst]["status"] = status
        _change(folder, trials=document["trials"], status="failed")
        assert read_choices(folder)[0].point == document["best_point"]


def test_a_sweep_that_chooses_nothing_is_refused(swept: Swept) -> None:
    folder = swept("seed=1,2", "epochs=1")
    with pytest.raises(ConfigError, match="chooses nothing: its trials differ in seeds or folds alone"):
        read_choices(folder)


def test_a_front_of_several_criteria_needs_a_point(folder: Path) -> None:
    _change(folder, which4best=["ndcg@20", "recall@20"], best_point=None)
    with pytest.raises(ConfigError, match="has several criteria, and none of its points is the best by all"):
        read_choices(folder)
    assert read_choices(folder, 0)[0].criterion == "ndcg@20"


def test_the_error_about_a_front_names_its_points_and_the_command(folder: Path) -> None:
    criteria = ["ndcg@20", "recall@20"]
    points = _change(folder, which4best="ndcg@20", criteria=criteria, front=[1, 0, 7, "x"], best_point=None)["points"]
    with pytest.raises(ConfigError) as error:
        read_choices(folder)
    shown = [
        f"point {n} (lr={points[n]['settings']['lr']}: ndcg@20 {points[n]['mean']['ndcg@20']:.4f}, recall@20 "
        f"{points[n]['mean']['recall@20']:.4f})"
        for n in (1, 0)
    ]
    assert str(error.value) == (
        f"the sweep {folder} has several criteria, and none of its points is the best by all; name one of the front, "
        f"as by 'recrun final {folder} --point 1': {shown[0]}; {shown[1]}"
    )
    _change(folder, points=[*points, *points[:1] * 30], front=list(range(12)))
    with pytest.raises(ConfigError, match=r"point 9 \(lr=0.0001: .*\); and 2 more$"):
        read_choices(folder)


def test_a_ledger_without_a_best_point_is_ranked_by_the_mean(folder: Path) -> None:
    best = _change(folder)["best_point"]
    _change(folder, best_point=None, more={"a": 1})
    assert read_choices(folder)[0].point == best
    trials = _change(folder)["trials"]
    for trial in trials:
        trial["status"] = "failed"
    _change(folder, trials=trials)
    with pytest.raises(ConfigError, match="chose nothing: no point has all of its trials done"):
        read_choices(folder)


def test_numbers_that_are_not_those_of_the_runs_are_refused(folder: Path) -> None:
    document = _change(folder)
    index = document["points"][document["best_point"]]["trials"][0]
    document["trials"][index]["valid"]["ndcg@20"] = 0.99
    _change(folder, trials=document["trials"])
    with pytest.raises(CheckpointError, match=r"has ndcg@20 0\.\d+ on valid, and .*sweep\.json says 0\.99 of it"):
        read_choices(folder)


@pytest.mark.parametrize("run", [None, 3, "a", "../../../etc/x", "runs/none/Synthetic/none"])
def test_a_run_elsewhere_or_nowhere_is_refused(folder: Path, run: Any) -> None:
    document = _change(folder)
    for trial in document["trials"]:
        trial["run"] = run
    _change(folder, trials=document["trials"])
    with pytest.raises(CheckpointError):
        read_choices(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"trials": None},
        {"trials": []},
        {"trials": [1]},
        {"points": {}},
        {"points": [{"settings": {}, "trials": [99]}]},
        {"points": [{"settings": [], "trials": [0]}]},
        {"points": [{"settings": {}, "trials": []}]},
        {"points": [{"settings": {}, "trials": [True]}]},
        {"which4best": [], "best_point": 0},
        {"which4best": 7},
    ],
)
def test_a_damaged_ledger_is_refused_in_one_line(folder: Path, changes: dict[str, Any]) -> None:
    _change(folder, **changes)
    with pytest.raises((CheckpointError, ConfigError)) as error:
        read_choices(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("status", ["interrupted", "pending"])
def test_a_study_with_points_that_are_still_to_be_drawn_is_refused(folder: Path, status: str) -> None:
    _change(folder, status=status)
    with pytest.raises(ConfigError, match=r"is unfinished \(not all points are drawn\): repeat its command first"):
        read_choices(folder)
    assert read_choices(folder, 0)


def test_a_folder_without_a_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no sweep in .*: expected a folder with sweep\.json"):
        sweep_folder(tmp_path)


@pytest.mark.parametrize(("best", "epochs"), [([7], 7), ([4, 9, 5], 5), ([4, 5], 5), ([4, 4, 6, 6], 5), ([0, 0], 0)])
def test_epochs_are_the_median_of_the_best_ones_halves_up(best: list[int], epochs: int, tmp_path: Path) -> None:
    from recrun.runs.folder import RunFolder

    assert epochs_of([Crowned(0, {}, RunFolder(tmp_path), {}, each, 0.0) for each in best]) == epochs
