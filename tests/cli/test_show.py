from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from recrun.registry import REGISTRIES

from .conftest import Outcome, modules_after

Run = Callable[..., Outcome]
EVERYTHING = sorted({name for registry in REGISTRIES.values() for name in registry.names()})


def test_a_model_is_shown_with_its_source_and_its_settings(recrun: Run) -> None:
    outcome = recrun("show", "ease")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("model ease  (recrun.models.ease:EASE)\nPredict each item from all other items")
    assert "Source: Steck" in outcome.out
    assert "reg_weight" in outcome.out
    assert "a number > 0" in outcome.out


@pytest.mark.parametrize("name", EVERYTHING)
def test_everything_registered_can_be_shown(recrun: Run, name: str) -> None:
    assert recrun("show", name).code == 0
    documents = json.loads(recrun("show", name, "--json").out)
    assert all(document["name"] == name for document in documents)
    assert all(document["summary"] for document in documents)


def test_the_same_as_json_and_a_name_of_two_kinds_is_shown_twice(recrun: Run) -> None:
    documents = json.loads(recrun("show", "mse", "--json").out)
    assert [document["kind"] for document in documents] == ["loss", "metric"]
    (document,) = json.loads(recrun("show", "ease", "--json").out)
    assert document["parameters"][0] == {
        "name": "reg_weight",
        "type": "a number > 0",
        "schema": {"type": "number", "exclusiveMinimum": 0},
        "required": False,
        "default": 250.0,
        "help": "the L2 regularisation lambda.",
    }


def test_a_users_own_file_is_shown(recrun: Run) -> None:
    folder = recrun("show", "ease").folder
    (folder / "mine.py").write_text("class Mine:\n    'Be mine.'\n    def __init__(self, *, size: int): ...\n")
    outcome = recrun("show", "./mine.py:Mine")
    assert "Be mine." in outcome.out
    assert "required" in outcome.out


def test_what_takes_no_settings_says_so(recrun: Run) -> None:
    assert "has no settings" in recrun("show", "popularity").out


def test_an_unknown_name_names_the_nearest(recrun: Run) -> None:
    outcome = recrun("show", "bprfm")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: unknown component 'bprfm'; did you mean 'bprmf'? Available: ")


def test_torch_is_not_imported() -> None:
    assert modules_after("show", "bprmf", names=("torch", "numpy", "polars", "scipy")) == []
