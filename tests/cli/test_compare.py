"""`recrun compare`: what it prints in every format, what it writes, and what it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import SMALL, modules_after
from tests.cli.on_terminal import on_terminal
from tests.compare.conftest import BEST, write_run

TABLE = """\
ndcg@20
   group     mean    sd      difference  95 % interval       p       p Holm  effect
───────────────────────────────────────────────────────────────────────────────────
"""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Runs of three groups over two seeds: the second is clearly worse, the third hardly different from the first."""
    root = tmp_path / "runs"
    for seed in (1, 2):
        write_run(root, f"best{seed}", seed, BEST)
        write_run(root, f"worse{seed}", seed, 0.0, model="lightgcn")
        write_run(root, f"close{seed}", seed, 0.1, model="ease")
    return root


def test_a_table_for_each_metric_and_how_it_was_made(recrun: Callable[..., Any], runs: Path) -> None:
    outcome = recrun("compare", "runs", "--over", "users")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(TABLE)
    lines = outcome.out.splitlines()
    assert [line.split()[:2] for line in lines[3:5]] == [["★", "bprmf"], ["~", "ease"]]
    assert lines[5].split()[0] == "lightgcn"
    assert lines[7] == "recall@20"
    assert "★: best. ~: not distinguishable from the best (corrected p >= 0.05)." in lines
    assert "t test over users (40 users, 2 seeds, averaged over seeds)" in outcome.out
    assert "p values corrected by Holm's method for 4 tests" in outcome.out


def test_the_default_is_over_users_and_seeds_and_the_caption_says_why(recrun: Callable[..., Any], runs: Path) -> None:
    out = recrun("compare", "runs").out
    assert "t test over users and seeds (40 users, 2 seeds, paired seeds)" in out
    assert "over users alone, or seeds alone, tests find differences too often where there are none." in out


def test_the_json_document_is_the_same_by_either_option(recrun: Callable[..., Any], runs: Path) -> None:
    outcome = recrun("compare", "runs", "--json")
    document = json.loads(outcome.out)
    assert outcome.out == recrun("compare", "runs", "--format", "json").out
    assert [group["name"] for group in document["groups"]] == ["bprmf", "ease", "lightgcn"]
    assert document["groups"][0]["runs"] == ["runs/mf/Synthetic/best1", "runs/mf/Synthetic/best2"]
    assert {(test["test"], test["over"]) for test in document["tests"]} == {("t", "both")}


@pytest.mark.parametrize(
    ("kind", "ending", "start"),
    [
        ("md", "md", "| group | seeds | ndcg@20 | recall@20 |\n| --- | ---: | ---: | ---: |\n| bprmf | 2 | **0."),
        ("latex", "tex", "% Needs \\usepackage{booktabs}.\n\\begin{table}\n"),
        ("csv", "csv", "split,metric,group,n_seeds,mean,sd,"),
        ("html", "html", "<!doctype html>\n"),
        ("json", "json", '{\n  "split": "test",\n'),
    ],
)
def test_every_format_is_printed_or_written_to_a_file(
    recrun: Callable[..., Any], runs: Path, kind: str, ending: str, start: str
) -> None:
    printed = recrun("compare", "runs", "--format", kind)
    assert printed.code == 0
    assert printed.out.startswith(start)
    file = f"result.{ending}"
    written = recrun("compare", "runs", "--to", file)
    assert (written.code, written.out, written.err) == (0, "", f"wrote {file}\n")
    assert Path(file).read_text(encoding="utf-8") == printed.out
    assert recrun("compare", "runs", "--to", "other", "--format", kind).code == 0
    assert Path("other").read_text(encoding="utf-8") == printed.out


def test_a_file_is_replaced_and_nothing_else_is(recrun: Callable[..., Any], runs: Path) -> None:
    Path("old.md").write_text("old", encoding="utf-8")
    Path("link.md").symlink_to("old.md")
    os.mkfifo("fifo.md")
    for name, problem in (
        ("link", "it is a symbolic link; name the file itself"),
        ("fifo", "it is not a regular file"),
    ):
        outcome = recrun("compare", "runs", "--to", f"{name}.md")
        assert (outcome.code, outcome.err.splitlines()[-1]) == (2, f"Error: --to {name}.md: {problem}")
    assert Path("old.md").read_text(encoding="utf-8") == "old"
    assert recrun("compare", "runs", "--to", "old.md").code == 0
    assert Path("old.md").read_text(encoding="utf-8").startswith("| group |")


