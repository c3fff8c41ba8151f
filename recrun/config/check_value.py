"""Check a value against its setting's type, name the type in messages, and give its JSON Schema.

A setting's type is an ordinary annotation made of int, float, str, bool, None, list, dict, Literal, unions, and the
bounds of `recrun.types`. Values are what YAML can express.
"""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Union

from recrun.errors import RegistryError
from recrun.registry import REGISTRIES, choices
from recrun.registry.component import REQUIRED, Component, Parameter
from recrun.registry.conditions import check_conditions
from recrun.registry.user_files import is_file_reference
from recrun.types import AppliesIf, Default, EmptyIsText, MinLen, Registered, Where

_LARGEST: Final = 2**63 - 1
"""Larger integers are refused: they do not fit into the 64 bits that torch and numpy use."""

_BOUNDS: Final = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
_PLAIN: Final = {int: "an integer", float: "a number", str: "text", bool: "true or false", Any: "any value"}


FILE_REFERENCE: Final = {"type": "string", "pattern": r"\.py:[A-Za-z_][A-Za-z0-9_]*$"}
"""The JSON Schema of `path/to/file.py:Name`."""


class Misfit(ValueError):
    """A value that does not fit its setting's type; `position` is the faulty element of a list, or None."""

    def __init__(self, position: int | None = None) -> None:
        super().__init__(position)
        self.position = position


def fit(annotation: Any, value: Any) -> Any:
    """Return the value converted to its setting's type: an integer becomes a float if need be, and lists are copied.

    Raises:
        Misfit: the type is wrong or the value out of bounds; text never counts as a number, nor 1 as true.

    >>> fit(float, 1), fit(list[int], [1, 2])
    (1.0, [1, 2])
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return value
    if origin is typing.Annotated:
        fitted = fit(arguments[0], value)
        if not all(_within(bound, fitted) for bound in arguments[1:]):
            raise Misfit
        return fitted
    if origin is typing.Literal:
        for choice in arguments:
            if type(choice) is type(value) and choice == value:
                return value
        raise Misfit
    if origin in (Union, types.UnionType):
        return _fit_any(arguments, value)
    if annotation is list or origin is list:
        return _fit_list(arguments[0] if arguments else Any, value)
    if annotation is dict or origin is dict:
        return _fit_dict(arguments[1] if arguments else Any, value)
    return _fit_scalar(annotation, value)


def _fit_scalar(annotation: Any, value: Any) -> Any:
    if annotation is float and type(value) in (int, float):
        number = float(value) if isinstance(value, float) or abs(value) <= _LARGEST else math.inf
        if math.isfinite(number):
            return number
        raise Misfit
    kind = type(None) if annotation is None else annotation
    if type(value) is not kind or (isinstance(value, int) and abs(value) > _LARGEST):
        raise Misfit
    return value


def _fit_any(choices: tuple[Any, ...], value: Any) -> Any:
    misfit = Misfit()
    # If the type allows both, a whole number stays an integer.
    for choice in sorted(choices, key=lambda choice: choice is float):
        try:
            return fit(choice, value)
        except Misfit as error:
            misfit = error if error.position is not None else misfit
    raise misfit


def _fit_list(element: Any, value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise Misfit
    fitted = []
    for position, each in enumerate(value):
        try:
            fitted.append(fit(element, each))
        except Misfit:
            raise Misfit(position) from None
    return fitted


def _fit_dict(element: Any, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misfit
    return {key: fit(element, each) for key, each in value.items()}


def _within(bound: Any, value: Any) -> bool:
    if value is None:
        return True  # Only a type that allows null gets here.
    if isinstance(bound, MinLen):
        return len(value) >= bound.min_length
    if isinstance(bound, Registered):
        return (bound.files and is_file_reference(value)) or value in choices(bound)
    checks = {"ge": value.__ge__, "gt": value.__gt__, "le": value.__le__, "lt": value.__lt__}
    return all(bool(check(getattr(bound, name))) for name, check in checks.items() if hasattr(bound, name))


def misdeclared(component: Component) -> dict[str, str]:
    """Return what is wrong with the settings that a component of a user's own declares, by their names.

    The components of recrun are not looked at: its tests do that.
    """
    if not is_file_reference(component.name):
        return {}
    found = {}
    for parameter in component.parameters:
        owner, why = parameter.owner, unusable(parameter.annotation)
        try:
            if why is not None:
                found[parameter.name] = f"{owner} cannot have a setting of this type: {why}"
            elif parameter.default is not REQUIRED:
                fit(parameter.annotation, parameter.default)
            check_conditions(parameter)
        except Misfit:
            expected = f"expected {type_name(parameter.annotation)}, found {shown(parameter.default)}"
            found[parameter.name] = f"{owner} gives it a default that it cannot have: {expected}"
        except RegistryError as error:
            found[parameter.name] = f"{owner} has a faulty condition on it: {error}"
    return found


def without_mistakes(component: Component, mistakes: Mapping[str, str]) -> Component:
    """Return a component whose mistaken settings take any value, so that only the mistakes themselves are faults."""
    free = {key: Parameter(key, Any, None) for key in mistakes}
    return replace(component, parameters=tuple(free.get(each.name, each) for each in component.parameters))


def unusable(annotation: Any) -> str | None:
    """Return why no setting can have a type, or None if one can."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        base, *bounds = arguments
        return unusable(base) or next((why for bound in bounds if (why := _misplaced(bound, base))), None)
    if origin in (Union, types.UnionType):
        return next((why for each in arguments if (why := unusable(each))), None)
    if origin is typing.Literal and all(isinstance(each, (str, int, float, types.NoneType)) for each in arguments):
        return None
    if (origin is list and len(arguments) == 1) or (origin is dict and arguments[:-1] == (str,)):
        return unusable(arguments[-1])
    if annotation in (int, float, str, bool, list, dict, None, types.NoneType, Any):
        return None
    if annotation is inspect.Parameter.empty:
        return "it has no annotation"
    return f"{getattr(annotation, '__name__', annotation)} is not among the types of settings"


