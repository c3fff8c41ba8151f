"""The tables of docs/results.md are those of docs/results.json, with commands and published numbers that still hold."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from recrun.config.resolve import resolve
from recrun.upkeep.board.document import Row, Table, read_tables, to_text
from recrun.upkeep.board.merge import merged
from recrun.upkeep.board.pages import replaced

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
TABLES: Final = read_tables(DOCS / "results.json")
ROWS: Final = [(table, row) for table in TABLES for row in table.rows]


def _named(value: object) -> str:
    return value.dataset if isinstance(value, Table) else value.config if isinstance(value, Row) else ""


def test_the_tables_are_written_from_the_rows() -> None:
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    command = "recrun board docs/results.json --to docs/results.md"
    assert replaced(page, TABLES, "docs/results.md") == page, f"the page is stale: {command}"
    assert to_text(merged(TABLES)) == (DOCS / "results.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(("table", "row"), ROWS, ids=_named)
def test_the_command_of_every_row_is_valid_and_names_its_data(table: Table, row: Row) -> None:
    resolved = resolve(row.config, row.overrides)
    assert resolved.config.dataset == table.dataset
    assert set(row.metrics) <= set(resolved.config.monitors)


@pytest.mark.parametrize(("table", "row"), ROWS, ids=_named)
def test_published_numbers_are_those_of_the_config(table: Table, row: Row) -> None:
    expected = resolve(row.config, row.overrides).expected
    published = [(each.metric, each.value, each.source) for each in expected if each.origin == "published"]
    assert [(each.metric, each.value, each.source) for each in row.published] == published


def test_no_row_tells_of_the_machine_on_which_it_was_measured() -> None:
    text = (DOCS / "results.json").read_text(encoding="utf-8")
    assert "root=" not in text
    assert "/home" not in text
    assert all(not part.startswith("/") for _, row in ROWS for each in row.overrides for part in each.split("="))
