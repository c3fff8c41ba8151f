"""Write a sweep that a program asks for as the arguments of `recrun sweep`.

A list of values is an axis, and so is the text of a range, such as "1e-4..1e-2:log". A setting that is itself a list,
such as `monitors`, has an axis only where a list of lists is given, and text that is no number stays text: the declared
type of a setting decides.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Annotated, Any, Final, Union

from recrun.config.draft import choose, parser_of
from recrun.config.given.python_values import KEYWORD, Unusable, plain_value
from recrun.config.resolve import read, resolve
from recrun.config.settings import COMPONENTS
from recrun.config.yaml_writer import dump_value
from recrun.errors import ConfigError, Fault
from recrun.sweep.space.declared import Base, Declared
from recrun.sweep.space.ranges import is_range

_LISTS: Final = ("which4best",)
"""Settings of which a list is one value, although the type of a run's is no list."""


def sweep_arguments(configs: Base | Sequence[Base], settings: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return `KEY=V1,V2`, `KEY=LOW..HIGH` and `KEY=VALUE` arguments, and the keys that vary.

    Args:
        configs: the base config, or several.
        settings: a value for each key, a list of values, or the text of a range.

    Raises:
        ConfigError: a value is none that a setting can have, or a list is empty.
    """
    bases = configs if isinstance(configs, Sequence) and not isinstance(configs, str) else [configs]
    plain: dict[str, Any] = {}
    faults: list[Fault] = []
    for key, value in settings.items():
        try:
            plain[key] = plain_value(value, key)
        except Unusable as error:
            faults.append(KEYWORD.fault(str(error), key))
    lists = {key: value for key, value in plain.items() if isinstance(value, list)}
    texts = {key: value for key, value in plain.items() if isinstance(value, str) and is_range(value)}
    types = _declared_types(bases, plain) if lists or texts else {}
    depths = {key: max(map(_depth_of_type, known)) for key, known in types.items()}
    ranges = [key for key in texts if Declared(types).takes_numbers(key)]
    axes = {key: value for key, value in lists.items() if _depth(value) > max(depths.get(key, 0), key in _LISTS)}
    faults += [KEYWORD.fault("has no values: the list is empty", key) for key, value in axes.items() if not value]
    if faults:
        usable = {key: axes[key][0] if key in axes else value for key, value in plain.items() if axes.get(key) != []}
        raise ConfigError([*faults, *_faults_of(bases[0], usable)])
    written = {
        key: ",".join(map(dump_value, axes[key])) if key in axes else value if key in ranges else dump_value(value)
        for key, value in plain.items()
    }
    arguments = [f"{key}={text}" for key, text in written.items()]
    return arguments, [key for key in plain if key in ranges or len(axes.get(key, ())) > 1]


def _faults_of(config: Base, settings: Mapping[str, Any]) -> list[Fault]:
    """Return the faults of settings themselves; others may only be consequences of what is missing."""
    try:
        resolve(config, settings)
    except ConfigError as error:
        return [fault for fault in error.faults if fault.file == KEYWORD.file]
    return []


def _declared_types(configs: Sequence[Base], settings: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return the types of each setting that a trial may have."""
    types: dict[str, tuple[Any, ...]] = {}
    for config, given in product(configs, list(_with_each_component(settings))):
        choice = choose(read(config, given)[0])
        for name, parameter in parser_of(choice)[0].parameters.items():
            types[name] = (*types.get(name, ()), parameter.annotation)
    return types


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
