"""The lines of a text that may be damaged, with their numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import Final

from recrun.data.describe.layout import Sniffed
from recrun.data.describe.problems import Faults, shown
from recrun.data.formats.table import open_binary

_CHUNK: Final = 1 << 22


def lines_of(sniffed: Sniffed, faults: Faults) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of its first line, lines) of chunks of a text; what cannot be decoded is replaced."""
    is_utf8 = sniffed.encoding.lower().replace("-", "") in ("utf8", "ascii")
    with open_binary(sniffed.path) as stream:
        text = io.TextIOWrapper(
            stream, encoding=sniffed.encoding, errors="surrogateescape" if is_utf8 else "replace", newline="\n"
        )
        first, rest = 1, ""
        while chunk := text.read(_CHUNK):
            lines = (rest + chunk).split("\n")
            rest = lines.pop()
            yield first, _decoded(first, lines, faults)
            first += len(lines)
        if rest:
            yield first, _decoded(first, [rest], faults)


def _decoded(first: int, lines: list[str], faults: Faults) -> list[str]:
    if first == 1 and lines:
        lines[0] = lines[0].removeprefix("\ufeff")
    for place, line in enumerate(lines):
        if not line.isascii() and re.search("[\udc80-\udcff\ufffd]", line):
            lines[place] = line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            faults.at(
                "encoding", first + place, shown(line.encode("utf-8", "surrogateescape").decode("latin-1").strip())
            )
    return [line.removesuffix("\r") for line in lines]


def count_blank(first: int, lines: Sequence[str], faults: Faults) -> None:
    """Name the lines without anything in them; `first` is the number of the first line."""
    for place, line in enumerate(lines):
        if not line.strip():
            faults.at("blank-lines", first + place, shown(line))
