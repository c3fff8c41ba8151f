"""Declare the section `sweep:` of a config, with what `recrun sweep` varies: its keys, and how they are inherited.

The section does not affect a run. `recrun.sweep.space.section` reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from recrun.config.check_value import json_schema
from recrun.config.reading import Given
from recrun.registry.component import Parameter
from recrun.types import Annotated, Ge, Literal, MinLen, NonNegativeInt, PositiveFloat, PositiveInt

KEY: Final = "sweep"
SPACE: Final = "space"
BUDGET: Final = "budget"


def _key(name: str, annotation: object, help: str) -> Parameter:
    return Parameter(name, annotation, None, help, KEY)


KEYS: Final = (
    _key(SPACE, dict, "what varies: values, a range, or what depends on a choice, by setting"),
    _key("points", Annotated[list[dict[str, Any]], MinLen(1)], "settings that are tried together, each with the space"),
    _key("zip", list, "settings that vary together: a list of them, or several lists"),
    _key(
        "search",
        Literal["grid", "random", "sobol", "tpe", "gp", "cmaes", "nsga2"],
        "how points are chosen; grid if not set",
    ),
    _key("trials", PositiveInt, "points that are tried"),
    _key("seeds", Annotated[int, Ge(1)] | list[int] | str, "seeds of each point: how many, or a list of them"),
    _key("prune", str, "how trials that do badly are ended early: asha, hyperband, median or wilcoxon, with options"),
    _key("race", bool, "add seeds only to points that are not significantly worse"),
    _key("generation", PositiveInt, "points that are drawn before the first of them has a result"),
    _key("search_seed", NonNegativeInt, "seed of the search"),
    _key(BUDGET, dict, "what a sweep may take"),
)
"""The keys of the section."""

BUDGET_KEYS: Final = (
    _key("max_hours", PositiveFloat, "hours after which no further trial starts"),
    _key("max_epochs", PositiveInt, "epochs that all trials may train together"),
    _key("timeout", PositiveFloat, "seconds after which a trial is ended as failed"),
    _key("retries", NonNegativeInt, "how often a trial that failed is repeated"),
)
"""The keys of `budget`."""

RANGE_KEYS: Final = (
    _key("from", int | float, "the smallest value"),
    _key("to", int | float, "the largest value"),
    _key("step", int | float, "the distance between values"),
    _key("log", bool, "whether values are drawn on a logarithmic scale"),
)
"""The keys of a range that is written as a mapping."""


def merge_sections(below: Given | None, above: Given | None) -> Given | None:
    """Return the section of a config together with that of a config which it extends.

    The extending file wins, key by key, and within `space` and `budget` setting by setting. A null takes back what is
    inherited. What is no mapping stays, and is a fault.
    """
    if below is None or above is None:
        return above if below is None else below
    if above.value is None:
        return None
    return _merged(below, above, (SPACE, BUDGET))


def _merged(below: Given, above: Given, inner: tuple[str, ...] = ()) -> Given:
    """Return two mappings in one; those under the keys `inner` likewise."""
    if not isinstance(below.value, Mapping) or not isinstance(above.value, Mapping):
        return above if isinstance(below.value, Mapping) else below
    parts = dict(below.parts)
    for key, part in above.parts.items():
        if part.value is None and key in parts:
            del parts[key]
        else:
            parts[key] = _merged(parts[key], part) if key in inner and key in parts else part
    return replace(above, value={key: part.value for key, part in parts.items()}, parts=parts)


def section_schema(settings: Iterable[str]) -> dict[str, Any]:
    """Return the JSON Schema of the section, which refers to `section_definitions`.

    Args:
        settings: the settings of a run, which are properties of the schema of the config.
    """
    values = {key: {"$ref": f"#/properties/{key}"} for key in settings}
    properties = _schema_of(KEYS)
    properties[SPACE]["$ref"] = "#/$defs/varied"
    properties["points"]["items"] = {"type": "object", "properties": values, "additionalProperties": False}
    together = {"type": "array", "items": {"enum": sorted(values)}, "minItems": 2}
    properties["zip"] |= {"anyOf": [together, {"type": "array", "items": together}]}
    numbers = {"type": "string", "pattern": r"^[0-9]+\.\.[0-9]+$"}
    properties["seeds"]["anyOf"] = [json_schema(PositiveInt), {"type": "array", "items": {"type": "integer"}}, numbers]
    properties[BUDGET] |= {"properties": _schema_of(BUDGET_KEYS), "additionalProperties": False}
    return {
        "type": "object",
        "description": "what recrun sweep varies on this config",
        "properties": properties,
        "additionalProperties": False,
    }


def section_definitions(settings: Iterable[str]) -> dict[str, Any]:
    """Return the JSON Schemas of what a space may say of each setting: values, a range, or what depends on a choice."""
    bounds = {
        "type": "object",
        "properties": _schema_of(RANGE_KEYS),
        "required": ["from", "to"],
        "additionalProperties": False,
    }
    text = {"type": "string", "pattern": r"^[-+]?[0-9][-+0-9.eE]*\.\.[-+]?[0-9][-+0-9.eE]*(:.*)?$"}
    branches = {"type": "object", "additionalProperties": {"anyOf": [{"$ref": "#/$defs/varied"}, {"type": "null"}]}}
    range_of, branch = {"$ref": "#/$defs/range"}, {"$ref": "#/$defs/branches"}
    varied = {}
    for key in settings:
        value = {"$ref": f"#/properties/{key}"}
        values = {"type": "array", "items": {"anyOf": [value, range_of]}, "minItems": 1}
        varied[key] = {"anyOf": [values, value, range_of, branch, {"type": "null"}]}
    return {
        "range": {"anyOf": [text, bounds]},
        "branches": branches,
        "varied": {"type": "object", "properties": varied, "additionalProperties": False},
    }


def _schema_of(keys: tuple[Parameter, ...]) -> dict[str, dict[str, Any]]:
    return {each.name: {**json_schema(each.annotation), "description": each.help} for each in keys}
