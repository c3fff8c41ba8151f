"""Tables in the width of a terminal: nothing is wider, numbers and names stay whole, what is left out is named."""

from __future__ import annotations

from typing import Any

import pytest
from rich.cells import cell_len

from recrun.report.terminal.columns import Field, wrapped
from recrun.report.terminal.tables import Prose, TextTable, table

RUN = "runs/lightgcn-tuned/MovieLens1M/20261128-164413-84f35f"
LONG = "A metric of your own that counts how many of the recommended items a user has rated with four stars or more."
AXES = ("embedding_dim", "n_layers", "weight_decay", "dropout_rate", "lr")

TABLES: dict[str, tuple[TextTable, list[str]]] = {
    "runs": (
        table(
            None,
            [
                Field("run"),
                Field("status"),
                Field("best epoch", 2),
                Field("valid ndcg@20"),
                Field("test ndcg@20", 1),
                Field("test evaluations", 4),
            ],
            [(f"{RUN}{i}", "interrupted", 123, 0.12345, 0.1, 1) for i in range(3)],
        ),
        [f"{RUN}2", "interrupted", "0.1235"],
    ),
    "five axes": (
        table(
            None,
            ["trial", *AXES, "status", "recall@20", Field("ndcg@20", 11), Field("epoch", 2), Field("time", 3)],
            [(str(i), "128", "3", "1e-05", "0.25", "0.0005", "failed", 0.1, 0.2, 17, "3 min 05 s") for i in range(12)],
            best=0,
        ),
        ["0.0005", "1e-05", "failed", "0.1000"],
    ),
    "metrics": (
        table(
            None,
            ["name", "kind", Field("summary", wraps=True)],
            [("./my_metrics.py:four_stars", "ranking", LONG), ("ndcg", "ranking", "Short.")],
        ),
        ["./my_metrics.py:four_stars", "recommended", "ranking"],
    ),
    "parameters": (
        table(
            None,
            ["key", Field("type", wraps=True), Field("default", wraps=True), Field("help", wraps=True)],
            [("min_interactions_per_user", "an integer >= 1, or null", "null", LONG), ("lr", "a number", "0.001", "x")],
        ),
        ["min_interactions_per_user", "0.001"],
    ),
    "wide letters": (
        table(None, ["name", Field("summary", wraps=True)], [("映画", "これは長い説明文です。" * 8)]),
        ["映画"],
    ),
}


def _drawn(screen: Any, drawing: Any, width: int, *, terminal: bool = True) -> list[str]:
    console = screen(terminal=terminal, width=width, no_color=True, soft_wrap=True)
    console.print(drawing)
    return [line.replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "") for line in _lines(console)]


def _lines(console: Any) -> list[str]:
    return str(console.file.getvalue()).splitlines()


@pytest.mark.parametrize("width", [100, 80, 60])
@pytest.mark.parametrize("name", TABLES)
def test_a_table_fits_a_terminal_with_its_names_and_numbers_whole(screen: Any, name: str, width: int) -> None:
    drawing, whole = TABLES[name]
    lines = _drawn(screen, drawing, width)
    assert [line for line in lines if cell_len(line) > width] == []
    assert [line for line in lines if line != line.rstrip()] == []
    assert [text for text in whole if not any(text in line.split() for line in lines)] == []


def test_columns_are_left_out_in_a_fixed_order_and_named(screen: Any) -> None:
    assert _drawn(screen, TABLES["five axes"][0], 100)[-1][:9] != "not shown"
    assert _drawn(screen, TABLES["five axes"][0], 80)[-1] == "not shown: ndcg@20, time (--json has all)"


def test_a_name_that_leaves_no_room_has_a_line_of_its_own(screen: Any) -> None:
    lines = _drawn(screen, TABLES["runs"][0], 60)
    assert lines[3:7] == [
        "─" * len(lines[3]),
        f"{RUN}0",
        "  interrupted   0.1235   0.1000    123            1",
        f"{RUN}1",
    ]
    assert not any(line.startswith("not shown") for line in lines)


def test_what_is_no_terminal_gets_one_line_for_each_row(screen: Any) -> None:
    lines = _drawn(screen, TABLES["parameters"][0], 1_000_000, terminal=False)
    assert lines[0].split() == ["key", "type", "default", "help"]
    assert len(lines) == 4
    assert lines[2].endswith(LONG)
    assert lines[3] == lines[3].rstrip()


def test_a_cell_stays_on_its_line(screen: Any) -> None:
    assert _drawn(screen, table(None, ["name"], [("a\nb\x1b[2J",)]), 80)[-1] == r"a\nb\x1b[2J"


def test_prose_is_wrapped_at_blanks_and_a_path_stays_whole(screen: Any) -> None:
    lines = _drawn(screen, Prose(f"  Checkpoint {RUN}/checkpoints/best is a path that may be copied"), 60)
    assert lines == [
        "  Checkpoint",
        f"  {RUN}/checkpoints/best",
        "  is a path that may be copied",
    ]


def test_a_word_wider_than_a_column_is_broken_after_its_punctuation() -> None:
    assert wrapped("see recrun/report/terminal/columns.py for it", 16) == [
        "see",
        "recrun/report/",
        "terminal/",
        "columns.py for",
        "it",
    ]
