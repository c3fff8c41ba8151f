"""YAML with positions: a flat mapping whose every value knows where it was written.

The dialect is the YAML 1.2 core schema, so `1e-3` is a number and `yes` is text. Only data comes out: anchors, aliases,
merge keys and tags are refused, and nothing is ever constructed from a tag. This is the parser's reading half; no other
module reads YAML.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from recrun.errors import ConfigError, Fault

MAX_BYTES: Final = 1 << 20
"""A config larger than this is refused unread: it is some other file."""


@dataclass(frozen=True)
class Place:
    """Where a value was written: a file with 1-based line and column, or an argument of the command line."""

    file: str
    line: int | None = None
    column: int | None = None

    def fault(self, message: str, key: str = "", suggestion: str | None = None) -> Fault:
        """Return a fault at this place."""
        return Fault(message, key, self.file, self.line, self.column, suggestion)


@dataclass(frozen=True)
class Given:
    """A value that somebody set.

    Args:
        value: the typed value.
        place: where it was written; None when a program set it.
        text: how a plain scalar was written (`1e-3`), for settings that are text; None for anything else.
    """

    value: Any
    place: Place | None = None
    text: str | None = None

    def fault(self, message: str, key: str = "", suggestion: str | None = None) -> Fault:
        """Return a fault at the place where the value was written."""
        return self.place.fault(message, key, suggestion) if self.place else Fault(message, key, suggestion=suggestion)


class _Refused(yaml.MarkedYAMLError):
    """Something YAML allows and a config may not hold."""


class _Loader(yaml.SafeLoader):
    """Composes nodes of the YAML 1.2 core schema, without anchors and aliases."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own protocol

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _Refused(problem="anchors and aliases are not supported; write the value out", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULL: Final = {"", "~", "null", "Null", "NULL"}


def _anchored(pattern: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(f"^(?:{pattern.pattern})$")


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:" + "|".join(_BOOL) + ")$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _anchored(_INT), list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _anchored(_FLOAT), list("-+0123456789."))


def read_mapping(path: str | Path) -> dict[str, Given]:
    """Read a file that holds one flat mapping.

    Raises:
        ConfigError: the file cannot be read, is not one YAML mapping, or repeats a key; with every fault found.
    """
    name = str(path)
    text = _read_text(Path(path), name)
    root = _compose(text, name)
    if root is None:
        raise ConfigError(Fault("the file is empty; expected a mapping of settings, such as 'model: bprmf'", file=name))
    if not isinstance(root, yaml.MappingNode):
        found = "a list" if isinstance(root, yaml.SequenceNode) else f"the text {root.value!r}"
        raise ConfigError(_place(root, name).fault(f"expected a mapping of settings ('key: value'), found {found}"))
    faults: list[Fault] = []
    given: dict[str, Given] = {}
    for key_node, value_node in root.value:
        place = _place(key_node, name)
        if not isinstance(key_node, yaml.ScalarNode):
            faults.append(place.fault("a key must be text"))
            continue
        key = key_node.value
        if key in given:
            first = given[key].place
            faults.append(place.fault(f"the key is set twice; first on line {first.line if first else '?'}", key))
            continue
        try:
            text_as_written = value_node.value if isinstance(value_node, yaml.ScalarNode) and not value_node.style else None
            given[key] = Given(_construct(value_node, name), _place(value_node, name), text_as_written)
        except ConfigError as error:
            faults += [Fault(f.message, key, f.file, f.line, f.column) for f in error.faults]
            given[key] = Given(None, place)
    if faults:
        raise ConfigError(faults)
    return given


def read_value(text: str, place: Place) -> Given:
    """Read one value as YAML writes it, such as the right-hand side of `KEY=VALUE`.

    Raises:
        ConfigError: the text is not a YAML value.
    """
    root = _compose(text, place.file, lambda line, column: Place(place.file, place.line, (place.column or 1) + column - 1))
    if root is None:
        return Given(None, place, "")
    plain = root.value if isinstance(root, yaml.ScalarNode) and not root.style else None
    return Given(_construct(root, place.file), place, plain)


def _read_text(path: Path, name: str) -> str:
    try:
        if path.is_dir():
            raise ConfigError(Fault("is a folder; expected a YAML file", file=name))
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(Fault(f"cannot be read: {error.strerror}", file=name)) from None
    if len(content) > MAX_BYTES:
        raise ConfigError(Fault(f"is larger than {MAX_BYTES >> 20} MiB; this is not a config", file=name))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        message = f"is not UTF-8 text: byte 0x{content[error.start]:02x} cannot be decoded"
        raise ConfigError(Fault(message, file=name, line=line, column=column)) from None


def _compose(text: str, name: str, locate: Callable[[int, int], Place] | None = None) -> Any:
    locate = locate or (lambda line, column: Place(name, line, column))
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = locate(mark.line + 1, mark.column + 1) if mark else Place(name)
        raise ConfigError(place.fault(_explain(error, text))) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = locate(before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1)
        raise ConfigError(place.fault(f"the character {error.character!r} is not allowed in YAML")) from None
    except RecursionError:
        raise ConfigError(Place(name).fault("is nested too deeply")) from None


def _explain(error: yaml.MarkedYAMLError, text: str) -> str:
    if isinstance(error, _Refused):
        return str(error.problem)
    mark = error.problem_mark
    if mark is not None and mark.index < len(text) and text[mark.index] == "\t":
        return "not valid YAML: a tab stands where only spaces may"
    detail = " ".join(part for part in (error.context, error.problem) if part)
    return f"not valid YAML: {detail}"


def _place(node: yaml.Node, name: str) -> Place:
    return Place(name, node.start_mark.line + 1, node.start_mark.column + 1)


def _construct(node: yaml.Node, name: str) -> Any:
    """Return a node's value: text, numbers, booleans, null, lists and mappings of these."""
    kind = node.tag.rpartition(":")[2]
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [_construct(child, name) for child in node.value]
    if isinstance(node, yaml.MappingNode) and kind == "map":
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(_place(key_node, name).fault("a key must be text"))
            if key_node.value in result:
                raise ConfigError(_place(key_node, name).fault(f"the key {key_node.value!r} is set twice"))
            result[key_node.value] = _construct(value_node, name)
        return result
    text = node.value
    if kind == "str":
        return text
    if kind == "bool" and text in _BOOL:
        return _BOOL[text]
    if kind == "null" and text in _NULL:
        return None
    if kind == "int" and _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if kind == "float" and (_FLOAT.fullmatch(text) or _INT.fullmatch(text)):
        return float(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").lower().replace(".nan", "nan"))
    raise ConfigError(_place(node, name).fault(f"the tag {node.tag!r} is not supported; write plain values"))


def dump_mapping(values: dict[str, Any]) -> str:
    """Return a mapping as YAML that `read_mapping` reads back to the same values, in the same order."""
    return "".join(f"{key}: {_write(value)}\n" for key, value in values.items())


def _write(value: Any) -> str:
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
        return "[" + ", ".join(_write(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_write(str(key))}: {_write(item)}" for key, item in value.items()) + "}"
    return _write_text(str(value))


def _write_text(text: str) -> str:
    """Return text plain where it reads back as the same text, else double-quoted (JSON strings are YAML)."""
    import json

    if re.fullmatch(r"[A-Za-z_./][A-Za-z0-9_./@+-]*", text) and text not in _BOOL and text not in _NULL and not _FLOAT.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=True)
