"""Write pages that stand alone: their style and script are in them, and nothing else may run or be loaded."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from recrun.report.html.element import Element, Link, element, escaped, render

_ASSETS: Final = Path(__file__).parent / "assets"
_PLAIN: Final = (
    "body{font-family:sans-serif;margin:2em}p,ul{max-width:70em}table{border-collapse:collapse;margin:1em 0}"
    "th,td{padding:.2em .8em;text-align:left;vertical-align:top}thead{border-bottom:1px solid}"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
)


def page(title: str, sections: Sequence[tuple[str, str, Sequence[Element]]], header: Sequence[Element]) -> str:
    """Return a page.

    Args:
        title: its title.
        sections: the id, the heading and the content of each section.
        header: what stands above the sections, below the title.

    Everything can be read without the script, which sorts tables, shows values and hides lines.
    """
    style, script = (_ASSETS / "page.css").read_text("utf-8"), (_ASSETS / "page.js").read_text("utf-8")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    more = (
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">'
    )
    body = [*map(render, _body(title, sections, header)), f"<script>{script}</script>"]
    return _document(title, more, style, body)


def plain_page(title: str, body: Iterable[Element], head: Iterable[Element] = ()) -> str:
    """Return a page of headings, texts and tables, without a script; cells of the class `n` hold numbers.

    Args:
        title: its title.
        body: what is on it.
        head: what is said of it, as `meta` elements.
    """
    return _document(title, "\n".join(map(render, head)), _PLAIN, map(render, body))


def _document(title: str, meta: str, style: str, body: Iterable[str]) -> str:
    """Return a document from parts that are markup, except for the title."""
    head = ['<meta charset="utf-8">', *([meta] if meta else []), f"<title>{escaped(title)}</title>"]
    begin = ["<!doctype html>", '<html lang="en">', "<head>", *head, f"<style>{style}</style>", "</head>", "<body>"]
    return "\n".join([*begin, *body, "</body>", "</html>", ""])


def _body(
    title: str, sections: Sequence[tuple[str, str, Sequence[Element]]], header: Sequence[Element]
) -> list[Element]:
    entries = [element("li", element("a", heading, link=Link.to_place(id))) for id, heading, _ in sections]
    theme = element("button", "Dark", id="theme", type="button", aria_pressed="false", hidden=True)
    return [
        element("a", "Skip to the content", class_="skip", link=Link.to_place("content")),
        element("header", element("div", element("h1", title), theme, class_="top"), *header),
        element("nav", element("ul", *entries), aria_label="Sections"),
        element(
            "main",
            *(
                element(
                    "section",
                    element("h2", heading, id=f"{id}-heading"),
                    *content,
                    id=id,
                    aria_labelledby=f"{id}-heading",
                )
                for id, heading, content in sections
            ),
            id="content",
            tabindex="-1",
        ),
        element("div", id="tip", role="status", hidden=True),
    ]


def _digest(text: str) -> str:
    """Return the source of a policy that allows one text alone."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
