"""Read a component's settings from the imported object, where its source text does not say enough."""

from __future__ import annotations

import ast
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from recrun.registry.annotations import Unreadable, resolve_annotation, split_conditions
from recrun.registry.component import REQUIRED, Component, Parameter
from recrun.registry.modules import NOT_FOLLOWED, parse_once
from recrun.registry.read_source import argument_help, group_name, read_group
from recrun.registry.traits import Traits


def describe_object(kind: str, name: str, thing: Any, traits: Traits) -> Component:
    """Describe an imported class or function: the counterpart of reading its source.

    Raises:
        Unreadable: a setting's type is not one that a setting can have, or a group of settings cannot be read.
    """
    constructor = thing.__init__ if inspect.isclass(thing) else thing
    doc = _documentation(thing)
    parameters = object_parameters(constructor, doc, f"{kind} {name}")
    bases = tuple(base.__name__ for base in inspect.getmro(thing)[1:]) if inspect.isclass(thing) else ()
    return Component(kind, name, identity(thing), tuple(parameters), doc, bases, traits)


def object_parameters(constructor: Callable[..., Any], doc: str = "", owner: str = "") -> list[Parameter]:
    """Return the keyword-only parameters of a function or constructor, and those of the group it takes.

    Raises:
        Unreadable: a setting's type is not one that a setting can have, or the group cannot be read.
    """
    helps, parameters = argument_help(doc), []
    for parameter in inspect.signature(constructor).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            annotation = parameter.annotation
            if isinstance(annotation, str):
                annotation = resolve_annotation(_parsed(annotation))
            annotation, conditions = split_conditions(annotation)
            help = helps.get(parameter.name, "")
            parameters.append(Parameter(parameter.name, annotation, _default(parameter), help, owner, conditions))
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            parameters += _group(constructor, parameter.annotation, owner, helps)
    return parameters


def keyword_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the default of each keyword-only parameter, those of a group included; `REQUIRED` where there is none."""
    defaults: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            defaults[parameter.name] = _default(parameter)
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            defaults |= {each.name: each.default for each in _group(function, parameter.annotation, "", {})}
    return defaults


def _default(parameter: inspect.Parameter) -> Any:
    return REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default


def _group(function: Callable[..., Any], annotation: Any, owner: str, helps: Mapping[str, str]) -> list[Parameter]:
    """Return the settings of the group that `Unpack[Group]` names, read from the group's source; none without."""
    group: Any = next(iter(typing.get_args(annotation)), None)
    if isinstance(annotation, str):
        written = group_name(_parsed(annotation))
        if written is None:
            return []
        head, *rest = ast.unparse(written).split(".")
        group = reduce(lambda thing, name: getattr(thing, name, None), rest, function.__globals__.get(head))
        if group is None:
            raise Unreadable(f"{function.__qualname__}: there is no group of settings {ast.unparse(written)!r}")
    if not typing.is_typeddict(group):
        return []
    module = sys.modules[group.__module__]
    node = None
    if getattr(module, "__file__", None) is not None:
        source = parse_once(Path(str(module.__file__)), module.__name__)
        node = source.definitions.get(group.__name__)
    if not isinstance(node, ast.ClassDef):
        raise Unreadable(f"{function.__qualname__}: define the group of settings {group.__name__} in a file")
    return read_group(node, source, owner, helps)


def _parsed(annotation: str) -> ast.expr:
    try:
        return ast.parse(annotation, mode="eval").body
    except (SyntaxError, ValueError):
        raise Unreadable(f"{annotation!r} is not a type that a setting can have") from None


def identity(thing: Any) -> str:
    """Return the module and name that tell a class or function from all others."""
    return f"{thing.__module__}:{thing.__qualname__}"


def _documentation(thing: Any) -> str:
    """Return the docstring of a class and that of its constructor, or the docstring of a function."""
    docs = [thing.__doc__]
    if inspect.isclass(thing):
        owner = next(above for above in inspect.getmro(thing) if "__init__" in vars(above))
        # What torch or Python say of their own constructors says nothing of this class.
        docs.append(None if owner.__module__.partition(".")[0] in NOT_FOLLOWED else vars(owner)["__init__"].__doc__)
    return "\n\n".join(inspect.cleandoc(doc) for doc in docs if doc)
