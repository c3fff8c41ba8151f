from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recrun.config.find import bundled_configs, read_config
from recrun.config.json_schema import config_schema
from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.registry import REGISTRIES

jsonschema = pytest.importorskip("jsonschema")


def _checked(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that is a valid one; checking takes longer than validating by it."""
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


def _errors(schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(document)]


def _document(path: Path) -> dict[str, Any]:
    reading = read_config(path)
    expected = {} if reading.expected is None else {"expected": reading.expected.value}
    return {key: given.value for key, given in reading.checked().items()} | expected


@pytest.fixture(scope="module")
def general() -> dict[str, Any]:
    """The schema of all keys."""
    return _checked(config_schema())


@pytest.fixture(scope="module")
def known() -> set[str]:
    """The properties and definitions that were checked, as JSON; most of those of a config are those of others too."""
    return set()


@pytest.mark.parametrize("name", bundled_configs())
def test_every_bundled_config_and_its_resolved_form_are_valid(
    name: str, general: dict[str, Any], known: set[str]
) -> None:
    own = config_schema(name)
    unknown: dict[str, Any] = {}
    for part in ("properties", "$defs"):
        written = {key: json.dumps(each) for key, each in own[part].items()}
        unknown[part] = {key: each for key, each in own[part].items() if written[key] not in known}
        known.update(written.values())
    _checked({**own, **unknown})
    for document in (_document(bundled_configs()[name]), dict(resolve(name).config)):
        assert _errors(general, document) == []
        assert _errors(own, document) == []
    assert set(own["properties"]) == {*resolve(name).config, "extends", "expected", "tuned_for", "sweep"}


@pytest.mark.parametrize(
    "change",
    [
        {"epohs": 3},
        {"epochs": -1},
        {"epochs": "many"},
        {"lr": 0},
        {"optimizer": "adm"},
        {"model": "bprfm"},
        {"model": None},
        {"monitors": ["recall"]},
        {"monitors": ["auc@5"]},
        {"monitors": ["recall@0"]},
        {"monitors": ["./mine.py:diversity@0"]},
        {"which4best": "loss"},
        {"device": "gpu"},
        {"similarity": "cosin"},
        {"root": ["a"]},
        {"valid_ratio": 1},
        {"nesterov": "yes"},
        {"seed": -2},
        {"extends": 3},
    ],
)
def test_what_a_config_cannot_hold_is_invalid(general: dict[str, Any], change: dict[str, Any]) -> None:
    assert _errors(general, {"model": "bprmf", **change}) != []


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"model": "./a/mine.py:MyMF"},
        {"monitors": ["loss", "auc", "ndcg@5", "./mine.py:diversity@3", "mine.py:spread"]},
        {"which4best": None},
        {"device": 1},
        {"device": "cuda:1"},
        {"id": 7},
        {"early_stop_patience": None},
        {"extends": "ease"},
        {"lr": 1},
        {"split": "given"},
        {"n_users": 10, "momentum": 0.5, "reg_weight": 1.5},
    ],
)
def test_what_some_config_can_hold_is_valid(general: dict[str, Any], change: dict[str, Any]) -> None:
    assert _errors(general, {"model": "bprmf", **change}) == []


def test_a_model_is_needed_unless_it_may_be_inherited(general: dict[str, Any]) -> None:
    assert _errors(general, {"lr": 1}) != []
    assert _errors(general, {"extends": "base.yaml"}) == []


def test_the_schema_is_the_same_text_in_every_process() -> None:
    code = "import json; from recrun.config.json_schema import config_schema; print(json.dumps(config_schema()))"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


def test_the_schema_of_a_config_has_its_keys_only() -> None:
    assert "momentum" not in config_schema("bprmf")["properties"]
    assert "lr" not in config_schema("ease")["properties"]
    assert _errors(config_schema("ease"), {"model": "ease", "lr": 1}) != []


def test_every_key_says_what_it_is_and_what_it_is_without_being_set(general: dict[str, Any]) -> None:
    for key, schema in general["properties"].items():
        assert schema["description"], key
    assert general["properties"]["epochs"]["default"] == 100
    every = {
        p.name
        for plural, r in REGISTRIES.items()
        if plural not in ("metrics", "formats", "engines")
        for c in r
        for p in c.parameters
    }
    assert every <= set(general["properties"])


def test_a_config_with_other_faults_still_has_a_schema_and_one_that_names_nothing_known_has_none(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("model: bprmf\nepohs: 3\n")
    assert "epochs" in config_schema(file)["properties"]
    for text in ("model: bprfm\n", "model: [\n", "lr: 1\n"):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"a\.yaml:|model: must be set"):
            config_schema(file)


def test_a_setting_without_default_is_required(tmp_path: Path) -> None:
    text = "from recrun.architectures import RecSysArch\nclass Mine(RecSysArch):\n    'Mine.'\n"
    (tmp_path / "mine.py").write_text(f"{text}    def __init__(self, data, *, size: int): ...\n")
    (tmp_path / "a.yaml").write_text("model: ./mine.py:Mine\nsize: 2\n")
    schema = config_schema(tmp_path / "a.yaml")
    assert _errors(schema, {"model": "./mine.py:Mine"}) != []
    assert _errors(schema, {"model": "./mine.py:Mine", "size": 2}) == []


SECTION: dict[str, Any] = {
    "search": "tpe",
    "trials": 3,
    "seeds": [1, 2],
    "zip": [["lr", "batch_size"]],
    "points": [{"lr": 0.1, "loss": "bce"}],
    "budget": {"max_hours": 1.5},
    "space": {
        "lr": "1e-4..1e-2:log",
        "dropout": {"from": 0, "to": 0.5, "step": 0.1},
        "embedding_dim": [16, 32],
        "epochs": None,
        "optimizer": {"adam": {"beta2": [0.9, 0.99]}, "sgd": {"momentum": "0..0.9"}, "adamw": None},
    },
}


def test_the_section_of_a_sweep_is_described(general: dict[str, Any]) -> None:
    assert _errors(general, {"extends": ["base", "gowalla"], "sweep": SECTION}) == []


@pytest.mark.parametrize(
    "change",
    [
        {"serch": "tpe"},
        {"search": "tpee"},
        {"trials": 0},
        {"seeds": 0},
        {"zip": ["lr"]},
        {"zip": ["lr", "batch_sise"]},
        {"points": [{"lr": "fast"}]},
        {"points": []},
        {"budget": {"max_hour": 3}},
        {"space": {"lrr": [1, 2]}},
        {"space": {"lr": []}},
        {"space": {"lr": [0.1, "fast"]}},
        {"space": {"lr": {"from": 1}}},
        {"space": {"optimizer": {"adam": {"beta3": [0.9]}}}},
        {"space": {"optimizer": ["adam", "sgdd"]}},
    ],
)
def test_a_mistake_in_the_section_is_marked(general: dict[str, Any], change: dict[str, Any]) -> None:
    assert _errors(general, {"model": "bprmf", "sweep": {**SECTION, **change}}) != []


@pytest.mark.parametrize("bases", [[], [3], "", 3])
def test_bases_are_names(general: dict[str, Any], bases: Any) -> None:
    assert (_errors(general, {"extends": bases}) == []) is (bases == "")
