"""Suggest what was meant by a value that does not fit its setting's type."""

from __future__ import annotations

import re
import types
import typing
from typing import Any, Final

from recrun.config.check_value import Misfit, find_registered, fit
from recrun.config.reading import Given, Place
from recrun.config.suggestions.translations import split_shares
from recrun.config.yaml_reader import read_value
from recrun.config.yaml_writer import dump_value
from recrun.errors import nearest
from recrun.registry import choices
from recrun.registry.other_names import meant_name

_DECIMAL_COMMA: Final = re.compile(r"[+-]?0,\d+")
"""A number below 1 as it is written in much of the world; `1,2` may as well be two values."""
_WORDS: Final = {
    **dict.fromkeys(("yes", "on", "y", "t", "1", "true"), True),
    **dict.fromkeys(("no", "off", "n", "f", "0", "false"), False),
    **dict.fromkeys(("none", "nil", "nan", "null", "undefined", "default"), None),
}


def meant_value(key: str, annotation: Any, given: Given) -> str | None:
    """Return what to write instead of a value, such as a choice, or `KEY=[VALUE]` for a list; None if unknown.

    Args:
        key: the setting.
        annotation: its type, which the value does not fit.
        given: the value as written.
    """
    value, registered = given.value, find_registered(annotation)
    if registered and isinstance(value, str):
        return meant_name(registered.kinds, value, choices(registered))
    texts = [name for name in typing.get_args(annotation) if isinstance(name, str)]
    if texts and isinstance(value, str):
        return nearest(value, texts)
    is_argument = given.place is not None and given.place.line is None
    sign, between = ("=", " ") if is_argument else (": ", ", ")
    if isinstance(value, (list, dict)):
        shares = split_shares(value) if key == "split" else None
        return between.join(f"{each}{sign}{share}" for each, share in shares.items()) if shares else None
    text = given.text if given.text is not None else dump_value(value)
    if _DECIMAL_COMMA.fullmatch(text) and _fits(annotation, float(text.replace(",", "."))):
        return text.replace(",", ".")
    if _may_be_list(annotation):
        listed, faults = read_value(f"[{text}]", Place(""))
        if listed is None or faults or not listed.value or not _fits(annotation, listed.value):
            return None
        return f"{key}{sign}[{text}]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 and _fits(annotation, int(value)):
        return str(int(value))
    word = text.strip().lower()
    if word in _WORDS and _fits(annotation, _WORDS[word]):
        return dump_value(_WORDS[word])
    return None


def _fits(annotation: Any, value: Any) -> bool:
    try:
        fit(annotation, value)
    except Misfit:
        return False
    return True


def _may_be_list(annotation: Any) -> bool:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _may_be_list(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return any(_may_be_list(each) for each in arguments)
    return annotation is list or origin is list
