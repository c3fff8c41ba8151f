"""Weights of settings by a forest: functions whose answer is known, and what cannot be told."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from recrun.sweep.importance.forest import MOST_POINTS, ForestImportance, forest_importance

Points = list[dict[str, Any]]


def _drawn(n: int, seed: int = 0) -> Points:
    rng = np.random.default_rng(seed)
    points: Points = []
    for _ in range(n):
        point = {
            "lr": float(10 ** rng.uniform(-5, -1)),
            "dropout": float(rng.uniform(0, 0.5)),
            "loss": str(rng.choice(["bpr", "bce", "ce"])),
            "optimizer": str(rng.choice(["adam", "sgd"])),
        }
        if point["optimizer"] == "sgd":
            point["momentum"] = float(rng.uniform(0, 0.9))
        points.append(point)
    return points


def _weights(found: ForestImportance | str) -> dict[str, float]:
    assert isinstance(found, ForestImportance), found
    return {each.setting: each.increase for each in found.weights}


def test_the_setting_that_decides_weighs_most_and_one_without_effect_about_nothing() -> None:
    points = _drawn(120)
    values = [-((math.log10(each["lr"]) + 3) ** 2) + (2.0 if each["loss"] == "ce" else 0.0) for each in points]
    found = forest_importance(points, values)
    weights = _weights(found)
    assert [*weights][:2] == ["lr", "loss"]
    assert weights["lr"] > 0.5
    assert weights["loss"] > 0.1
    assert max(abs(weights[name]) for name in ("dropout", "optimizer", "momentum")) < 0.05
    assert isinstance(found, ForestImportance)
    assert 0.7 < found.r2 < 1
    assert found.n_points == 120


def test_a_setting_that_only_some_points_have_weighs_where_it_decides() -> None:
    points = _drawn(150, seed=1)
    weights = _weights(forest_importance(points, [each.get("momentum", 0.3) for each in points]))
    assert next(iter(weights)) == "momentum"


def test_an_interaction_of_two_settings_is_found_where_neither_has_an_effect_of_its_own() -> None:
    rng = np.random.default_rng(2)
    points: Points = [{"a": float(a), "b": float(b), "c": float(c)} for a, b, c in rng.uniform(-1, 1, (300, 3))]
    weights = _weights(forest_importance(points, [float(np.sign(each["a"] * each["b"])) for each in points]))
    assert min(weights["a"], weights["b"]) > 0.3
    assert abs(weights["c"]) < 0.1


def test_noise_alone_is_refused_or_predicts_next_to_nothing() -> None:
    for seed in range(5):
        points, rng = _drawn(60, seed), np.random.default_rng(100 + seed)
        found = forest_importance(points, rng.normal(size=60).tolist())
        assert "does not predict the criterion" in found if isinstance(found, str) else found.r2 < 0.2


def test_the_same_points_have_the_same_weights_whatever_the_scale_of_numbers_and_values() -> None:
    points = _drawn(50)
    values = [math.log10(each["lr"]) + each["dropout"] for each in points]
    first = forest_importance(points, values)
    assert forest_importance(points, values) == first
    logs = [{**each, "lr": math.log10(each["lr"])} for each in points]
    assert _weights(forest_importance(logs, values)) == _weights(first)
    tiny = _weights(forest_importance(points, [math.ldexp(value, -700) for value in values]))
    assert tiny == _weights(first)
    assert _weights(forest_importance(points, values, seed=1)) != _weights(first)


@pytest.mark.parametrize(
    ("points", "values", "reason"),
    [
        (_drawn(9), [float(n) for n in range(9)], "9 points are too few for a forest, which needs 10"),
        (_drawn(10), [0.5] * 10, "all points have the same value"),
        ([{"lr": 1}] * 10, [float(n) for n in range(10)], "no setting has two values"),
        ([], [], "0 points are too few"),
    ],
)
def test_what_cannot_be_told_is_said(points: Points, values: list[float], reason: str) -> None:
    found = forest_importance(points, values)
    assert isinstance(found, str)
    assert found.startswith(reason)


@pytest.mark.slow
def test_of_very_many_points_some_are_drawn() -> None:
    points = _drawn(MOST_POINTS + 500)
    found = forest_importance(points, [math.log10(each["lr"]) for each in points])
    assert isinstance(found, ForestImportance)
    assert found.n_points == MOST_POINTS
    assert found.r2 > 0.9