def test_notes_go_to_stderr_beside_a_document(recrun: Callable[..., Any], runs: Path) -> None:
    outcome = recrun("compare", "runs", "runs/mf", "seed=1", "--format", "csv")
    assert "note: bprmf, ease, lightgcn have one seed each: tests over users alone say nothing" in outcome.err
    assert "note" not in outcome.out
    assert "note: given more than once" in outcome.err
    assert "note: bprmf, ease" in recrun("compare", "seed=1").out


def test_options_choose_metric_baseline_test_and_correction(recrun: Callable[..., Any], runs: Path) -> None:
    options = ("--metric", "NDCG@20", "--baseline", "light", "--test", "bootstrap", "--correction", "bh")
    document = json.loads(recrun("compare", "runs", *options, "--split", "valid", "--json").out)
    assert (document["baseline"], document["metrics"], document["split"]) == ("lightgcn", ["ndcg@20"], "valid")
    assert {test["test"] for test in document["tests"]} == {"bootstrap"}
    assert document["correction"] == "bh"
    both = json.loads(recrun("compare", "runs", "--metric", "recall@20,ndcg@20", "--json").out)
    assert both["metrics"] == ["recall@20", "ndcg@20"]


def test_conditions_alone_are_on_the_folder_of_runs(recrun: Callable[..., Any], runs: Path) -> None:
    runs.rename(runs.parent / "mine")
    document = json.loads(recrun("compare", "model!=ease", "--runs", "mine", "--json").out)
    assert [group["name"] for group in document["groups"]] == ["bprmf", "lightgcn"]


