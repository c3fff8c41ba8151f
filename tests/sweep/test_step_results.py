from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.runs.folder import RunFolder
from recrun.sweep.schedules.schedule import Result, Step
from recrun.sweep.step_results import curve_of, result_of


def run_with(folder: Path, values: dict[int, float | None], *, done: bool = False) -> RunFolder:
    lines = [
        {"epoch": epoch, "split": split, "values": {"ndcg@5": value}, "seconds": 0.1, "best": False}
        for epoch, value in values.items()
        for split in ("train", "valid")
    ]
    folder.mkdir(exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    if done:
        (folder / "metrics.json").write_text(json.dumps({"status": "done", "valid": {"ndcg@5": 0.5}}))
        (folder / "run.json").write_text(json.dumps({"schema_version": 1, "status": "done"}))
    return RunFolder(folder)


CURVE: dict[int, float | None] = {0: 0.1, 2: 0.3, 4: 0.2, 6: 0.5}


@pytest.mark.parametrize(
    ("step", "done", "expected"),
    [
        (Step(0, 0), False, None),
        (Step(0, 0), True, (0.5, 6, True, False)),
        (Step(0, 0, 4), False, (0.3, 4, False, False)),
        (Step(0, 0, 3), False, (0.3, 4, False, False)),
        (Step(0, 0, 4), True, (0.3, 4, False, False)),
        (Step(0, 0, 6), True, (0.5, 6, True, False)),
        (Step(0, 0, 9), False, None),
        (Step(0, 0, 9), True, (0.5, 6, True, False)),  # it stopped early by itself
        (Step(0, 0, None, {2: 0.3, 4: 0.31}), False, (0.3, 4, False, True)),
        (Step(0, 0, None, {2: 0.3}), False, None),
    ],
)
def test_a_step_ends_at_the_first_evaluation_at_or_after_its_epoch(
    tmp_path: Path, step: Step, done: bool, expected: tuple[float, int, bool, bool] | None
) -> None:
    found = result_of(run_with(tmp_path / "run", CURVE, done=done), "ndcg@5", 1.0, step)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.value, found.epoch, found.is_finished, found.was_stopped) == expected
        assert found.curve == {epoch: value for epoch, value in CURVE.items() if epoch <= expected[1]}


def test_smaller_values_are_better_with_the_other_sign(tmp_path: Path) -> None:
    found = result_of(run_with(tmp_path / "run", {1: 0.6, 2: 0.4, 3: 0.7}), "ndcg@5", -1.0, Step(0, 0, 3))
    assert found == Result(-0.4, 3, False, False, {1: -0.6, 2: -0.4, 3: -0.7})


def test_undefined_values_and_damaged_lines_are_left_out(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", {1: None, 2: 0.4})
    with run.metrics_lines_file.open("a") as file:
        file.write('nonsense\n{"epoch": 3, "spl')
    assert curve_of(run, "ndcg@5") == {2: 0.4}
    assert curve_of(run, "recall@5") == {}
    assert curve_of(RunFolder(tmp_path / "nowhere"), "ndcg@5") == {}


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_text("nonsense\n")])
def test_a_finished_run_without_its_history_is_an_error_and_not_a_trial_without_value(
    tmp_path: Path, damage: Callable[[Path], Any]
) -> None:
    run = run_with(tmp_path / "run", CURVE, done=True)
    damage(run.metrics_lines_file)
    with pytest.raises(ConfigError, match=r"the history of .*run is lost.*move .*run away"):
        result_of(run, "ndcg@5", 1.0, Step(0, 0, 4))


def test_a_finished_run_whose_criterion_was_never_defined_has_no_value(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", {1: None, 2: None}, done=True)
    run.metrics_file.write_text(json.dumps({"status": "done", "valid": {"ndcg@5": None}}))
    found = result_of(run, "ndcg@5", 1.0, Step(0, 0))
    assert found == Result(None, 0, True, False, {})
