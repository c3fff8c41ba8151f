"""Write a page that stands alone: its style and its script are in it, and nothing else may run or be loaded."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from recrun.report.html.element import Element, Link, element, escaped, render

_ASSETS: Final = Path(__file__).parent / "assets"


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
    head = (
        '<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{escaped(title)}</title>\n<style>{style}</style>"
    )
    body = [render(each) for each in _body(title, sections, header)]
    end = [f"<script>{script}</script>", "</body>", "</html>", ""]
    return "\n".join(["<!doctype html>", '<html lang="en">', "<head>", head, "</head>", "<body>", *body, *end])


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
