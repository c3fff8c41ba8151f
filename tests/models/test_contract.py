"""The contract every registered model keeps, whatever its family."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun.config.resolve import resolve
from recrun.registry import MODELS
from recrun.workflows.check_model import RULES, Broken, Subject, better_than_chance

SLOW_LEARNERS = {
    "bert4rec": ["lr=0.003", "dropout=0.1", "mask_ratio=0.4", "init_std=0.1"],
    "recvae": ["n_clusters=8", "taste_strength=1", "popularity_exponent=1.2"],  # 4 of 16 epochs are the decoder's
    "bsarec": ["max_length=20", "batch_size=64", "dropout=0.1", "attention_dropout=0.1", "init_std=0.1"],
    "fmlprec": ["max_length=20", "batch_size=64", "dropout=0.1", "init_std=0.1"],
    "fearec": [
        *("max_length=20", "batch_size=64", "contrast_weight=0.02", "n_layers=1", "frequency_weight=0.5"),
        *("dropout=0.1", "attention_dropout=0.1", "init_std=0.1"),
    ],
    "duorec": [
        *("max_length=20", "batch_size=64", "contrast_weight=0.02", "n_layers=1"),
        *("dropout=0.1", "attention_dropout=0.1", "init_std=0.1"),
    ],
}
"""Settings by which a model that learns slowly learns within a few epochs."""


@pytest.fixture(scope="module", params=MODELS.names())
def subject(request: pytest.FixtureRequest) -> Subject:
    return Subject(request.param, SLOW_LEARNERS.get(request.param, ()))


def test_a_bundled_config_carries_the_models_name(subject: Subject) -> None:
    assert resolve(subject.name).config.model == subject.name


def test_the_docstring_cites_its_source(subject: Subject) -> None:
    component = MODELS.describe(subject.name)
    assert component.source
    assert component.summary.endswith(".")
    assert all(parameter.help for parameter in component.parameters), "every setting has its help"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_it_keeps_the_rule(subject: Subject, rule: object) -> None:
    assert callable(rule)
    if rule is better_than_chance and subject.name == "random":
        with pytest.raises(Broken, match="held-out items in the top"):
            rule(subject)
        return
    rule(subject)


def test_every_model_file_registers_the_model_of_its_name(repository: Path) -> None:
    files: set[str] = {path.stem for path in (repository / "models").glob("*.py")} - {"__init__"}
    assert files == set(MODELS.names())


def test_importing_the_folder_as_models_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import sys

    monkeypatch.syspath_prepend(str(repository))
    monkeypatch.delitem(sys.modules, "models", raising=False)
    with pytest.raises(ImportError, match=r"import recrun\.models"):
        importlib.import_module("models")
