from __future__ import annotations

from typing import Any

import pytest

from recrun.sweep.view.importance import importance_table
from tests.sweep.view.conftest import lines_of

FOUND: dict[str, Any] = {
    "metric": "ndcg@20",
    "split": "valid",
    "points": 20,
    "method": "forest",
    "r2": 0.6412,
    "settings": [
        {"setting": "lr", "values": 20, "importance": 0.999, "sd": 0.1},
        {"setting": "optimizer", "values": 3, "importance": -0.0, "sd": 0.1},
    ],
    "best": {
        "points": 5,
        "settings": {
            "lr": {"best": [0.004, 0.01, 0.065], "all": [0.0001, 0.003, 0.1]},
            "optimizer": {"counts": [["adam", 5, 12], ["sgd", 0, 7], ["adagrad", 0, 1]]},
        },
    },
}


def shown(found: dict[str, Any] | None, width: int = 80) -> list[str]:
    return [line for table in importance_table(found) for line in lines_of(table, width)]


def test_each_setting_has_its_weight_and_what_the_best_have() -> None:
    title, head, _, *rows = shown(FOUND, 120)
    assert title == ("importance for ndcg@20: growth of a forest's squared error where values are exchanged (R2 0.64)")
    assert head.split() == ["setting", "importance", "best", "5", "all", "20"]
    assert rows[0].split(maxsplit=2) == ["lr", "99.9%", "0.004 to 0.065  0.0001 to 0.1"]
    assert rows[1].split(maxsplit=2) == ["optimizer", "0.0%", "5 adam          12 adam, 7 sgd, 1 adagrad"]


@pytest.mark.parametrize("width", [80, 60])
def test_many_settings_are_cut_to_a_few_lines(width: int) -> None:
    settings = [{"setting": f"a_setting_{n}", "values": 9, "importance": 0.1, "sd": 0.0} for n in range(12)]
    lines = shown({**FOUND, "settings": settings}, width)
    assert len(lines) <= 11
    assert all(len(line) <= width for line in lines)
    assert "and 6 more: sweep.json has all" in lines


def test_why_nothing_is_known_is_said_unless_the_study_is_small() -> None:
    reason = "all points have the same value"
    assert shown({"metric": "ndcg@20", "points": 12, "reason": reason}) == [
        f"importance for ndcg@20 is not known: {reason}"
    ]
    assert shown({"metric": "ndcg@20", "points": 6, "reason": "6 points are too few"}) == []
    assert shown(None) == []


def test_the_epoch_at_which_pruned_points_are_compared_is_told() -> None:
    assert shown({**FOUND, "epoch": 3}, 120)[0].startswith("importance for ndcg@20 at epoch 3: ")
