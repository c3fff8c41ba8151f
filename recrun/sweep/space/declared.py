"""Look up the types of the settings that a sweep varies, under every component that it may choose."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias, Union

from recrun.config.check_value import find_registered
from recrun.config.draft import choose, parser_of
from recrun.config.resolve import read
from recrun.config.settings import COMPONENTS
from recrun.sweep.space.arguments import Setting
from recrun.sweep.space.asked import Asked

Base: TypeAlias = "str | Path | Mapping[str, Any] | None"
"""The config that all trials share, as `recrun.config.resolve.resolve` takes it."""


@dataclass(frozen=True)
class Declared:
    """The settings that a run may have.

    Args:
        types: the types of each, which may differ with what is chosen.
        data: the data set's own settings.
    """

    types: Mapping[str, tuple[Any, ...]]
    data: frozenset[str] = frozenset()

    def number(self, key: str) -> type[int] | type[float] | None:
        """Return whether a setting is an integer or any number, or None if it is no number."""
        kinds = {kind for annotation in self.types.get(key, ()) for kind in _kinds(annotation)}
        return float if float in kinds else int if int in kinds else None

    def takes_numbers(self, key: str) -> bool:
        """Return whether some numbers are values of a setting, or it is not known."""
        return key not in self.types or bool({int, float, Any} & {k for each in self.types[key] for k in _kinds(each)})

    def chooses(self, key: str) -> bool:
        """Return whether the values of a setting are names, so that others may depend on which it is."""
        return key in COMPONENTS or any(_has_names(annotation) for annotation in self.types.get(key, ()))


def declared_settings(config: Base, asked: Asked) -> Declared:
    """Return the settings that a run of a sweep may have.

    Args:
        config: the base config; its faults are left to `resolve`.
        asked: what the sweep is asked to vary.
    """
    found: dict[str, list[Any]] = {}
    data: set[str] = set()
    points = [{key: value.text for key, value in point.items()} for point in asked.points]
    for selection in _selections(asked.settings):
        for point in points or [{}]:
            arguments = [f"{key}={text}" for key, text in {**selection, **point}.items()]
            choice = choose(read(config, arguments)[0])
            for name, parameter in parser_of(choice)[0].parameters.items():
                known = found.setdefault(name, [])
                known += [parameter.annotation] if parameter.annotation not in known else []
            if "dataset" in choice.components:
                data |= {parameter.name for parameter in choice.components["dataset"].parameters}
    return Declared({name: tuple(each) for name, each in found.items()}, frozenset(data))


def _selections(settings: Sequence[Setting]) -> Iterator[dict[str, str]]:
    """Yield the settings that have one value with the first of each that chooses a component, then with each other."""
    base: dict[str, str] = {}
    for each in settings:
        if each.values and (len(each.values) == 1 or each.key in COMPONENTS):
            first = each.values[0].text
            base |= {each.key: first, **next(_selections(each.branches.get(first, ())))}
    yield base
    for each in settings:
        for value in each.values if each.key in COMPONENTS else ():
            for inner in _selections(each.branches.get(value.text, ())):
                yield {**base, each.key: value.text, **inner}


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield the plain types of which the values of a setting are."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        yield from _kinds(arguments[0])
    elif origin in (Union, types.UnionType):
        for each in arguments:
            yield from _kinds(each)
    elif origin is not typing.Literal:
        yield annotation


def _has_names(annotation: Any) -> bool:
    if find_registered(annotation) is not None:
        return True
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return all(isinstance(each, str) for each in arguments)
    return origin in (Union, types.UnionType, Annotated) and any(_has_names(each) for each in arguments)
