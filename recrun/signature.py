"""Reading a component's settings from its source text, without importing it.

A component's keyword-only parameters are its config keys: name, type and default come from the signature, help from
the docstring. Importing a model imports torch, which takes seconds; parsing its source takes milliseconds. So `recrun
list` and `recrun validate` read the source, and a test compares what they read with what `inspect` says of the
imported object.
"""

from __future__ import annotations

import ast
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Optional, Union

import recrun.types
from recrun.errors import RegistryError


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()
"""Stands where a parameter has no default."""


@dataclass(frozen=True)
class Parameter:
    """One setting: a key of the configuration.

    Args:
        name: the key.
        annotation: its type: `int`, `PositiveFloat`, `list[int]`, `Literal["a", "b"]`, `str | None` and the like.
        default: the value when nobody sets it, or `REQUIRED`.
        help: one sentence for the user.
        owner: what declares it, as shown in messages ("run", "training", "model bprmf").
    """

    name: str
    annotation: Any
    default: Any = REQUIRED
    help: str = ""
    owner: str = "run"


@dataclass(frozen=True)
class Component:
    """What is known of a registered thing without importing it.

    Args:
        kind: "model", "loss", ...
        name: its name in the registry.
        target: `module:qualified.name`, or `path.py:Name` for a user's own file.
        parameters: its config keys, in the order of the signature.
        doc: its whole docstring.
        bases: the names of the classes it derives from, as written, nearest first.
        traits: the literal keywords of its `register` decorator: facts the config layer needs before import.
    """

    kind: str
    name: str
    target: str
    parameters: tuple[Parameter, ...] = ()
    doc: str = ""
    bases: tuple[str, ...] = ()
    traits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The first sentence of the docstring, on one line."""
        return " ".join(self.doc.strip().split("\n\n", maxsplit=1)[0].split())

    @property
    def source(self) -> str:
        """The paper or definition cited after *Source:* in the docstring, or ""."""
        match = re.search(r"\*?Source:?\*?:?\s*(.+?)(?:\n\s*\n|\Z)", self.doc, flags=re.DOTALL)
        return " ".join(match.group(1).split()) if match else ""


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
    """A signature that cannot be understood from its text alone."""


def resolve_annotation(node: ast.expr) -> Any:
    """Return the type that an annotation's syntax tree names, from the types that settings may have.

    Raises:
        Unreadable: the annotation uses a name that is not a settings type, or is malformed.
    """
    try:
        return _resolve(node)
    except (TypeError, ValueError, SyntaxError) as error:
        raise Unreadable(
            f"line {node.lineno}: {ast.unparse(node)!r} is not a type that a setting can have: {error}"
        ) from None


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
        case ast.Call(func=ast.Name(id=name), args=[value], keywords=[]) if name in _NAMES:
            return _NAMES[name](ast.literal_eval(value))
    raise Unreadable(f"line {node.lineno}: {ast.unparse(node)!r} is not a bound that a setting can have")


def argument_help(doc: str) -> dict[str, str]:
    """Return the help of each parameter from the `Args:` section of a docstring (Google style)."""
    match = re.search(r"^[ \t]*Args:[ \t]*\n(.*?)(?=^\S|^[ \t]*[A-Z]\w+:[ \t]*\n|\Z)", doc, re.DOTALL | re.MULTILINE)
    if not match:
        return {}
    entries: dict[str, str] = {}
    lines = [line for line in match.group(1).splitlines() if line.strip()]
    indent = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    current = ""
    for line in lines:
        entry = re.match(r"(\w+)(?: \([^)]*\))?:\s*(.*)", line[indent:])
        if entry:
            current = entry.group(1)
            entries[current] = entry.group(2)
        elif line.startswith(" " * (indent + 1)) and current:
            entries[current] += " " + line.strip()
        else:
            break
    return entries


def read_parameters(function: ast.FunctionDef, doc: str, owner: str) -> tuple[Parameter, ...]:
    """Return the keyword-only parameters of a function's syntax tree.

    Raises:
        Unreadable: a parameter has no annotation, or a default that is not a literal.
    """
    helps = argument_help(doc)
    parameters = []
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if argument.annotation is None:
            raise Unreadable(f"line {argument.lineno}: parameter {argument.arg!r} needs a type annotation")
        try:
            value = REQUIRED if default is None else ast.literal_eval(default)
        except ValueError:
            raise Unreadable(f"line {argument.lineno}: the default of {argument.arg!r} must be a literal") from None
        annotation = resolve_annotation(argument.annotation)
        parameters.append(Parameter(argument.arg, annotation, value, helps.get(argument.arg, ""), owner))
    return tuple(parameters)
