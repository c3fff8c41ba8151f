"""Parse the subset of YAML that configs use: the YAML 1.2 core schema without anchors, aliases and tags.

So `1e-3` is a number, `yes` is text, and the result is always plain data.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import yaml

MAX_DEPTH: Final = 16
"""The deepest nesting of lists and mappings that is accepted."""


class NotYaml(Exception):
    """A text that is not YAML, or uses YAML that a config must not contain."""

    def __init__(self, message: str, mark: yaml.Mark | None, *, is_second_document: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.mark = mark
        self.is_second_document = is_second_document


class _Loader(yaml.SafeLoader):
    """Composes nodes of the YAML 1.2 core schema, without anchors, aliases and tags."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own protocol
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise NotYaml("anchors and aliases are not supported; write the value out", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise NotYaml(f"the tag {event.tag!r} is not supported; write plain values", event.start_mark)
        if self.depth > MAX_DEPTH:
            raise NotYaml(f"nested too deeply: more than {MAX_DEPTH} levels", event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULL: Final = ("", "~", "null", "Null", "NULL")


def _resolve(kind: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(f"^(?:{pattern})$"), list(first) or [""])


_resolve("bool", "|".join(_BOOL), "tTfF")
_resolve("null", "|".join(_NULL), "~nN")
_resolve("null", "", "")
_resolve("int", _INT.pattern, "-+0123456789")
_resolve("float", _FLOAT.pattern, "-+0123456789.")

_HINTS: Final = {
    "mapping values are not allowed here": "a value that holds ': ' must be in quotes, and a key must not be indented",
    "could not find expected ':'": "expected 'key: value'",
    "that cannot start any token": "a value that begins with this character must be in quotes",
    "but got '<stream end>'": "a bracket is not closed",
    "found unexpected end of stream": "a quote is not closed",
}


@lru_cache(maxsize=256)
def compose(text: str) -> Any:
    """Return the root node of a text, or None if the text is empty.

    The nodes of a text are kept, and must not be changed: the trials of a search read the same file each.

    Raises:
        NotYaml: the text is not YAML of this subset.
    """
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark is not None and mark.index < len(text) and text[mark.index] == "\t":
            raise NotYaml("not valid YAML: a tab where only spaces are allowed", mark) from None
        detail = " ".join(part for part in (error.context, error.problem) if part)
        if "expected a single document" in detail:
            raise NotYaml(
                "a second YAML document begins here; a config is a single document", mark, is_second_document=True
            ) from None
        if "end of stream" in detail or "<stream end>" in detail:
            mark = error.context_mark or mark  # where it began, not where the text ran out
        hint = next((f"; {hint}" for part, hint in _HINTS.items() if part in detail), "")
        raise NotYaml(f"not valid YAML: {detail}{hint}", mark) from None
    except yaml.YAMLError as error:
        raise NotYaml(f"not valid YAML: {error}", None) from None
    except RecursionError:
        raise NotYaml("nested too deeply", None) from None


def construct(node: yaml.Node, faults: list[tuple[str, yaml.Node]]) -> Any:
    """Return a node's value: text, numbers, booleans, null, lists and mappings; faults are added to the list."""
    if isinstance(node, yaml.SequenceNode):
        return [construct(child, faults) for child in node.value]
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                faults.append(("a key must be text", key_node))
            elif key in result:
                faults.append((f"the key {key!r} is set twice", key_node))
            else:
                result[key] = construct(value_node, faults)
        return result
    text, kind = node.value, node.tag.rpartition(":")[2]
    try:
        if kind == "bool":
            return _BOOL[text]
        if kind == "int":
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if kind == "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        faults.append(("the number has too many digits", node))
        return None
    return None if kind == "null" else text
