from __future__ import annotations

import json
from collections.abc import Callable

from recrun.config.json_schema import config_schema

from .conftest import Outcome, modules_after

Run = Callable[..., Outcome]


def test_the_schema_of_all_keys_or_of_one_config_is_printed_as_json(recrun: Run) -> None:
    assert json.loads(recrun("schema").out) == config_schema()
    assert json.loads(recrun("schema", "ease").out) == config_schema("ease")


def test_a_config_without_a_known_model_has_no_schema(recrun: Run) -> None:
    folder = recrun("schema").folder
    (folder / "a.yaml").write_text("model: bprfm\n")
    outcome = recrun("schema", "a.yaml")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: a.yaml:1:8: model: unknown model 'bprfm'")


def test_torch_is_not_imported() -> None:
    assert modules_after("schema", names=("torch", "numpy", "polars", "scipy", "rich")) == []
