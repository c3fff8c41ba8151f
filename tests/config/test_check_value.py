from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.config.check_value import Misfit, fit, json_schema, shown, type_name
from recrun.types import Fraction, Ge, MinLen, NonNegativeInt, PositiveFloat, PositiveInt, UnitInterval

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)
TYPES = [
    int,
    float,
    str,
    bool,
    PositiveInt,
    PositiveFloat,
    Fraction,
    UnitInterval,
    list[int],
    list[str],
    list[list[float]],
    Literal["a", 1, True],
    int | None,
    str | float,
    dict[str, int],
    list,
    dict,
    Any,
    Annotated[list[int], MinLen(1)],
]


@pytest.mark.parametrize(
    ("annotation", "value", "fitted"),
    [
        (float, 1, 1.0),
        (PositiveFloat, 1e-300, 1e-300),
        (Fraction, 0, 0.0),
        (UnitInterval, 1, 1.0),
        (int, 2**63 - 1, 2**63 - 1),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (list[PositiveInt] | None, None, None),
        (int | float, 2, 2),
        (float | int, 2, 2),
        (float | int, 2.5, 2.5),
        (Literal["dot", "cosine"], "dot", "dot"),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
    ],
)
def test_a_value_that_fits_is_taken(annotation: Any, value: Any, fitted: Any) -> None:
    result = fit(annotation, value)
    assert result == fitted
    assert type(result) is type(fitted)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, True),
        (int, 1.0),
        (int, "1"),
        (int, 2**63),
        (int, None),
        (float, True),
        (float, "1"),
        (float, math.inf),
        (float, math.nan),
        (float, 10**400),
        (bool, 1),
        (bool, "true"),
        (str, 1),
        (str, None),
        (PositiveInt, 0),
        (NonNegativeInt, -1),
        (PositiveFloat, 0),
        (Fraction, 1),
        (Fraction, -0.1),
        (UnitInterval, 1.01),
        (list[int], 1),
        (list[int], "12"),
        (list[int], {}),
        (list[list[int]], [1]),
        (Annotated[list[int], MinLen(1)], []),
        (Literal[1], True),
        (Literal["1"], 1),
        (int | None, "x"),
        (dict[str, int], {"a": "b"}),
        (dict, []),
    ],
)
def test_a_value_of_another_type_or_out_of_bounds_is_refused(annotation: Any, value: Any) -> None:
    with pytest.raises(Misfit):
        fit(annotation, value)


def test_the_element_to_blame_is_named() -> None:
    for annotation in (list[int], list[int] | None):
        with pytest.raises(Misfit) as caught:
            fit(annotation, [1, 2, "x"])
        assert caught.value.position == 2


@given(VALUES)
def test_whatever_the_value_it_fits_or_is_refused_and_fits_again(value: Any) -> None:
    for annotation in TYPES:
        try:
            fitted = fit(annotation, value)
        except Misfit:
            continue
        if annotation is not Any:
            assert fit(annotation, fitted) == fitted


def test_a_list_is_copied() -> None:
    given = [1, 2]
    assert fit(list[int], given) is not given


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (int, "an integer"),
        (PositiveInt, "an integer >= 1"),
        (Fraction, "a number >= 0 and < 1"),
        (bool, "true or false"),
        (list[float], "a list of numbers"),
        (list[str], "a list of text values"),
        (list[PositiveInt], "a list of integers >= 1"),
        (str | None, "text or null"),
        (Literal["a", "b"], "one of a, b"),
        (dict[str, int], "a mapping"),
        (None, "null"),
        (Annotated[list[int], MinLen(1)], "a list of integers with at least 1"),
        (list, "a list"),
        (Any, "any value"),
    ],
)
def test_a_type_has_a_name_for_people(annotation: Any, name: str) -> None:
    assert type_name(annotation) == name


def test_a_value_is_shown_as_it_was_written_and_never_at_length() -> None:
    assert shown(1e-3, "1e-3") == "1e-3 (a number)"
    assert shown(True) == "true (true or false)"
    assert shown(None, "~") == "null"
    assert len(shown("x" * 1000)) < 80
    assert "digits" in shown(10**5000) or len(shown(10**5000)) < 80


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (PositiveInt, {"type": "integer", "minimum": 1}),
        (Fraction, {"type": "number", "minimum": 0, "exclusiveMaximum": 1}),
        (PositiveFloat, {"type": "number", "exclusiveMinimum": 0}),
        (bool, {"type": "boolean"}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Annotated[list[int], MinLen(2)], {"type": "array", "items": {"type": "integer"}, "minItems": 2}),
        (Annotated[int, Ge(-1)], {"type": "integer", "minimum": -1}),
        (dict[str, int], {"type": "object"}),
        (Any, {}),
    ],
)
def test_a_type_has_a_json_schema(annotation: Any, schema: dict[str, Any]) -> None:
    assert json_schema(annotation) == schema


@given(VALUES)
def test_what_fits_agrees_with_the_json_schema(value: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for annotation in TYPES:
        try:
            fit(annotation, value)
        except Misfit:
            continue
        jsonschema.Draft202012Validator(json_schema(annotation)).validate(value)
