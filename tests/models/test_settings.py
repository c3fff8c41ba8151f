"""Settings of trained models and of their losses: values out of bounds, and settings of other components."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun.config.resolve import resolve
from recrun.errors import ConfigError

BSL = ("loss=bsl", "similarity=cosine", "n_negatives=4")
RATE = "expected a number >= 0 and < 1, found"
RATES = ["1", "1.0", "2", "-0.1", "10%", "drop", "true", "null", ".nan", ".inf", "[0.1]"]
POSITIVE = "expected a number > 0, found"
NUMBERS = ["0", "0.0", "-1", "ones", "true", ".nan", ".inf", "[1]"]
FLAG = "expected true or false, found"
FLAGS = ["1", "0", "yes", "no", "null", "gelu", "[true]"]


@pytest.mark.parametrize(
    ("model", "given", "key", "expected", "value"),
    [
        *(("bprmf", BSL, "negative_exponent", "expected a number > 0 or null, found", value) for value in NUMBERS),
        *(("bprmf", BSL, "positive_temperature", POSITIVE, value) for value in NUMBERS),
        *(("enmf", (), "init_weight", POSITIVE, value) for value in NUMBERS),
        *(("bprmf", (), "embedding_dropout", RATE, value) for value in RATES),
        *(("bert4rec", (), "attention_dropout", RATE, value) for value in RATES),
        *(("bert4rec", (), "inner_dropout", RATE, value) for value in RATES),
        *(("bert4rec", (), "output_layer", FLAG, value) for value in FLAGS),
        *(("bert4rec", (), "tie_embeddings", FLAG, value) for value in FLAGS),
    ],
)
def test_a_value_out_of_bounds_is_refused(
    model: str, given: tuple[str, ...], key: str, expected: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=f"^argument {len(given) + 1}:{len(key) + 2}: {key}: {expected} "):
        resolve(model, [*given, f"{key}={value}"])


@pytest.mark.parametrize(
    ("model", "setting", "owner"),
    [
        ("bprmf", "negative_exponent=1.22", "loss bsl"),
        ("bprmf", "positive_temperature=0.1", "loss bsl"),
        ("bprmf", "init_weight=0.01", "model enmf"),
        ("simgcl", "layer_weights=[1]", "model lightgcn"),
        ("gru4rec", "norm=post", "model sasrec"),
        ("gru4rec", "output_layer=false", "model bert4rec"),
        ("gru4rec", "inner_dropout=0.2", "model bert4rec"),
        ("bprmf", "item_graph=paper", "model ultragcn"),
        ("xsimgcl", "layer=code", "model ngcf"),
    ],
)
def test_a_setting_of_another_component_is_refused(model: str, setting: str, owner: str) -> None:
    with pytest.raises(ConfigError, match=f"^argument 1:1: {setting.split('=')[0]}: is a setting of {owner}; this run"):
        resolve(model, [setting])


def test_the_papers_bsl_is_the_default_and_null_the_way_back_to_it(repository: Path) -> None:
    for extra in ([], ["negative_exponent=null"]):
        assert resolve("bprmf", [*BSL, *extra]).config.negative_exponent is None
    path = str(repository / "configs" / "gowalla" / "bsl.yaml")
    assert resolve(path).config.negative_exponent == 1.22
    assert resolve(path, ["negative_exponent=null"]).config.negative_exponent is None
