"""A sweep from Python: which lists are axes, and the arguments that they become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.errors import ConfigError
from recrun.sweep.planning.plan import plan_sweep
from recrun.sweep.space.python_axes import sweep_arguments


def test_a_list_is_an_axis_unless_the_setting_is_a_list_itself() -> None:
    arguments, axes = sweep_arguments(
        "bprmf",
        {
            "lr": [1e-3, 1e-4],
            "monitors": ["recall@10", "ndcg@10"],
            "groups": [[], ["activity:4"]],
            "seed": range(1, 4),
            "epochs": 3,
            "optimizer": ("adam", "sgd"),
        },
    )
    assert arguments == [
        "lr=0.001,0.0001",
        'monitors=["recall@10", "ndcg@10"]'.replace('"', ""),
        'groups=[],["activity:4"]',
        "seed=1,2,3",
        "epochs=3",
        "optimizer=adam,sgd",
    ]
    assert axes == ["lr", "groups", "seed", "optimizer"]


def test_values_reach_the_trials_with_their_types() -> None:
    odd = 'it\'s: [a], "b" 1..3'
    arguments, _ = sweep_arguments("bprmf", {"lr": np.array([1e-3, 1]), "description": odd, "loss": [None, "bce"]})
    trials = plan_sweep("bprmf", arguments).trials
    assert [(t.config["lr"], t.config["description"], t.config["loss"]) for t in trials] == [
        (0.001, odd, "bpr"),
        (0.001, odd, "bce"),
        (1.0, odd, "bpr"),
        (1.0, odd, "bce"),
    ]


def test_settings_of_components_that_are_swept_or_of_a_users_own_are_known(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from recrun.architectures import RecSysArch\n\n\nclass Own(RecSysArch):\n"
        "    def __init__(self, data, *, sizes: list[int] = [1], deep: list[list[int]] = [[1]]) -> None: ...\n"
    )
    own = f"{tmp_path}/own.py:Own"
    given: dict[str, Any] = {"sizes": [1, 2], "deep": [[1], [2]]}
    assert sweep_arguments({"model": own}, given) == (["sizes=[1, 2]", "deep=[[1], [2]]"], [])
    assert sweep_arguments("bprmf", {"model": ["bprmf", own], **given})[1] == ["model"]
    assert sweep_arguments({"model": own}, {"sizes": [[1], [2, 3]], "deep": [[[1]], [[2]]]})[1] == ["sizes", "deep"]


def test_faults_of_lists_are_reported_with_the_others() -> None:
    with pytest.raises(ConfigError) as error:
        sweep_arguments("bprmf", {"lr": [], "epochs": {3}, "batch_sise": 1, "seed": [1, 2]})
    assert [str(fault).partition(";")[0] for fault in error.value.faults] == [
        "epochs: expected a number, text, true or false, None, a list or a mapping, found a value of type set",
        "lr: has no values: the list is empty",
        "batch_sise: unknown setting",
    ]


def test_a_list_of_criteria_is_one_value() -> None:
    assert sweep_arguments("bprmf", {"which4best": ["ndcg@20", "recall@20"], "lr": [0.1, 0.2]}) == (
        ["which4best=[ndcg@20, recall@20]", "lr=0.1,0.2"],
        ["lr"],
    )


def test_the_text_of_a_range_is_an_axis_unless_the_setting_is_text() -> None:
    given = {
        "lr": "1e-4..1e-2:log",
        "description": "1..3",
        "embedding_dim": "16..64:16",
        "device": "cpu",
        "eval_test": True,
    }
    assert sweep_arguments("bprmf", given) == (
        ["lr=1e-4..1e-2:log", 'description="1..3"', "embedding_dim=16..64:16", "device=cpu", "eval_test=true"],
        ["lr", "embedding_dim"],
    )
    assert sweep_arguments("bprmf", {"lr": "1..2:lgo", "optimizer": ["adam", "sgd"], "momentum": "0..0.9"})[1] == [
        "lr",
        "optimizer",
        "momentum",
    ]
