"""What a terminal would obey or not show is escaped."""

from __future__ import annotations

import random
import sys
import unicodedata

import pytest

from recrun.visible import on_one_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ünïcode, 日本", "plain text, ünïcode, 日本"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\u202eb\u2066c\u200ed\u061ce", r"a\u202eb\u2066c\u200ed\u061ce"),
        ("\x9b31m\x7f\r\b", r"\x9b31m\x7f\r\x08"),
        ("\udc80\u2028\U000e0001", r"\udc80\u2028\U000e0001"),
        ("a\n\tb\n", "a\n\tb\n"),
    ],
)
def test_what_cannot_be_printed_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_line_stays_one_line() -> None:
    assert on_one_line("a\nb\tc") == r"a\nb\tc"


def test_no_text_passes_with_a_control_or_format_character() -> None:
    generator = random.Random(0)
    for _ in range(300):
        text = "".join(chr(generator.randrange(sys.maxunicode + 1)) for _ in range(200))
        text += "".join(chr(generator.randrange(0x100)) for _ in range(50))
        for character in visible(text):
            assert character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        visible(text).encode("utf-8")
