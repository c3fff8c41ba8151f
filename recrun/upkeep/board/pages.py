"""Write tables of results as Markdown and as HTML, and put them into files without touching what is not theirs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from recrun.errors import ConfigError
from recrun.files import read_regular
from recrun.report.files.text_tables import in_markdown, piped
from recrun.report.html.element import Element, element, render
from recrun.report.html.page import plain_page
from recrun.upkeep.board.document import Table, read_tables, to_text
from recrun.upkeep.board.sheet import Cell, Sheet, sheets
from recrun.visible import on_one_line

BEGIN: Final = "<!-- tables by recrun board -->"
END: Final = "<!-- end of tables by recrun board -->"
"""What is between these lines of a page is replaced, and nothing else."""
_GENERATOR: Final = element("meta", name_="generator", content="recrun board")
_MAX_PAGE: Final = 16 << 20
_EXPLANATION: Final = (
    "Means over runs, with the standard deviation of a sample in brackets; a single run has none. All numbers are of "
    "test, scored with the model that was best on validation. Time is the wall time of a run from its start to its end."
)
_ENDING: Final = "Added to each command"
ENDINGS: Final = (".md", ".html", ".json")


def markdown(tables: Iterable[Table], level: int = 2) -> str:
    """Return tables as Markdown.

    Args:
        tables: the tables.
        level: that of their headings.
    """
    parts = [_EXPLANATION]
    for sheet in sheets(tables):
        ending = f" {_ENDING}: {_markdown_cell(Cell(sheet.ending, 'code'), is_in_table=False)}" if sheet.ending else ""
        parts += [f"{'#' * level} {in_markdown(sheet.title)}", in_markdown(sheet.note) + ending, _markdown_table(sheet)]
    return "\n\n".join(parts) + "\n"


def _markdown_table(sheet: Sheet) -> str:
    rules = ["---:" if sheet.rows[0][place].kind == "number" else "---" for place in range(len(sheet.heads))]
    return piped([map(in_markdown, sheet.heads), rules, *(map(_markdown_cell, row) for row in sheet.rows)])


def _markdown_cell(cell: Cell, *, is_in_table: bool = True) -> str:
    if cell.kind != "code" or not cell.text:
        return in_markdown(cell.text)
    text = on_one_line(cell.text)
    # A table is divided into cells before code is looked for.
    text = text.replace("|", "\\|") if is_in_table else text
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    blank = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{blank}{text}{blank}{fence}"


def html(tables: Iterable[Table]) -> str:
    """Return tables as a page of HTML that needs nothing else."""
    body = [element("h1", "Results"), element("p", _EXPLANATION), *chain.from_iterable(map(_section, sheets(tables)))]
    return plain_page("Results", body, [_GENERATOR])


def _section(sheet: Sheet) -> Iterator[Element]:
    yield element("h2", sheet.title)
    yield element("p", sheet.note, *((f" {_ENDING}: ", element("code", sheet.ending)) if sheet.ending else ()))
    heads = element("tr", [element("th", head) for head in sheet.heads])
    rows = [element("tr", map(_html_cell, row)) for row in sheet.rows]
    yield element("table", element("thead", heads), element("tbody", rows))


def _html_cell(cell: Cell) -> Element:
    content = element("code", cell.text) if cell.kind == "code" and cell.text else cell.text
    return element("td", content, class_="n" if cell.kind == "number" else None)


def content_for(target: str | Path, tables: list[Table]) -> str:
    """Return what a file is to hold, by its ending: a page of Markdown or HTML, or JSON.

    In a page of Markdown that exists, only what is between the lines `BEGIN` and `END` is replaced.

    Raises:
        ConfigError: it has another ending, or exists and is not one that was written so.
    """
    path = Path(target)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ConfigError(f"cannot write {path}: expected a file that ends with {', '.join(ENDINGS)}, or - for stdout")
    before = existing(path)
    if ending == ".json":
        if before is not None:
            read_tables(path)
        return to_text(tables)
    if ending == ".html":
        if before is not None and render(_GENERATOR) not in before:
            raise ConfigError(f"{path} exists, and was not written by recrun board; choose another name")
        return html(tables)
    if before is None:
        return f"# Results\n\n{BEGIN}\n\n{markdown(tables)}\n{END}\n"
    return replaced(before, tables, path)


def replaced(page: str, tables: Iterable[Table], path: str | Path) -> str:
    """Return a page of Markdown with the tables in it replaced; their headings keep their level.

    Raises:
        ConfigError: the page has no place for them.
    """
    lines = page.split("\n")
    bare = [line.removesuffix("\r") for line in lines]
    if bare.count(BEGIN) != 1 or bare.count(END) != 1 or bare.index(BEGIN) > bare.index(END):
        raise ConfigError(f"{path} exists; put the lines {BEGIN} and {END} where the tables belong in it")
    begin, end = bare.index(BEGIN), bare.index(END)
    text = f"\n{markdown(tables, _level(bare[:begin]))}\n"
    if lines[begin].endswith("\r"):
        text = text.replace("\n", "\r\n")
    return "\n".join([*lines[: begin + 1], text + lines[end], *lines[end + 1 :]])


def _level(lines: Iterable[str]) -> int:
    """Return the level of headings that stand below the last heading of some lines."""
    level, fence = 1, ""
    for line in lines:
        mark = re.match(r" {0,3}(`{3,}|~{3,})", line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence and (found := re.match(r"#{1,6}(?= )", line)):
            level = len(found[0])
    return min(level + 1, 6)


def existing(path: str | Path) -> str | None:
    """Return the text of a file that is to be replaced, or None if there is none.

    Raises:
        ConfigError: there is something else, or it cannot be read.
    """
    if not os.path.lexists(path):
        return None
    try:
        return read_regular(path, limit=_MAX_PAGE).decode("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot replace {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"cannot replace {path}: it is not UTF-8") from None
