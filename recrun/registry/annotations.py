"""Turn the source text of an annotation into the type of a setting."""

from __future__ import annotations

import ast
import typing
from typing import Any, Final, Optional, Union

import recrun.types
from recrun.errors import RegistryError
from recrun.registry.component import REQUIRED
from recrun.types import AppliesIf, Where

_NAMES: Final[dict[str, Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "list": list,
    "dict": dict,
    "Any": Any,
    "Optional": Optional,
    "Union": Union,
    **{name: getattr(recrun.types, name) for name in recrun.types.__all__},
}


class Unreadable(RegistryError):
    """A signature that cannot be understood without importing the module."""


def resolve_annotation(node: ast.expr) -> Any:
    """Return the type that an annotation's syntax tree stands for.

    Raises:
        Unreadable: the annotation is malformed, or uses a name that is not among the types of settings.
    """
    try:
        return _resolve(node)
    except (TypeError, ValueError, SyntaxError) as error:
        raise Unreadable(
            f"line {node.lineno}: {ast.unparse(node)!r} is not a type that a setting can have: {error}"
        ) from None


def split_default(annotation: Any) -> tuple[Any, Any]:
    """Return a type without the `Default` that it bears, and the default, or `REQUIRED`.

    >>> split_default(typing.Annotated[int, recrun.types.Default(3)])
    (<class 'int'>, 3)
    """
    bounds = getattr(annotation, "__metadata__", ())
    defaults = [bound.value for bound in bounds if isinstance(bound, recrun.types.Default)]
    if not defaults:
        return annotation, REQUIRED
    parts = (annotation.__origin__, *(bound for bound in bounds if not isinstance(bound, recrun.types.Default)))
    return (typing.Annotated[parts] if len(parts) > 1 else parts[0]), defaults[-1]


def split_conditions(annotation: Any) -> tuple[Any, tuple[Where | AppliesIf, ...]]:
    """Return a type without the conditions that it bears, and those.

    >>> split_conditions(typing.Annotated[int, Where("a > b", "too small")])
    (<class 'int'>, (Where(condition='a > b', message='too small'),))
    """
    bounds = getattr(annotation, "__metadata__", ())
    conditions = tuple(bound for bound in bounds if isinstance(bound, (Where, AppliesIf)))
    if not conditions:
        return annotation, ()
    parts = (annotation.__origin__, *(bound for bound in bounds if bound not in conditions))
    return (typing.Annotated[parts] if len(parts) > 1 else parts[0]), conditions


def _resolve(node: ast.expr) -> Any:
    match node:
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.Attribute(attr=name) if name in _NAMES:
            return _NAMES[name]
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=str() as text):
            return _resolve(ast.parse(text, mode="eval").body)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[_resolve(left), _resolve(right)]  # noqa: UP007 - the parts are values
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            values = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            return typing.Literal[tuple(ast.literal_eval(value) for value in values)]
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[base, *bounds])):
            parts = (_resolve(base), *map(_bound, bounds))
            return typing.Annotated[parts]
        case ast.Subscript(value=outer, slice=inner):
            arguments = tuple(map(_resolve, inner.elts if isinstance(inner, ast.Tuple) else [inner]))
            return _resolve(outer)[arguments if len(arguments) > 1 else arguments[0]]
    raise Unreadable(f"line {node.lineno}: {ast.unparse(node)!r} is not a type that a setting can have")


def _bound(node: ast.expr) -> Any:
    match node:
        case ast.Call(func=ast.Name(id=name), args=values, keywords=words) if name in _NAMES:
            named = {str(word.arg): ast.literal_eval(word.value) for word in words}
            return _NAMES[name](*map(ast.literal_eval, values), **named)
    raise Unreadable(f"line {node.lineno}: {ast.unparse(node)!r} is not a bound that a setting can have")
