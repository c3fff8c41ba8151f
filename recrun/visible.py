"""Escape the characters of a text that a terminal would obey or not show.

File names, columns, descriptions and messages of errors come from others. Written as they are, an escape sequence in
them would move the cursor or set the title of the window, and a bidirectional control would show a text in another
order than it has. `visible` shows such characters as what they are: `\\x1b`, `\\u202e`.
"""

from __future__ import annotations


def visible(text: str) -> str:
    """Return text with every character escaped that cannot be printed, except line breaks and tabs.

    >>> print(visible("a\\x1b[31mb\\u202ec"))
    a\\x1b[31mb\\u202ec
    """
    if text.isprintable():
        return text
    lines = text.split("\n")
    return "\n".join(line if line.isprintable() else _escaped(line, kept="\t") for line in lines)


def on_one_line(text: str) -> str:
    """Return text with every character escaped that cannot be printed, line breaks and tabs included."""
    return text if text.isprintable() else _escaped(text, kept="")


def _escaped(text: str, kept: str) -> str:
    # Lone surrogates, which stand for the bytes of a file name that are not Unicode, are escaped as well.
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode("ascii") for c in text)
