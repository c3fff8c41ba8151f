"""`recrun report`: what it writes and prints, and what it refuses before it writes anything."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from tests.cli.conftest import SMALL, modules_after
from tests.compare.conftest import BEST, write_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Runs of two groups over two seeds."""
    root = tmp_path / "runs"
    for seed in (1, 2):
        write_run(root, f"best{seed}", seed, BEST)
        write_run(root, f"worse{seed}", seed, 0.0, model="lightgcn")
    return root


def _page(folder: Path, name: str = "report.html") -> html.HtmlElement:
    return html.fromstring((folder / name).read_text("utf-8"))


def test_a_page_is_written_and_its_size_is_said(recrun: Callable[..., Any], runs: Path, tmp_path: Path) -> None:
    outcome = recrun("report", "runs")
    size = os.path.getsize(tmp_path / "report.html")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == f"wrote report.html ({size / 1000:,.0f} KB, 4 runs)\n"
    assert _page(tmp_path).xpath("//h1/text()") == ["2 groups of runs on Synthetic (4 runs)"]


def test_conditions_alone_choose_among_all_runs(recrun: Callable[..., Any], runs: Path, tmp_path: Path) -> None:
    assert recrun("report", "model=lightgcn", "--to", "one.html", "--title", "One <model>").code == 0
    page = _page(tmp_path, "one.html")
    assert page.xpath("//h1/text()") == page.xpath("//title/text()") == ["One <model>"]
    assert len(page.xpath("//table[@id='runs-table']/tbody/tr")) == 2


def test_the_options_of_compare_choose_the_comparison(recrun: Callable[..., Any], runs: Path, tmp_path: Path) -> None:
    options = ["--baseline", "lightgcn", "--metric", "recall@20", "--split", "valid", "--over", "users"]
    assert recrun("report", "runs", *options, "--test", "wilcoxon", "--correction", "bh").code == 0
    page = _page(tmp_path)
    heads = page.xpath("//table[@id='tests']/thead//th/text()")
    assert "p BH" in heads
    text = page.text_content()
    assert "Differences to lightgcn with 95 % intervals (of the t test): Wilcoxon's rank test over users" in text
    assert "Means on validation" in text
    assert page.xpath("//table[@id='means']/thead//th/text()") == ["group", "seeds", "recall@20"]


def test_the_json_document_says_what_was_written(recrun: Callable[..., Any], runs: Path, tmp_path: Path) -> None:
    document = json.loads(recrun("report", "runs", "--json").out)
    assert document == {
        "report": "report.html",
        "bytes": os.path.getsize(tmp_path / "report.html"),
        "split": "test",
        "groups": ["bprmf", "lightgcn"],
        "runs": 4,
        "tests": 2,
        "reason": None,
        "notes": [],
    }


def test_runs_that_do_not_compare_are_described_unless_a_test_is_asked_for(
    recrun: Callable[..., Any], runs: Path, tmp_path: Path
) -> None:
    write_run(runs, "other", 1, 0.2, model="ease", record={"data": {"split": "b" * 64}})
    refused = recrun("report", "runs", "--baseline", "ease")
    assert (refused.code, (tmp_path / "report.html").exists()) == (2, False)
    assert refused.err.startswith("error: the runs do not compare: their train, valid and test parts differ")
    outcome = recrun("report", "runs")
    assert outcome.code == 0
    assert outcome.err.startswith("note: no tests: their train, valid and test parts differ")
    assert recrun("report", "runs", "--descriptive").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs", "--to", "page.pdf"], "--to page.pdf: a report is a page; expected a name that ends in .html"),
        (["runs", "--title", " "], "--title: expected a text, found nothing"),
        (["runs", "--metric", ","], "--metric: expected the name of a metric, such as ndcg@20"),
        (["runs", "--metric", "ndgc@20"], "ndgc"),
        (["runs", "--baseline", "eas"], "no group is called 'eas'"),
        (["nothing"], "there is nothing at 'nothing'"),
        (["runs", "--descriptive", "--over", "users"], "--descriptive tests nothing; leave out either it or --over"),
        (["runs", "--to", "no/report.html"], "--to no/report.html: there is no folder no"),
        (["runs", "--to", "runs/mf/x.html/"], "expected a name"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_done_is_refused_with_exit_code_2(
    recrun: Callable[..., Any], runs: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    if message == "expected a name":
        (runs / "mf" / "x.html").mkdir()
        message = "directory"
    outcome = recrun("report", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert not (tmp_path / "report.html").exists()


def test_what_is_no_regular_file_is_not_replaced(recrun: Callable[..., Any], runs: Path, tmp_path: Path) -> None:
    (tmp_path / "target.html").write_text("x")
    (tmp_path / "link.html").symlink_to("target.html")
    os.mkfifo(tmp_path / "fifo.html")
    for name, why in (("link.html", "it is a symbolic link"), ("fifo.html", "it is not a regular file")):
        outcome = recrun("report", "runs", "--to", name)
        assert outcome.code == 2
        assert f"--to {name}: {why}" in outcome.err
    assert (tmp_path / "target.html").read_text() == "x"


def test_a_sweep_that_was_run_has_a_report(recrun: Callable[..., Any], tmp_path: Path) -> None:
    assert recrun("sweep", "synthetic/bprmf", *SMALL, "lr=0.01,0.1", "weight_decay=0,0.1", "--jobs", "1").code == 0
    (sweep,) = (tmp_path / "runs" / "sweeps").iterdir()
    outcome = recrun("report", str(sweep))
    assert outcome.code == 0
    assert "note: the numbers are those of validation, since some runs have none of test" in outcome.err
    page = _page(tmp_path)
    assert len(page.xpath("//figure[@id='sweep-1-parallel']//path[contains(@class, 'track')]")) == 4
    assert {cell.text for cell in page.xpath("//table[@id='sweep-1-shares']/tbody//th")} == {
        "lr",
        "weight_decay",
        "rest",
    }


def test_help_imports_nothing_heavy() -> None:
    assert modules_after("report", "--help", names=("torch", "numpy", "polars", "rich", "recrun.compare.groups")) == []
