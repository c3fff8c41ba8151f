"""Write tables as text for other programs: CSV and Markdown, with numbers unrounded and text that cannot do harm.

Names and values may come from strangers. A spreadsheet computes a cell that begins with `=`, and Markdown shows a text
as markup; neither happens with what these functions return.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from recrun.files import to_json
from recrun.visible import on_one_line

_COMPUTED: Final = ("=", "+", "-", "@")
"""Text that begins with one of these is a formula to spreadsheets."""
_MARKUP: Final = re.compile(r"[\\`*{}\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown may take for markup; an underscore within a word is none."""


def cell(value: Any) -> str:
    """Return a value as the text of a cell: numbers unrounded, lists as JSON, None as nothing, all on one line.

    >>> cell(0.1), cell([8, 4]), cell(True), cell(None), cell("a\\nb")
    ('0.1', '[8, 4]', 'true', '', 'a\\\\nb')
    """
    if value is None:
        return ""
    return on_one_line(value if isinstance(value, str) else to_json(value))


def csv_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV (RFC 4180), except that lines end with a line feed alone.

    Text that a spreadsheet would compute is preceded by an apostrophe; control characters are escaped.

    Args:
        head: the header row.
        rows: the cells of each row: numbers, text, lists, or None, which is an empty cell.

    >>> csv_table(["name", "lr"], [["a,b", 0.001], ["=1+1", None]])
    'name,lr\\n"a,b",0.001\\n\\'=1+1,\\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in (head, *rows):
        writer.writerow([_not_computed(value) for value in row])
    return text.getvalue()


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table in Markdown, as GitHub and most others read it; columns of numbers are aligned to the right.

    Args:
        head: the headings.
        rows: the cells of each row, as for `csv_table`.

    >>> print(markdown_table(["name", "lr"], [["a|b", 0.001], ["<b>", None]]), end="")
    | name | lr |
    | --- | ---: |
    | a\\|b | 0.001 |
    | &lt;b&gt; |  |
    """
    cells = [list(row) for row in rows]
    known = [[row[column] for row in cells if row[column] is not None] for column in range(len(head))]
    rules = ["---:" if values and all(map(_is_number, values)) else "---" for values in known]
    lines = [list(map(in_markdown, head)), rules, *([in_markdown(cell(value)) for value in row] for row in cells)]
    return f"{piped(lines)}\n"


def piped(lines: Iterable[Iterable[str]]) -> str:
    """Return lines of cells, which are Markdown already, as a table; the second line says how columns are aligned."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_markdown(text: str) -> str:
    """Return text as Markdown that shows it as it is."""
    return escape(_MARKUP.sub(r"\\\g<0>", on_one_line(text)), quote=False)


def _not_computed(value: Any) -> str:
    text = cell(value)
    # A number may begin with a minus sign, and is one to a spreadsheet as well.
    return f"'{text}" if isinstance(value, str) and text.startswith(_COMPUTED) else text


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
