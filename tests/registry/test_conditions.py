from __future__ import annotations

from typing import Any

import pytest

from recrun.config.settings import RUN, TRAINING
from recrun.data.formats.opening import COMPRESSIONS
from recrun.errors import RegistryError
from recrun.registry import DATASETS, FORMATS, LOSSES, MODELS, OPTIMIZERS, REPORTERS, SAMPLERS, SCHEDULERS
from recrun.registry.component import Component
from recrun.registry.conditions import COMPRESSED, FUNCTIONS, Settings, has_format, names, parse

VALUES = {"a": 6, "b": 4, "text": "x", "nothing": None, "path": "u.csv.gz", "other": "u.csv", "some": ["x", "y"]}


def _holds(condition: str, **declared: Any) -> bool:
    return Settings(VALUES, {**VALUES, **declared}).holds(condition)


@pytest.mark.parametrize(
    "condition",
    [
        "a > b",
        "a % b == 2",
        "a // b == 1 and a - b < 3",
        "a / 2 == 3.0",
        "4 <= b < a",
        "not a < b",
        "-a < 0",
        "a >> 1 == 3",
        "text in ['x', 'y']",
        "text not in ('a', 'b')",
        "nothing is None or nothing > 3",
        "text is not None",
        "max(a, b) == 6 and min(a, b) == 4",
        "len(some) == 2",
        "same_file(path, path) and not same_file(path, other)",
        "not same_file(path, nothing)",
        "has_format(path, 'data') and has_format(nothing, 'data')",
        "not has_format('u.foo', 'data') and has_format('.', '.')",
        "is_encoding('utf-8') and not is_encoding('utf-9')",
        "is_separator('::') and not is_separator(text + '\\n')",
        "disjoint(some, ['z']) and not disjoint(some, ['y'])",
        "undeclared is None",
        "undeclared.trait is None",
    ],
)
def test_a_condition_holds_as_python_would_say(condition: str) -> None:
    assert _holds(condition)
    assert not _holds(f"not ({condition})")


@pytest.mark.parametrize("condition", ["faulty > 3", "faulty % a == 0", "undeclared > 3", "nothing % 2 == 0"])
def test_a_condition_on_a_faulty_setting_or_on_the_size_of_null_holds(condition: str) -> None:
    assert _holds(condition, faulty=1)


@pytest.mark.parametrize(
    "condition",
    [
        *("text > 3", "a % 0 == 1", "a / 0 > 1", "a >> -1 == 0", "max([]) > 1", "len(a) > 1", "len() > 1", "a in b"),
        *("text % 2 == 'x'", "'a%' % 2 == 'a'", "some - some == 0", "disjoint([[1]], some)", "max(a, text) > 1"),
        *("len > 1", "a.trait > 1", "same_file(a)", "-text == 1", "is_encoding(a)"),
        f"{' * '.join(['a'] * 999)} / 2 > 1",
        "len('xxxxxxxx' * 9223372036854775807) > 1",
    ],
)
def test_a_condition_that_cannot_be_computed_is_an_error_and_never_holds(condition: str) -> None:
    with pytest.raises(RegistryError, match=r"cannot be computed: |is not a condition"):
        _holds(condition)


def test_a_trait_of_what_a_setting_chooses_can_be_asked_for() -> None:
    traits = {"split": DATASETS.describe("LabelledFile").traits}
    settings = Settings({"split": "x"}, {"split": "x"}, traits.get)
    assert settings.holds("split.labelled == True")
    assert settings.holds("split.unheard_of is None")


def test_a_message_shows_the_values_of_its_expressions() -> None:
    settings = Settings(VALUES, VALUES)
    assert settings.fill("{a} and {nothing}, {a * b} at most, {undeclared}") == "6 and null, 24 at most, null"


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "a >",
        "a = 3",
        "import os",
        "a; b",
        "__import__('os')",
        "open('x')",
        "a.__class__",
        "a._private",
        "(a + b).bit_length()",
        "some[0]",
        "[x for x in some]",
        "lambda: a",
        "f'{a}'",
        "{a: b}",
        "{a, b}",
        "a ** b",
        "a << 99",
        "a | b",
        "a if b else c",
        "max(*some)",
        "max(a, key=b)",
        "(yield)",
        "(a := 3)",
        "a." * 200,
        "(" * 300,
        "\x00",
    ],
)
def test_nothing_else_is_a_condition(condition: str) -> None:
    with pytest.raises(RegistryError, match="is not a condition on settings"):
        parse(condition)


def test_the_settings_of_a_condition_are_named_once() -> None:
    assert sorted(names("max(a, b) > c and a < 3")) == ["a", "b", "c"]
    assert not set(names("len(a) > 3")) & set(FUNCTIONS)


def test_compressed_files_are_those_that_recrun_opens() -> None:
    assert set(COMPRESSED) == set(COMPRESSIONS) - {""}
    for component in FORMATS:
        for extension in component.traits.extensions:
            assert has_format(f"some/log{extension}", "data")
            assert has_format(f"log{extension.upper()}.gz", "data")


def _components() -> list[Component]:
    chosen = (MODELS, DATASETS, LOSSES, OPTIMIZERS, SCHEDULERS, SAMPLERS, REPORTERS)
    return [component for registry in chosen for component in registry]


@pytest.mark.parametrize("component", _components(), ids=lambda component: f"{component.kind} {component.name}")
def test_the_conditions_of_every_component_name_settings_that_exist(component: Component) -> None:
    known = {parameter.name for parameter in (*RUN, *TRAINING)}
    known |= {parameter.name for each in _components() for parameter in each.parameters}
    written = [each.condition for parameter in component.parameters for each in parameter.conditions]
    declared = getattr(component.traits, "conditions", None) or {}
    written += [condition for conditions in declared.values() for condition, _ in conditions]
    assert {name for condition in written for name in names(condition)} <= known
    assert set(declared) <= known