def test_numbers_alone_are_shown_with_descriptive(recrun: Callable[..., Any], runs: Path) -> None:
    write_run(runs, "other", record={"data": {"split": "b"}})
    assert recrun("compare", "runs").code == 2
    outcome = recrun("compare", "runs", "--descriptive")
    assert outcome.code == 0
    assert "difference" not in outcome.out
    assert "note: no tests, since their train, valid and test parts differ" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument"),
        (("nothing",), "error: argument 1: there is nothing at 'nothing'"),
        (("runs", "--test", "z"), "'z' is not one of 't', 'wilcoxon', 'permutation', 'bootstrap'"),
        (("runs", "--split", "train"), "'train' is not one of 'test', 'valid'"),
        (("runs", "--test", "wilcoxon"), "error: wilcoxon exchanges values one by one"),
        (("runs", "--baseline", "slim"), "error: no group is called 'slim'"),
        (("runs", "--metric", " , "), "Error: --metric: expected the name of a metric, such as ndcg@20"),
        (("runs", "--metric", "ndcg@3"), "error: --metric: ndcg@3 is not among the metrics of"),
        (("runs", "--json", "--format", "md"), "Error: --json and --format md exclude each other"),
        (("runs", "--to", "result"), "Error: --to result: its ending tells no format"),
        (("runs", "--to", "result.md", "--format", "table"), "Error: a table is for the terminal; --to takes"),
        (("runs", "--to", "none/result.md"), "Error: --to none/result.md: there is no folder none"),
        (("runs", "--to", "runs"), "'runs' is a directory"),
        (("runs", "--descriptive", "--over", "users"), "Error: --descriptive tests nothing; leave out"),
        (("runs", "--descriptive", "--baseline", "ease"), "Error: --descriptive tests nothing; leave out either it or"),
    ],
)
def test_what_is_wrong_is_one_line_with_exit_code_2(
    recrun: Callable[..., Any], runs: Path, arguments: tuple[str, ...], message: str
) -> None:
    outcome = recrun("compare", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert message in outcome.err
    assert len([line for line in outcome.err.splitlines() if line.lower().startswith("error")]) == 1


def test_what_a_strangers_run_holds_is_shown_and_not_obeyed(recrun: Callable[..., Any], tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path / "runs", f"a{seed}", seed, model="evil\x1b[31m\u202e|<b>")
        write_run(tmp_path / "runs", f"b{seed}", seed, 0.1, model="ease")
    for kind in ("table", "md", "latex", "csv", "html", "json"):
        outcome = recrun("compare", "runs", "--format", kind)
        assert outcome.code == 0
        assert "\x1b" not in outcome.out + outcome.err
        assert "\u202e" not in outcome.out + outcome.err
        assert "evil" in outcome.out


@pytest.mark.parametrize("width", [80, 60])
def test_a_terminal_keeps_the_corrected_p_and_names_what_is_left_out(runs: Path, width: int) -> None:
    text = on_terminal("compare", "runs", "--metric", "ndcg@20", width=width, folder=runs.parent, code=0, NO_COLOR="1")
    assert "p Holm" in text
    assert ("not shown: p (--json has all)" in text) == (width == 80)  # in 60 columns, a row has two lines
    assert all(len(line) <= width for line in text.splitlines())


def test_the_best_is_bold_on_a_terminal_and_ascii_where_there_is_nothing_else(runs: Path) -> None:
    coloured = on_terminal("compare", "runs", width=100, folder=runs.parent, code=0)
    assert "\x1b[1;32mbprmf\x1b[0m" in coloured
    plain = on_terminal(
        "compare", "runs", width=100, folder=runs.parent, code=0, NO_COLOR="1", PYTHONIOENCODING="ascii"
    )
    assert "*: best." in plain
    assert plain.isascii()


def test_trained_runs_are_compared(recrun: Callable[..., Any]) -> None:
    for model in ("bprmf", "popularity"):
        for seed in (1, 2):
            small = [
                each for each in SMALL if model == "bprmf" or not each.startswith(("batch", "embedding", "epochs"))
            ]
            assert recrun("train", "synthetic/bprmf", *small, f"model={model}", f"seed={seed}", "plots=false").code == 0
    outcome = recrun("compare", "runs", "--json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert sorted(group["name"] for group in document["groups"]) == ["bprmf", "popularity"]
    (test,) = document["tests"]
    means = {group["name"]: group["mean"]["ndcg@5"] for group in document["groups"]}
    assert test["difference"] == pytest.approx(means[test["group"]] - means[document["baseline"]], abs=1e-12)


def test_torch_is_not_needed(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.parent)
    assert modules_after("compare", "runs", names=("torch", "matplotlib", "scipy.stats")) == []


def test_its_help_imports_nothing_heavy() -> None:
    assert modules_after("compare", "--help", names=("torch", "numpy", "polars", "scipy", "rich")) == []


def test_groups_of_users_are_compared_one_after_the_other(recrun: Callable[..., Any], tmp_path: Path) -> None:
    for seed in ("1", "2"):
        for model in ("popularity", "random"):
            small = ["n_users=60", "n_items=40", "n_interactions=900", "monitors=[ndcg@5]", "which4best=ndcg@5"]
            trained = recrun("train", model, *small, "plots=false", "groups=[activity:2]", f"seed={seed}")
            assert trained.code == 0, trained.err
    document = json.loads(recrun("compare", "runs", "--by", "activity:2", "--json").out)
    assert [part["of"] for part in document["parts"]] == ["users", "users"]
    names = [part["part"] for part in document["parts"]]
    table = recrun("compare", "runs", "--by", "activity:2").out
    assert [line for line in table.splitlines() if line in names] == names
    csv = recrun("compare", "runs", "--by", "activity:2", "--format", "csv").out.splitlines()
    assert csv[0].endswith(",part")
    assert [line.rpartition(",")[2] for line in csv[1:]] == [names[0], names[0], names[1], names[1]]
    one = recrun("compare", "runs", "--by", names[1], "--format", "md").out
    assert one.startswith("## activity:2=")
    for kind in ("latex", "html"):
        assert recrun("compare", "runs", "--by", "activity:2", "--format", kind).code == 0
    refused = recrun("compare", "runs", "--by", "age")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
