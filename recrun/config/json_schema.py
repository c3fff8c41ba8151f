"""Build the JSON Schema (2020-12) of a config, with which editors complete keys and mark mistakes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from recrun.config.check_value import FILE_REFERENCE, json_schema
from recrun.config.draft import Choice, choose
from recrun.config.expected import expected_schema, tuned_for_schema
from recrun.config.find import EXPECTED, EXTENDS, SWEEP, TUNED_FOR
from recrun.config.monitor_names import LOSS, kind_of
from recrun.config.resolve import read
from recrun.config.settings import COMPONENTS
from recrun.config.sweep_section import section_definitions, section_schema
from recrun.config.trackers import further_reporters
from recrun.errors import ConfigError
from recrun.registry import METRICS, REPORTERS
from recrun.registry.component import REQUIRED, Component, Parameter

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_DEVICE: Final = {
    "anyOf": [
        {"enum": ["auto", "cpu", "cuda", "mps"]},
        {"type": "string", "pattern": "^(cuda:)?(0|[1-9][0-9]*)$"},
        {"type": "integer", "minimum": 0},
    ]
}


def config_schema(config: str | Path | None = None) -> dict[str, Any]:
    """Return the JSON Schema of all keys, or of those that apply to one config.

    It checks less than `recrun validate`: it does not say which settings fit together.

    Args:
        config: a path or the name of a bundled config, whose components decide which keys there are; None for the
            keys of everything registered.

    Raises:
        ConfigError: the config cannot be read, or names an unknown component.
    """
    if config is None:
        choice = Choice(unknown=set(COMPONENTS))
        title = "recrun config"
    else:
        reading, path = read(config)
        choice = choose(reading)
        faults = [*choice.faults, *([] if reading.complete else reading.faults)]
        if faults:
            raise ConfigError(faults)
        title = f"recrun config: {Path(path).name}"
    trackers = REPORTERS if config is None else choice.trackers
    components = [*choice.components.values(), *trackers, *choice.candidates()]
    properties = {parameter.name: _property(parameter) for parameter in choice.settings()}
    for name, declared in _by_name(components).items():
        properties.setdefault(name, _shared_property(declared))
    inherited = "config whose settings this one inherits: a path relative to this file, or a bundled config's name"
    base = {"type": "string"}
    bases = [base, {"type": "array", "items": base, "minItems": 1}]
    settings = tuple(properties)
    properties[EXTENDS] = {"anyOf": bases, "description": f"{inherited}; of several, the later win"}
    properties[EXPECTED] = expected_schema(_monitor(with_loss=False))
    properties[TUNED_FOR] = tuned_for_schema()
    properties[SWEEP] = section_schema(settings)
    required = ["model", *(p.name for c in choice.components.values() for p in c.parameters if p.default is REQUIRED)]
    return {
        "$schema": _DIALECT,
        "title": title,
        "type": "object",
        "properties": properties,
        "anyOf": [{"required": list(dict.fromkeys(required))}, {"required": [EXTENDS]}],
        "additionalProperties": False,
        "$defs": section_definitions(settings),
    }


def _by_name(components: Iterable[Component]) -> dict[str, list[Parameter]]:
    by_name: dict[str, list[Parameter]] = {}
    for component in components:
        for parameter in component.parameters:
            by_name.setdefault(parameter.name, []).append(parameter)
    return by_name


def _shared_property(declared: list[Parameter]) -> dict[str, Any]:
    """Return the schema of a key that several components share; a default or help on which they differ is left out."""
    schema = _property(declared[0])
    kinds = {repr(parameter.annotation): _value(parameter) for parameter in declared}
    if len(kinds) > 1:
        schema = {"anyOf": list(kinds.values()), "default": declared[0].default}
    owners = ", ".join(dict.fromkeys(parameter.owner for parameter in declared))
    helps = {parameter.help for parameter in declared}
    schema["description"] = f"{declared[0].help} ({owners})" if len(helps) == 1 else f"setting of {owners}"
    if any(parameter.default != declared[0].default for parameter in declared):
        schema.pop("default", None)
    return schema


def _property(parameter: Parameter) -> dict[str, Any]:
    schema = _value(parameter)
    if parameter.help:
        schema["description"] = parameter.help
    if parameter.default is not REQUIRED and parameter.name != "model":
        schema["default"] = parameter.default
    return schema


def _value(parameter: Parameter) -> dict[str, Any]:
    if parameter.name in COMPONENTS:
        schema: dict[str, Any] = {"anyOf": [{"enum": COMPONENTS[parameter.name].names()}, FILE_REFERENCE]}
    elif parameter.name == "monitors":
        return {"type": "array", "items": _monitor(with_loss=True)}
    elif parameter.name == "track":
        further = further_reporters()
        items = [*([{"enum": further}] if further else []), FILE_REFERENCE]
        return {"type": "array", "items": {"anyOf": items}}
    elif parameter.name == "which4best":
        one = _monitor(with_loss=False)
        schema = {"anyOf": [*one["anyOf"], {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}]}
    elif parameter.name == "device":
        return dict(_DEVICE)
    else:
        return json_schema(parameter.annotation)
    if parameter.default is None and parameter.name != "model":
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    return schema


def _monitor(*, with_loss: bool) -> dict[str, Any]:
    cutoffs = {metric.name: kind_of(metric).traits.cutoff for metric in METRICS}
    with_cutoff = [name for name, has_cutoff in cutoffs.items() if has_cutoff]
    without = [name for name, has_cutoff in cutoffs.items() if not has_cutoff]
    names = [*([LOSS] if with_loss else []), *without]
    pattern = {"type": "string", "pattern": f"^({'|'.join(with_cutoff)})@[1-9][0-9]*$"}
    own = {"type": "string", "pattern": FILE_REFERENCE["pattern"].replace("$", "(@[1-9][0-9]*)?$")}
    return {"anyOf": [*([{"enum": names}] if names else []), pattern, own]}
