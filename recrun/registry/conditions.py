"""Evaluate the conditions between settings that types declare, such as `embedding_dim % n_heads == 0`.

A condition is read from a component's source like its settings, so it also works for a file of a user's own, which
checking a config never runs. It is not run as code: its syntax tree is walked. It may hold settings, literals,
comparisons, arithmetic, `and`, `or`, `not`, the functions of `FUNCTIONS`, and `setting.trait`, a trait of what the
setting chooses. A setting that the run does not have is None.
"""

from __future__ import annotations

import ast
import operator
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import PurePath
from typing import Any, Final

from recrun.errors import RegistryError
from recrun.registry import FORMATS
from recrun.registry.component import REQUIRED, Component, Parameter
from recrun.time_span import is_time_span
from recrun.types import AppliesIf, Where

COMPRESSED: Final = (".gz", ".zst")
"""The endings of compressed files, which say nothing about a file's format."""


class Unknown(Exception):
    """A condition that cannot be evaluated, because one of its settings is at fault itself."""


def plain_name(path: str) -> str:
    """Return a file's name without the ending of a compressed one."""
    return next((path.removesuffix(ending) for ending in COMPRESSED if path.endswith(ending)), path)


def format_told_by(path: str) -> str | None:
    """Return the name of the format that the extension of a file tells, or None."""
    extension = PurePath(plain_name(path)).suffix.lower()
    return next((component.name for component in FORMATS if extension in component.traits.extensions), None)


def last(values: Sequence[Any]) -> Any:
    """Return the last of some values."""
    return values[-1]


def same_file(path: str | None, other: str | None) -> bool:
    """Return whether two paths, if both are given, are the same."""
    return path is not None and path == other


def has_format(path: str | None, root: str) -> bool:
    """Return whether the extension of a file, if one is given, tells its format; of a folder, its files may."""
    if path is None or format_told_by(path) is not None:
        return True
    return os.path.isdir(os.path.join(os.path.expanduser(root), path))


def takes(key: str, format: str | None, *paths: str | None) -> bool:
    """Return whether a setting means something to files of a format, which is named or told by the first path given.

    A format that is not known takes every setting.
    """
    first = next((path for path in paths if path is not None), None)
    if format is None and first is not None:
        format = format_told_by(first)
    return format is None or format not in FORMATS or key not in FORMATS.describe(format).traits.without


def is_encoding(name: str) -> bool:
    """Return whether Python has a text encoding of a name."""
    try:
        b"text".decode(name, errors="replace")
    except (LookupError, ValueError):
        return False
    return True


def is_separator(text: str | None) -> bool:
    """Return whether a text can separate columns."""
    return text is None or set(text).isdisjoint('\r\n"')


