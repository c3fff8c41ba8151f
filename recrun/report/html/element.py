"""Build elements of HTML and SVG; here alone, texts become markup.

Names, settings and notes of runs may come from a stranger. A page is a tree of elements, and only `render` writes it
down: every text and every value of an attribute is escaped there. What could run or load something (handlers, styles,
addresses with a scheme) cannot be an attribute at all.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote

from recrun.visible import on_one_line

_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")
_VOID: Final = frozenset(("meta", "br", "hr"))
_FORBIDDEN: Final = frozenset(
    ("style", "src", "srcdoc", "action", "formaction", "data", "http-equiv", "target", "href")
)
_ACTIVE: Final = frozenset(("script", "style", "iframe", "object", "embed", "base", "link", "form", "foreignObject"))
_CAMEL: Final = frozenset(("viewBox",))
"""Attributes of SVG, whose case matters."""

Value: TypeAlias = str | int | float | bool | None
Node: TypeAlias = "Element | str | None"


@dataclass(frozen=True)
class Link:
    """The address of something beside the page, as a relative path, or of a place in the page."""

    address: str

    @classmethod
    def to_path(cls, path: str, start: str) -> Link:
        """Return the link to a file or folder from a page in the folder `start`."""
        # A colon is quoted as well, so that no path is taken for a scheme.
        return cls("./" + quote(os.fsencode(os.path.relpath(path, start or os.curdir)), safe="/"))

    @classmethod
    def to_place(cls, id: str) -> Link:
        """Return the link to the element of an id."""
        return cls("#" + quote(id, safe=""))


@dataclass(frozen=True)
class Element:
    """An element: its name, its attributes and what is in it."""

    name: str
    attributes: tuple[tuple[str, str], ...]
    children: tuple[Element | str, ...]


def element(name: str, *children: Node | Iterable[Node], link: Link | None = None, **attributes: Value) -> Element:
    """Return an element.

    Args:
        name: its name.
        children: elements and texts; None stands for nothing.
        link: where it leads, for `a`.
        attributes: its attributes; `class_` is class, an underscore is a hyphen, True an attribute without a value, and
            None or False stands for none.
    """
    assert _NAME.fullmatch(name), name
    assert name not in _ACTIVE, name
    found = []
    for key, value in attributes.items():
        written = key if key in _CAMEL else key.rstrip("_").replace("_", "-")
        assert _NAME.fullmatch(written), key
        assert written not in _FORBIDDEN, key
        assert not written.lower().startswith("on"), key
        if value is not None and value is not False:
            found.append((written, "" if value is True else number(value) if isinstance(value, float) else str(value)))
    if link is not None:
        found.append(("href", link.address))
    return Element(name, tuple(found), tuple(_flat(children)))


def render(node: Element | str) -> str:
    """Return an element as markup, its texts escaped: they are shown, and nothing in them is obeyed."""
    return "".join(_pieces(node))


def escaped(text: str) -> str:
    """Return a text as markup; control and bidirectional characters and lone surrogates are made visible.

    >>> escaped('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return html.escape(on_one_line(text), quote=True)


def number(value: float, digits: int = 1) -> str:
    """Return a coordinate, as short as it can be.

    >>> number(12.04), number(-0.01), number(7.26)
    ('12', '0', '7.3')
    """
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def shortened(text: str, longest: int) -> str:
    """Return a text, the middle of a long one replaced by an ellipsis: what tells names apart is often at their ends.

    >>> shortened("abcdefghij", 7)
    'abcd…ij'
    """
    if len(text) <= longest:
        return text
    tail = (longest - 1) // 3
    return f"{text[: longest - 1 - tail]}…{text[len(text) - tail :]}"


def _flat(children: Iterable[Node | Iterable[Node]]) -> Iterable[Element | str]:
    for child in children:
        if isinstance(child, (Element, str)):
            yield child
        elif child is not None:
            yield from (each for each in child if each is not None)


def _pieces(node: Element | str) -> Iterable[str]:
    if isinstance(node, str):
        yield escaped(node)
        return
    written = (f' {key}="{escaped(value)}"' if value else f" {key}" for key, value in node.attributes)
    yield f"<{node.name}{''.join(written)}>"
    if node.name in _VOID:
        return
    for child in node.children:
        yield from _pieces(child)
    yield f"</{node.name}>"
