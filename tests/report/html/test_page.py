"""Pages: nothing but their own style and script may run, and their colours can be read."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from lxml import html

import recrun.report.html.page as module
from recrun.report.html.element import element
from recrun.report.html.page import page

ASSETS = Path(module.__file__).parent / "assets"
PAGE = page("A </title><script>", [("one", "One", [element("p", "x")])], [element("p", "head")])


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_policy_allows_the_style_and_the_script_of_the_page_alone() -> None:
    found = html.fromstring(PAGE)
    policy = found.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
    style, script = re.findall(r"<style>(.*?)</style>.*<script>(.*?)</script>", PAGE, re.DOTALL)[0]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert PAGE.index("Content-Security-Policy") < PAGE.index("<title>")
    assert len(found.xpath("//script")) == len(found.xpath("//style")) == 1
    assert not re.search(r"\s(style|on\w+)=", PAGE.replace(script, ""))


def test_the_page_names_no_other_place() -> None:
    assert re.findall(r"https?://[^\"'\s)]+", PAGE) == ["http://www.w3.org/2000/svg"]
    assert "url(" not in PAGE
    assert "@import" not in PAGE


def test_a_title_cannot_end_itself() -> None:
    assert html.fromstring(PAGE).xpath("//title/text()") == ["A </title><script>"]


def test_the_page_has_landmarks_and_links_to_its_sections() -> None:
    found = html.fromstring(PAGE)
    assert found.get("lang") == "en"
    assert [len(found.xpath(f"//{name}")) for name in ("header", "nav", "main", "h1")] == [1, 1, 1, 1]
    assert found.xpath("//nav//a/@href") == ["#one"]
    assert found.xpath("//main/section/@aria-labelledby") == found.xpath("//h2/@id")


def test_neither_asset_can_end_its_element() -> None:
    for file in ASSETS.iterdir():
        assert not re.search(r"</|<!--", file.read_text("utf-8")), file


def _luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _themes() -> list[dict[str, str]]:
    css = (ASSETS / "page.css").read_text("utf-8")
    blocks = re.findall(r"\{(--back:[^}]*)\}", css)
    return [dict(re.findall(r"(--\w+):(#[0-9a-f]+)", block)) for block in blocks]


def test_there_are_four_themes_and_both_dark_ones_are_the_same() -> None:
    light, by_preference, by_button, printed = _themes()
    assert by_preference == by_button
    assert light["--back"] == printed["--back"] == "#fff"


@pytest.mark.parametrize("theme", _themes(), ids=["light", "dark", "dark by button", "print"])
def test_texts_and_groups_have_enough_contrast_in_every_theme(theme: dict[str, str]) -> None:
    for name in ("--text", "--dim", "--link", *(f"--s{n}" for n in range(8))):
        assert _contrast(theme[name], theme["--back"]) >= 4.5, name
    for name in ("--text", "--dim"):
        assert _contrast(theme[name], theme["--soft"]) >= 4.5, name
    for name in (f"--q{n}" for n in range(5)):
        assert _contrast(theme[name], theme["--back"]) >= 3, name
