"""Split an argument of a sweep at the commas that separate its values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_CLOSING: Final = {"[": "]", "{": "}"}


@dataclass
class _Scanner:
    """The scanner's state within a value: the open quote and the open brackets."""

    quote: str = ""
    opened_at: int = 0
    brackets: list[tuple[str, int]] = field(default_factory=list)
    at_start: bool = True


def split(text: str) -> tuple[list[tuple[int, str]], tuple[str, int] | None]:
    """Split at the commas that separate values.

    As in YAML, a quote opens quoted text only where a value begins, so the apostrophe of `it's` is plain text.

    Returns:
        The pieces with their offsets, and None; or an empty list, and a message with the offset of the fault.
    """
    scanner = _Scanner()
    cuts = []
    offset = 0
    while offset < len(text):
        character = text[offset]
        if scanner.quote:
            offset += _quoted(text, offset, scanner)
            continue
        if character in "'\"" and scanner.at_start:
            scanner.quote, scanner.opened_at = character, offset
        elif character in _CLOSING:
            scanner.brackets.append((character, offset))
        elif character in _CLOSING.values():
            if not scanner.brackets or _CLOSING[scanner.brackets[-1][0]] != character:
                return [], (
                    f"{character!r} has no matching opening bracket; put the value in quotes if it is text",
                    offset,
                )
            scanner.brackets.pop()
        elif character == "," and not scanner.brackets:
            cuts.append(offset)
        opens = character in ",[{" or (character == ":" and bool(scanner.brackets))
        scanner.at_start = opens or (scanner.at_start and character.isspace())
        offset += 1
    if scanner.quote:
        return [], (f"the quote {scanner.quote} is not closed", scanner.opened_at)
    if scanner.brackets:
        bracket, opened_at = scanner.brackets[-1]
        return [], (f"{bracket!r} is not closed; put the value in quotes if it is text", opened_at)
    starts = [0, *(cut + 1 for cut in cuts)]
    return [(start, text[start:end]) for start, end in zip(starts, [*cuts, len(text)], strict=True)], None


def _quoted(text: str, offset: int, scanner: _Scanner) -> int:
    """Process the character at `offset` inside quotes; return how many characters were consumed."""
    character = text[offset]
    if scanner.quote == '"' and character == "\\":
        return 2
    if character == scanner.quote:
        if character == "'" and text[offset + 1 : offset + 2] == "'":
            return 2
        scanner.quote, scanner.at_start = "", False
    return 1
