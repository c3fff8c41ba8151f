"""Write a comparison as tables of LaTeX, for documents that load the package booktabs."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from recrun.compare.comparison import Comparison
from recrun.compare.formats.captions import choice_caption, marks_caption, means_caption, tests_caption
from recrun.compare.formats.sheet import Cell, Sheet, means_sheet, sheet_of_tests
from recrun.visible import on_one_line

_COMMANDS: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "†": r"$^{\dagger}$",
    **{character: f"\\{character}" for character in "{}#$%&_"},
}
_LETTERS: Final = "ßæÆøØœŒłŁ"
"""Letters without an accent that pdflatex has in every font."""
_SIGN: Final = re.compile(r"(?<![\w.])([+-])(?=\d)")


def latex(*comparisons: Comparison) -> str:
    """Return a table of means and one of tests each; the best values are bold, those close to them have a dagger."""
    return "\n".join(["% Needs \\usepackage{booktabs}.", *map(_tables, comparisons)])


def _tables(comparison: Comparison) -> str:
    means, tests = means_sheet(comparison), sheet_of_tests(comparison)
    marks = marks_caption(comparison, "Bold", "†")
    caption = " ".join(filter(None, [means_caption(comparison), marks, tests_caption(comparison)]))
    parts = [_table(means, caption)]
    if tests is not None:
        caption = " ".join(filter(None, [tests_caption(comparison), choice_caption(comparison)]))
        parts.append(_table(tests, caption))
    parts += [f"% {on_one_line(note)}" for note in comparison.notes]
    return "\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Return text that LaTeX sets as it is; characters that pdflatex does not know are named by their numbers.

    >>> print(escaped("50% of a_b"))
    50\\% of a\\_b
    """
    return "".join(
        _COMMANDS.get(each) or (each if _is_set(each) else f"(U+{ord(each):04X})") for each in on_one_line(text)
    )


def _is_set(character: str) -> bool:
    """Return whether pdflatex sets a character in every font: ASCII, and Latin letters with an accent."""
    is_accented = "\u00c0" <= character <= "\u017f" and unicodedata.normalize("NFD", character)[0].isascii()
    return character.isascii() or is_accented or character in _LETTERS


def _table(sheet: Sheet, caption: str) -> str:
    columns = "".join("r" if cell.is_number else "l" for cell in sheet.rows[0])
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{4pt}",
        f"\\caption{{{escaped(caption)}}}",
        f"\\begin{{tabular}}{{{columns}}}",
    ]
    lines += [r"\toprule", " & ".join(map(escaped, sheet.heads)) + r" \\", r"\midrule"]
    # A row that begins with a bracket would be read as an option of the line break before it.
    lines += [" & ".join(map(_cell, row)) + r" \\" for row in sheet.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def _cell(cell: Cell) -> str:
    text = escaped(cell.text)
    if cell.is_number:
        text = _SIGN.sub(r"$\1$", text)
    text = f"\\textbf{{{text}}}" if cell.is_best else text
    dagger = _COMMANDS["†"] if cell.is_close else ""
    found = " ".join(filter(None, [text, escaped(cell.more)])) + dagger
    return f"{{{found}}}" if found.startswith("[") else found