def disjoint(some: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether two lists share no element."""
    return not set(some) & set(others)


def values(mapping: Mapping[str, Any]) -> list[Any]:
    """Return the values of a mapping."""
    return list(mapping.values())


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "disjoint": disjoint,
    "has_format": has_format,
    "is_encoding": is_encoding,
    "is_separator": is_separator,
    "is_time_span": is_time_span,
    "last": last,
    "len": len,
    "max": max,
    "min": min,
    "same_file": same_file,
    "takes": takes,
    "values": values,
}
"""What a condition may call."""

_OPERATORS: Final[Mapping[type, Callable[..., Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.RShift: operator.rshift,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
    ast.Not: operator.not_,
    ast.USub: operator.neg,
}

_NOT_COMPUTED: Final = (TypeError, ValueError, ArithmeticError, MemoryError, RecursionError)
_EXPRESSION: Final = re.compile(r"\{([^{}]+)\}")


class Settings:
    """The settings that conditions are about.

    Args:
        values: those with a valid value.
        declared: all that the run has; any other name stands for None.
        traits: returns the traits of what a setting chooses, or None.
    """

    def __init__(
        self, values: Mapping[str, Any], declared: Mapping[str, Any], traits: Callable[[str], Any] = lambda key: None
    ) -> None:
        self.values, self.declared, self.traits = values, declared, traits

    def holds(self, condition: str) -> bool:
        """Return whether a condition holds; one about a setting with a fault of its own, or on the size of null, does.

        Raises:
            RegistryError: it is not a condition, or cannot be computed from these values.
        """
        try:
            return bool(self._evaluate(parse(condition).body))
        except Unknown:
            return True
        except _NOT_COMPUTED as error:
            if any(self.values.get(name) is None for name in names(condition)):
                return True
            raise RegistryError(f"{condition!r} cannot be computed: {error}") from None

    def fill(self, text: str) -> str:
        """Return a message with the value of each expression in braces."""

        def value(match: re.Match[str]) -> str:
            try:
                found = self._evaluate(parse(match[1]).body)
            except (Unknown, *_NOT_COMPUTED):
                found = None
            return "null" if found is None else str(found)

        return _EXPRESSION.sub(value, text)

    def _evaluate(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                if name in self.values:
                    return self.values[name]
                if name in self.declared:
                    raise Unknown(name)
                return None
            case ast.Attribute(value=ast.Name(id=name), attr=trait):
                self._evaluate(node.value)
                return getattr(self.traits(name), trait, None)
            case ast.BoolOp(op=op, values=parts):
                result: Any = isinstance(op, ast.And)
                for part in parts:
                    result = self._evaluate(part)
                    if bool(result) != isinstance(op, ast.And):
                        break
                return result
            case ast.UnaryOp(op=op, operand=operand):
                return _OPERATORS[type(op)](self._evaluate(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](self._evaluate(left), self._evaluate(right))
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                values = [self._evaluate(each) for each in (left, *comparators)]
                pairs = zip(ops, values[:-1], values[1:], strict=True)
                return all(_OPERATORS[type(op)](one, other) for op, one, other in pairs)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return [self._evaluate(each) for each in elements]
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return FUNCTIONS[name](*map(self._evaluate, arguments))
        raise AssertionError("parse() lets nothing else through")


def inapplicable(parameter: Parameter, settings: Settings) -> str | None:
    """Return why a setting has no meaning among these, or None if it has one.

    Raises:
        RegistryError: one of its conditions is none.
    """
    conditions = (each for each in parameter.conditions if isinstance(each, AppliesIf))
    return next((settings.fill(each.reason) for each in conditions if not settings.holds(each.condition)), None)


def conditions_of_both(one: Parameter, other: Parameter) -> tuple[Where | AppliesIf, ...]:
    """Return the conditions on a setting that two components share: it applies if it does to either of them."""
    both = dict.fromkeys((*one.conditions, *other.conditions))
    shared = {*one.conditions} & {*other.conditions}
    return tuple(each for each in both if isinstance(each, Where) or each in shared)


def check_conditions(parameter: Parameter) -> None:
    """Check that the conditions on a setting can be read, whatever the values will be.

    Raises:
        RegistryError: they cannot; the message says which one.
    """
    for each in parameter.conditions:
        check_condition(each.condition, each.message if isinstance(each, Where) else each.reason)
        if isinstance(each, AppliesIf) and parameter.default is REQUIRED:
            raise RegistryError("AppliesIf needs a default, which holds where the setting does not apply")


def check_condition(condition: object, message: object) -> None:
    """Check that a condition and its message can be read.

    Raises:
        RegistryError: they cannot.
    """
    if not (isinstance(condition, str) and isinstance(message, str)):
        raise RegistryError(f"expected two texts, a condition and a message, found {condition!r} and {message!r}")
    for text in (condition, *_EXPRESSION.findall(message)):
        parse(text)


def check_declared(declared: object) -> None:
    """Check the attribute `conditions` of a data set's class; None if it has none.

    Raises:
        RegistryError: it is no `{setting: [(condition, message), ...]}`, or one of them cannot be read.
    """
    entries = declared.items() if isinstance(declared, dict) else () if declared is None else None
    pairs = [pair for _, each in entries or () for pair in (each if isinstance(each, (list, tuple)) else [each])]
    if (
        entries is None
        or not all(isinstance(key, str) for key, _ in entries)
        or not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs)
    ):
        raise RegistryError(f"conditions: expected {{setting: [(condition, message), ...]}}, found {declared!r}")
    for pair in pairs:
        check_condition(*pair)


@cache
def parse(condition: str) -> ast.Expression:
    """Return the syntax tree of a condition.

    Raises:
        RegistryError: it holds something else than a condition may.
    """
    try:
        tree = ast.parse(condition.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError) as error:
        shown = condition if len(condition) <= 80 else f"{condition[:77]}..."
        raise RegistryError(f"{shown!r} is not a condition on settings: {error}") from None
    for node in ast.walk(tree):
        is_operator = isinstance(node, (ast.operator, ast.unaryop, ast.cmpop)) and type(node) in _OPERATORS
        plain = (ast.Expression, ast.Constant, ast.Name, ast.expr_context, ast.BoolOp, ast.boolop, ast.UnaryOp)
        compound = (ast.BinOp, ast.Compare, ast.List, ast.Tuple)
        is_trait = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr[0] != "_"
        is_call = (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in FUNCTIONS
            and not node.keywords
            and not any(isinstance(each, ast.Starred) for each in node.args)
        )
        if not (is_operator or isinstance(node, (*plain, *compound)) or is_trait or is_call):
            raise RegistryError(f"{condition!r} is not a condition on settings: it holds {ast.unparse(node)!r}")
    return tree


def names(condition: str) -> list[str]:
    """Return the settings of a condition, in the order in which they occur."""
    found = [node.id for node in ast.walk(parse(condition)) if isinstance(node, ast.Name)]
    return [name for name in dict.fromkeys(found) if name not in FUNCTIONS]


def strange_names(component: Component, known: Mapping[str, Parameter]) -> dict[str, str]:
    """Return the names in a component's conditions that are not known, each with the setting that a condition is on."""
    own = [each.name for each in component.parameters if each.name in known]
    written = [(key, each.condition) for key in own for each in known[key].conditions]
    declared = getattr(component.traits, "conditions", None) or {}
    written += [(key, condition) for key, pairs in declared.items() for condition, _ in pairs]
    return {name: key for key, condition in written for name in (key, *names(condition)) if name not in known}
