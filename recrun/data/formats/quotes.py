"""Check the quotes around the values of a text, and say where one is out of step."""

from __future__ import annotations

import re

import numpy as np

from recrun.data.formats.table import shown


def are_sound_quotes(characters: np.ndarray, separator: int, has_pairs: bool) -> bool:
    """Return whether quotes enclose whole values, or stand in pairs within one.

    Args:
        characters: the bytes of whole rows (B,), with an even number of quotes.
        separator: the byte between two values.
        has_pairs: whether a pair of quotes may stand within a value that is not enclosed.
    """
    is_around = np.zeros(256, dtype=bool)
    is_around[[separator, 10]] = True
    places = np.flatnonzero(characters == 34)
    opening, closing = places[::2], places[1::2]
    before = characters[opening - 1]  # before the first byte stands the last one, which ends a line
    # A pair right after another one is a part of the same value, and encloses it only if the first of them does.
    first = np.maximum.accumulate(np.where(before == 34, 0, np.arange(len(opening))))
    begins = is_around[before][first]
    is_around[[13, 34]] = True
    ends = is_around[characters[closing + 1]]
    if begins.all() and ends.all():
        return True
    n_borders = np.cumsum((characters == separator) | (characters == 10))
    is_within = (n_borders[opening] == n_borders[closing]) & has_pairs
    return bool(np.where(begins, ends, is_within).all())


def fault_of_writing(written: str, separator: str, quoted: bool, escape: str | None) -> tuple[str, str] | None:
    """Return the kind of a fault in how a row is written, whatever its values are, and what is wrong; None for none.

    Args:
        written: the lines of the row.
        separator: one character.
        quoted: whether values may stand in double quotes.
        escape: the character before a quote that is part of a value; None where such a quote is doubled.
    """
    text = written.removesuffix("\n").removesuffix("\r")
    if "\0" in text:
        return "encoding", "found a byte 0; is the file damaged? Copy or download it again"
    if "\r" in (re.sub('"[^"]*"', "", text) if quoted else text):
        return "old-line-ends", f"a carriage return within a line; lines must end with a newline: {shown(text)}"
    bad = _bad_value(text, separator, escape) if quoted and '"' in text else None
    if bad is None:
        return None
    if '\\"' in bad and escape is None:
        return "quotes", f"a quote after a backslash: {shown(bad, 60)}; if it belongs to the value, set escape='\\'"
    if bad.startswith('"') and (bad.count('"') == 1 or "\n" in bad):
        return "quotes", f"a quote that begins here is not closed: {shown(bad, 60)}"
    remedy = f"if quotes mean nothing in this file, set format=tsv and separator={separator!r}"
    return (
        "quotes",
        f"a quote within a value: {shown(bad, 60)}; put the value in quotes and double this one, or, {remedy}",
    )


def _bad_value(text: str, separator: str, escape: str | None) -> str | None:
    """Return the rest of a row from the value in which a quote neither encloses it, nor is doubled, nor has a partner.

    Args:
        text: the row, without the end of its last line.
        separator: one character.
        escape: where there is one, a quote must enclose a value or be escaped.
    """
    mark = re.escape(escape or "")
    pair = f"{mark}." if escape else '""'
    quoted = re.compile(rf'"(?:[^"{mark}]|""|{pair})*"(?={re.escape(separator)}|\Z)', re.DOTALL)
    place = 0
    while place <= len(text):
        if text.startswith('"', place):
            value = quoted.match(text, place)
            if value is None:
                return text[place:]
            end = value.end()
        else:
            end = text.find(separator, place) % (len(text) + 1)
            n_quotes = text.count('"', place, end)
            if n_quotes % 2 or (n_quotes and escape):
                return text[place:]
        place = end + 1
    return None
