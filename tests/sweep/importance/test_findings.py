from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.sweep.importance.findings import Measured, findings, measured_points, weights_of
from recrun.sweep.importance.forest import ForestImportance
from recrun.sweep.ledger import Ledger
from recrun.sweep.planning.plan import plan_sweep
from recrun.sweep.planning.request import Request
from recrun.sweep.row import DONE, PRUNED

MakeStudy = Callable[..., Ledger]


@pytest.fixture
def study(tmp_path: Path) -> MakeStudy:
    """Make a study of 40 random points whose trials are done; the value is 0.1 plus ten times the learning rate."""

    def make(*arguments: str, **request: Any) -> Ledger:
        plan = plan_sweep("bprmf", arguments, request=Request(**request))
        ours = Ledger(plan, tmp_path / "runs")
        for row in ours.rows:
            row.status, row.valid = DONE, {plan.which4best: 0.1 + 10 * row.trial.overrides.get("lr", 0.0)}
        return ours

    return make


SPACE = ("lr=1e-3..1e-2", "weight_decay=0..0.1")


def test_the_setting_that_decides_is_the_most_important_and_the_best_share_it(study: MakeStudy) -> None:
    found = findings(study(*SPACE, search="random", trials=40))
    assert found is not None
    assert (found["metric"], found["split"], found["points"], found["method"]) == ("ndcg@20", "valid", 40, "forest")
    assert found["r2"] > 0.5
    first, second = found["settings"]
    assert (first["setting"], second["setting"]) == ("lr", "weight_decay")
    assert first["importance"] > 0.5 > 0.1 > second["importance"]
    assert found["best"]["points"] == 10
    low, middle, high = found["best"]["settings"]["lr"]["best"]
    assert 0.007 < low < middle < high < 0.01
    json.dumps(found, allow_nan=False)


def test_the_same_study_has_the_same_weights(study: MakeStudy) -> None:
    assert findings(study(*SPACE, search="random", trials=15)) == findings(study(*SPACE, search="random", trials=15))


def test_crossed_settings_have_shares_of_the_variance(study: MakeStudy) -> None:
    found = findings(study("lr=1e-3,2e-3,3e-3,4e-3", "weight_decay=0,0.1,0.2"))
    assert found is not None
    assert (found["method"], found["points"]) == ("variance", 12)
    assert [each["setting"] for each in found["settings"]] == ["lr", "weight_decay"]
    assert [each["importance"] for each in found["settings"]] == pytest.approx([1, 0], abs=1e-12)


def test_few_points_have_no_weights(study: MakeStudy) -> None:
    found = findings(study("lr=1e-3,2e-3,3e-3", "weight_decay=0,0.1"))
    assert found == {
        "metric": "ndcg@20",
        "split": "valid",
        "points": 6,
        "reason": "6 points are too few; 10 are needed",
    }


def test_a_sweep_over_seeds_has_no_settings_to_weigh(study: MakeStudy) -> None:
    assert findings(study("seed=1,2,3")) is None


def test_points_of_different_data_are_not_weighed_together(study: MakeStudy) -> None:
    found = findings(study("lr=1e-3,2e-3,3e-3,4e-3,5e-3,6e-3", "n_users=100,200"))
    assert found is not None
    assert found["reason"] == "n_users changes the data, and points do not compare"


def test_of_pruned_studies_all_points_count_at_the_epoch_that_all_have_reached(study: MakeStudy) -> None:
    ours = study("lr=1e-3,2e-3,3e-3", "epochs=9", prune="asha")
    curves = [[0.1], [0.2, 0.3, 0.4], [0.3, 0.1, 0.2, 0.9]]
    for row, curve in zip(ours.rows, curves, strict=True):
        row.run.path.mkdir(parents=True)
        lines = [
            {"epoch": epoch, "split": "valid", "values": {"ndcg@20": value}, "seconds": 0.1, "best": False}
            for epoch, value in enumerate(curve, start=1)
        ]
        row.run.metrics_lines_file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for row, reached in zip(ours.rows[:2], (1, 3), strict=True):
        row.status, row.reached = PRUNED, reached
    measured = measured_points(ours)
    assert (measured.epoch, measured.values) == (1, (0.1, 0.2, 0.3))


def test_settings_under_a_condition_go_into_the_forest() -> None:
    rng = np.random.default_rng(0)
    settings: list[dict[str, object]] = []
    values: list[float] = []
    for number in range(60):
        is_adam = number % 2 == 0
        momentum = float(rng.random())
        settings.append({"optimizer": "adam"} if is_adam else {"optimizer": "sgd", "momentum": momentum})
        values.append(1.0 if is_adam else momentum)
    found = weights_of(Measured(tuple(settings), tuple(values), tuple(zip(settings, values, strict=True))))
    assert isinstance(found, ForestImportance)
    assert {each.setting for each in found.weights} == {"optimizer", "momentum"}
    assert found.r2 > 0.5
