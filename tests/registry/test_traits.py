"""Traits: what a component says of itself before it is imported, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recrun.config.resolve import resolve
from recrun.errors import ConfigError, RegistryError
from recrun.registry import LOSSES, MODELS, REGISTRIES
from recrun.registry.traits import LossTraits, MetricKindTraits, MetricTraits, ModelTraits, SamplerTraits, read_traits
from recrun.workflows.check_model import check

MODEL = """
from recrun.architectures import RecSysArch
from recrun.registry import MODELS


@MODELS.register("typo", {traits})
class Typo(RecSysArch):
    '''A model with traits.'''
"""


@pytest.fixture
def typo(tmp_path: Path) -> str:
    """A model in a user's own file whose traits are misspelt."""
    path = tmp_path / "typo.py"
    path.write_text(MODEL.format(traits='los="bce", vektors=False'), encoding="utf-8")
    return f"{path}:Typo"


MISSPELT = (
    r"typo\.py:6: model 'typo': unknown trait 'los', did you mean 'loss'\?; unknown trait 'vektors', did you mean"
)


def test_an_unknown_trait_is_refused_by_the_registry_with_the_nearest_name(typo: str) -> None:
    with pytest.raises(RegistryError, match=MISSPELT):
        MODELS.describe(typo)


def test_an_unknown_trait_is_a_fault_of_a_config(typo: str) -> None:
    with pytest.raises(ConfigError, match=MISSPELT):
        resolve("bprmf", [f"model={typo}"])


def test_an_unknown_trait_is_refused_when_a_model_is_checked(typo: str) -> None:
    with pytest.raises(RegistryError, match=MISSPELT):
        check(typo)


def test_an_unknown_trait_is_refused_when_the_class_is_registered() -> None:
    with pytest.raises(RegistryError, match=r"unknown trait 'los', did you mean 'loss'\?"):

        @MODELS.register("typo_at_run_time", los="bce")
        class Typo:
            """A class."""

    assert "typo_at_run_time" not in MODELS


@pytest.mark.parametrize(
    ("kind", "written", "message"),
    [
        (ModelTraits, {"vectors": "no"}, "'vectors' expects True or False, found 'no'"),
        (ModelTraits, {"losses": "bce"}, "'losses' expects a tuple, each item being a string, found 'bce'"),
        (ModelTraits, {"scores": "cosin"}, "'scores' expects one of 'any', 'cosine', found 'cosin', did you mean 'cos"),
        (ModelTraits, {"family": "RowsArch"}, "'family' is an attribute of the class; set it in the class body"),
        (MetricTraits, {"kind": 3}, "'kind' expects a string, found 3"),
        (
            MetricKindTraits,
            {"evaluations": ("rankin",)},
            "each item one of 'ranking', 'predictions', found ('rankin',)",
        ),
        (LossTraits, {"min_negatives": True}, "'min_negatives' expects an integer, found True"),
        (SamplerTraits, {"colour": "red"}, "unknown trait 'colour', available: draws, min_negatives"),
    ],
)
def test_a_trait_of_another_type_is_refused(kind: type[Any], written: dict[str, Any], message: str) -> None:
    with pytest.raises(RegistryError) as caught:
        read_traits(kind, written, "here")
    assert str(caught.value).startswith("here: ")
    assert message in str(caught.value)


def test_every_built_in_component_has_traits_of_its_kind() -> None:
    for registry in REGISTRIES.values():
        assert {type(component.traits) for component in registry} == {registry.traits}


def test_what_follows_from_traits_is_not_written_twice() -> None:
    assert LOSSES.describe("bpr").traits.takes_negatives
    assert not LOSSES.describe("cross_entropy").traits.takes_negatives
    assert not LOSSES.describe("directau").traits.takes_negatives
