"""Write a sweep that a program asks for as the arguments of `recrun sweep`.

A list of values is an axis. A setting that is itself a list, such as `monitors`, has an axis only where a list of lists
is given, so the declared type of a setting decides.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union

from recrun.config.draft import COMPONENTS, choose, parser_of
from recrun.config.given.python_values import KEYWORD, Unusable, plain_value
from recrun.config.resolve import read, resolve
from recrun.config.yaml_writer import dump_value
from recrun.errors import ConfigError, Fault
from recrun.sweep.plan import Base


def sweep_arguments(config: Base, settings: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return `KEY=V1,V2` and `KEY=VALUE` arguments, and the keys that have several values.

    Args:
        config: the base config.
        settings: a value for each key, or a list of values.

    Raises:
        ConfigError: a value is none that a setting can have, or a list is empty.
    """
    plain: dict[str, Any] = {}
    faults: list[Fault] = []
    for key, value in settings.items():
        try:
            plain[key] = plain_value(value, key)
        except Unusable as error:
            faults.append(KEYWORD.fault(str(error), key))
    lists = {key: value for key, value in plain.items() if isinstance(value, list)}
    depths = _declared_depths(config, plain) if lists else {}
    axes = {key: value for key, value in lists.items() if _depth(value) > depths.get(key, 0)}
    faults += [KEYWORD.fault("has no values: the list is empty", key) for key, value in axes.items() if not value]
    if faults:
        usable = {key: axes[key][0] if key in axes else value for key, value in plain.items() if axes.get(key) != []}
        raise ConfigError([*faults, *_faults_of(config, usable)])
    arguments = [
        f"{key}={','.join(map(dump_value, axes[key])) if key in axes else dump_value(value)}"
        for key, value in plain.items()
    ]
    return arguments, [key for key, values in axes.items() if len(values) > 1]


def _faults_of(config: Base, settings: Mapping[str, Any]) -> list[Fault]:
    """Return the faults of settings themselves; others may only be consequences of what is missing."""
    try:
        resolve(config, settings)
    except ConfigError as error:
        return [fault for fault in error.faults if fault.file == KEYWORD.file]
    return []


def _declared_depths(config: Base, settings: Mapping[str, Any]) -> dict[str, int]:
    """Return how deeply lists are nested in the type of each setting that a trial may have; 0 for no list."""
    depths: dict[str, int] = {}
    for given in _with_each_component(settings):
        choice = choose(read(config, given)[0])
        for name, parameter in parser_of(choice)[0].parameters.items():
            depths[name] = max(depths.get(name, 0), _depth_of_type(parameter.annotation))
    return depths


def _with_each_component(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the settings with a single value, together with each value of one that chooses a component."""
    single = {key: value for key, value in settings.items() if not isinstance(value, list)}
    chosen = {key: settings[key] for key in COMPONENTS if isinstance(settings.get(key), list) and settings[key]}
    first = {**single, **{key: values[0] for key, values in chosen.items()}}
    yield first
    for key, values in chosen.items():
        yield from ({**first, key: value} for value in values[1:])


def _depth(value: Any) -> int:
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def _depth_of_type(annotation: Any) -> int:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _depth_of_type(arguments[0])
    if origin in (Union, types.UnionType):
        return max(map(_depth_of_type, arguments))
    if annotation is list or origin is list:
        return 1 + (_depth_of_type(arguments[0]) if arguments else 0)
    return 0