def _misplaced(bound: Any, base: Any) -> str | None:
    """Return why a bound says nothing about values of a type, or None if it does."""
    kinds = set(typing.get_args(base) if typing.get_origin(base) in (Union, types.UnionType) else (base,))
    numbers = [getattr(bound, name) for name, _ in _BOUNDS if hasattr(bound, name)]
    if isinstance(bound, (Where, AppliesIf, Default)):
        return f"{type(bound).__name__} must be outermost, as in Annotated[int | None, {type(bound).__name__}(...)]"
    if isinstance(bound, Registered) and bound.kinds not in REGISTRIES:
        return f"{bound.kinds!r} is no kind of component (available: {', '.join(REGISTRIES)})"
    if numbers and not (kinds & {int, float} and all(type(number) in (int, float) for number in numbers)):
        return f"{bound!r} is a bound of numbers, by a number"
    if isinstance(bound, MinLen) and not any(each is list or typing.get_origin(each) is list for each in kinds):
        return f"{bound!r} is a bound of lists"
    if isinstance(bound, (Registered, EmptyIsText)) and str not in kinds:
        return f"{bound!r} is a bound of text"
    return None


def find_registered(annotation: Any) -> Registered | None:
    """Return the `Registered` bound in a type, or None if its values do not name registered things."""
    for part in typing.get_args(annotation):
        found = part if isinstance(part, Registered) else find_registered(part)
        if found is not None:
            return found
    return None


def type_name(annotation: Any) -> str:
    """Return the words for a setting's type in messages.

    >>> from recrun.types import PositiveInt
    >>> type_name(PositiveInt), type_name(list[float]), type_name(Union[str, None])
    ('an integer >= 1', 'a list of numbers', 'text or null')
    """
    if annotation in (None, type(None)):
        return "null"
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated and (registered := find_registered(annotation)):
        return "one of " + ", ".join(choices(registered))
    if origin is typing.Annotated:
        signs = [
            f"{sign} {getattr(bound, name)}"
            for bound in arguments[1:]
            for name, sign in _BOUNDS
            if hasattr(bound, name)
        ]
        lengths = [f"with at least {bound.min_length}" for bound in arguments[1:] if isinstance(bound, MinLen)]
        return " ".join([type_name(arguments[0]), " and ".join(signs), *lengths]).replace("  ", " ").strip()
    if origin is typing.Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(str(argument) for argument in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(argument) for argument in arguments)
    if origin is list:
        return f"a list of {_plural(type_name(arguments[0]))}"
    if annotation is list:
        return "a list"
    if annotation is dict or origin is dict:
        return "a mapping"
    return getattr(annotation, "__name__", str(annotation))


def _plural(name: str) -> str:
    return {"text": "text values"}.get(name, re.sub(r"^an? (\w+)", r"\1s", name))


def shown(value: Any, text: str | None = None) -> str:
    """Return a faulty value with its type for a message, as it was written if that is known.

    >>> shown("ten"), shown(1000.0, "1e3"), shown(None)
    ("'ten' (text)", '1e3 (a number)', 'null')
    """
    if value is None:
        return "null"
    kinds = {
        bool: "true or false",
        int: "an integer",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a mapping",
    }
    if isinstance(value, str) or text is None:
        text = {True: "true", False: "false"}[value] if isinstance(value, bool) else _short_repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({kinds.get(type(value), type(value).__name__)})"


def _short_repr(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # Python refuses to convert integers with too many digits
        return "a number with thousands of digits"


def json_schema(annotation: Any) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a type; for text it also allows numbers and booleans without quotes.

    >>> from recrun.types import PositiveInt
    >>> json_schema(PositiveInt)
    {'type': 'integer', 'minimum': 1}
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated and (registered := find_registered(annotation)):
        names = {"enum": choices(registered)}
        return {"anyOf": [names, FILE_REFERENCE]} if registered.files else names
    if origin is typing.Annotated:
        words = {
            "ge": "minimum",
            "gt": "exclusiveMinimum",
            "le": "maximum",
            "lt": "exclusiveMaximum",
            "min_length": "minItems",
        }
        bounds = {
            word: getattr(bound, name)
            for bound in arguments[1:]
            for name, word in words.items()
            if hasattr(bound, name)
        }
        return {**json_schema(arguments[0]), **bounds}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [json_schema(argument) for argument in arguments]}
    if annotation is list or origin is list:
        return {"type": "array", **({"items": json_schema(arguments[0])} if arguments else {})}
    if annotation is dict or origin is dict:
        return {"type": "object"}
    scalars: dict[Any, Any] = {int: "integer", float: "number", bool: "boolean", str: ["string", "number", "boolean"]}
    if annotation in (None, type(None)):
        return {"type": "null"}
    return {"type": scalars[annotation]} if annotation in scalars else {}
