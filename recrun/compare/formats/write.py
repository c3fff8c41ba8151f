"""Write comparisons in any of the formats of documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from recrun.compare.comparison import Comparison
from recrun.compare.formats.csv import csv
from recrun.compare.formats.html import html
from recrun.compare.formats.latex import latex
from recrun.compare.formats.markdown import markdown
from recrun.errors import ConfigError, unknown
from recrun.files import to_json


def document(found: Sequence[Comparison]) -> dict[str, Any]:
    """Return a comparison as JSON, or those of several groups as {"parts": [...]}."""
    return found[0].document() if len(found) == 1 else {"parts": [comparison.document() for comparison in found]}


def text(found: Sequence[Comparison], kind: str) -> str:
    """Return comparisons as the content of a file.

    Args:
        found: the comparisons.
        kind: one of `FORMATS`.

    Raises:
        ConfigError: there is no such format.
    """
    if kind not in FORMATS:
        raise ConfigError(unknown("format", kind, FORMATS))
    return FORMATS[kind](found)


FORMATS: Final[Mapping[str, Callable[[Sequence[Comparison]], str]]] = {
    "md": lambda found: markdown(*found),
    "latex": lambda found: latex(*found),
    "csv": lambda found: csv(*found),
    "html": lambda found: html(*found),
    "json": lambda found: to_json(document(found), indent=2) + "\n",
}
"""The formats, each with what writes it."""
