"""`recrun board`: from runs to pages and files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.upkeep.board.collect import collect
from tests.cli.conftest import SMALL, modules_after


@pytest.fixture
def runs(recrun: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of one model, and two of another one with different seeds."""

    def train(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["recrun", "train", *arguments])  # a run records it
        outcome = recrun("train", *arguments)
        assert outcome.code == 0, outcome.err

    train("popularity", *(each for each in SMALL if not each.startswith(("embedding_dim", "batch_size", "epochs"))))
    for seed in (1, 2):
        train("bprmf", *SMALL, f"seed={seed}")
    return tmp_path / "runs"


def test_a_board_goes_from_runs_to_json_and_from_there_to_pages(
    recrun: Callable[..., Any], runs: Path, tmp_path: Path
) -> None:
    shown = recrun("board", "runs")
    assert (shown.code, shown.err) == (0, "")
    rows = [line for line in shown.out.splitlines() if line.startswith("| ")]
    assert rows[0] == "| model | runs | ndcg@5 | time, peak memory | command |"
    (several,) = [row for row in rows if row.startswith("| bprmf | 2 (seed 1, 2) |")]
    assert several.endswith("`recrun train configs/bprmf.yaml epochs=1 batch_size=128 embedding_dim=8 seed=N` |")
    (single,) = [row for row in rows if row.startswith("| popularity | 1 |")]
    assert single.endswith("`recrun train configs/popularity.yaml` |")

    outcome = recrun("board", "runs", "--to", "board.json")
    assert (outcome.code, outcome.out) == (0, "board.json: 1 tables with 2 rows\n")
    assert recrun("board", "board.json", "--to", "page.md").code == 0
    assert recrun("board", "board.json", "--to", "page.html").code == 0
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert shown.out in page
    assert "<td>bprmf</td><td>2 (seed 1, 2)</td>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    document = json.loads(recrun("board", "board.json", "--json").out)
    assert document == json.loads((tmp_path / "board.json").read_text(encoding="utf-8"))
    for file in ("board.json", "page.md", "page.html"):
        before = (tmp_path / file).read_bytes()
        assert recrun("board", "board.json", "--to", file).code == 0
        assert (tmp_path / file).read_bytes() == before


def test_the_command_in_a_row_gives_the_numbers_of_the_row(recrun: Callable[..., Any], runs: Path) -> None:
    (table,) = json.loads(recrun("board", "runs", "--json").out)["tables"]
    (row,) = [row for row in table["rows"] if row["model"] == "bprmf"]
    again = recrun("train", row["config"], *row["overrides"], "seed=2", "threads=1", "--no-plots", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["test"]["ndcg@5"] == row["metrics"]["ndcg@5"][1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is nothing at 'nowhere'"),
        (["runs"], "runs is neither a run nor a sweep, and there are no runs in it"),
        (["model=bprmf"], "there are no runs in runs"),
        (["runs", "--json", "--to", "x.json"], "--json prints the tables, and --to FILE.json writes them"),
        ([], "Missing argument"),
    ],
)
def test_what_gives_no_tables_is_refused(
    recrun: Callable[..., Any], tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "runs").mkdir()
    outcome = recrun("board", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_a_file_that_cannot_be_written_is_one_line(recrun: Callable[..., Any], runs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("mine\n", encoding="utf-8")
    (tmp_path / "link.md").symlink_to("mine.md")
    for target, message in (
        ("none/page.md", "Error: --to none/page.md: there is no folder none"),
        ("mine.md", "error: mine.md exists; put the lines"),
        ("page.pdf", "error: cannot write page.pdf: expected a file that ends with"),
        ("runs", "Error: --to runs: it is not a regular file"),
        ("link.md", "Error: --to link.md: it is a symbolic link"),
    ):
        outcome = recrun("board", "runs", "--to", target)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.splitlines()[-1].startswith(message)
    assert (tmp_path / "mine.md").read_text(encoding="utf-8") == "mine\n"


def test_a_file_that_another_command_changes_meanwhile_is_not_replaced(
    recrun: Callable[..., Any], runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recrun("board", "runs", "--to", "x.json").code == 0
    other = (tmp_path / "x.json").read_text(encoding="utf-8") + "\n"
    found = collect(["runs"])

    def change(*_: Any) -> Any:
        (tmp_path / "x.json").write_text(other, encoding="utf-8")
        return found

    monkeypatch.setattr("recrun.upkeep.board.collect.collect", change)
    outcome = recrun("board", "x.json", "runs", "--to", "x.json")
    assert (outcome.code, outcome.err) == (2, "error: x.json was changed meanwhile; run the command again\n")
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == other


def test_metrics_are_named_as_for_compare(recrun: Callable[..., Any], runs: Path) -> None:
    shown = recrun("board", "runs", "--metric", "NDCG@5,ndcg@5")
    assert (shown.code, shown.out) == (0, recrun("board", "runs", "--metric", "ndcg@5").out)
    assert recrun("board", "runs", "--metric", " ,").code == 2


def test_writing_a_page_from_a_file_does_not_import_torch(tmp_path: Path) -> None:
    file = tmp_path / "board.json"
    file.write_text('{"kind": "recrun board", "schema": 1, "tables": []}', encoding="utf-8")
    assert modules_after("board", str(file), "--to", str(tmp_path / "page.md"), names=("torch", "scipy")) == []
