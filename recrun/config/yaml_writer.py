"""Write settings as YAML that `recrun.config.yaml_reader` reads back to the same values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_PLAIN: Final = re.compile(r"(?:\.{0,2}/)?[A-Za-z_][A-Za-z0-9_./@+-]*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Words that are not text in YAML 1.2, or in the YAML 1.1 that other programs may read."""


def dump_mapping(values: Mapping[str, Any]) -> str:
    """Return a mapping as YAML, one line for each key, in the same order."""
    return "".join(f"{key}: {dump_value(value)}\n" for key, value in values.items())


def dump_value(value: Any) -> str:
    """Return a value as YAML on one line.

    >>> dump_value([1e-3, "recall@20", None, True, "1e-3"])
    '[0.001, recall@20, null, true, "1e-3"]'
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = repr(value)
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(text, text)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(dump_value, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_dump_text(str(key))}: {dump_value(item)}" for key, item in value.items()) + "}"
    return _dump_text(str(value))


def _dump_text(text: str) -> str:
    """Return text without quotes if it reads back as the same text, else in double quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if " " <= character <= "~":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
