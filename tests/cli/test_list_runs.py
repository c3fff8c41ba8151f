"""`recrun list runs`: conditions, order, damaged folders, and the count of looks at test."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.runs.folder import RunFolder
from recrun.runs.scan import find_folders
from tests.cli.conftest import modules_after


def _run(
    root: Path, id: str, *, status: str = "done", valid: float | None = 0.1, n_tests: int = 1, **settings: Any
) -> RunFolder:
    run = RunFolder.create(root, {"description": "mf", "dataset": "Synthetic", "model": "bprmf", "id": id, **settings})
    ledger = [{"metrics": {"ndcg@20": 0.05}}] * n_tests
    run.update_run(status=status, started=f"2026-01-0{len(id)}", which4best="ndcg@20", test_evaluations=ledger)
    if valid is not None:
        test = {"ndcg@20": valid / 2}
        run.write_json(run.metrics_file, {"best_epoch": 3, "valid": {"ndcg@20": valid}, "test": test})
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Runs of all kinds."""
    root = tmp_path / "runs"
    _run(root, "a", lr=0.001, valid=0.1)
    _run(root, "bb", lr=0.01, valid=0.3, n_tests=2)
    _run(root, "ccc", lr=0.1, valid=0.2, model="./my.py:Own", layers=[8, 4])
    _run(root, "dddd", lr=0.001, valid=None, status="failed")
    return root


def _names(outcome: Any) -> list[str]:
    assert outcome.code == 0, outcome.err
    return [row["name"] for row in json.loads(outcome.out)]


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ([], ["a", "bb", "ccc", "dddd"]),
        (["lr=1e-3"], ["a", "dddd"]),
        (["lr==1e-3", "status!='done'"], ["dddd"]),
        (["lr=0.001", "status=done"], ["a"]),
        (["lr!=1e-3"], ["bb", "ccc"]),
        (["lr>=0.01"], ["bb", "ccc"]),
        (["lr<0.01"], ["a", "dddd"]),
        (["model=bprmf"], ["a", "bb", "dddd"]),
        (["model=./my.py:Own"], ["ccc"]),
        (["layers=[8, 4]"], ["ccc"]),
        (["valid.ndcg@20>0.1"], ["bb", "ccc"]),
        (["valid.NDCG@20 > 0.1", "test.ndcg@20<=0.1"], ["ccc"]),
        (["status!=done"], ["dddd"]),
        (["test_evaluations>1"], ["bb"]),
        (["started>2026-01-02"], ["ccc", "dddd"]),
        (["name=bb"], ["bb"]),
        (["best_epoch=3", "valid.ndcg@20=0.3"], ["bb"]),
    ],
)
def test_conditions_choose_runs(
    recrun: Callable[..., Any], runs: Path, conditions: list[str], names: list[str]
) -> None:
    assert _names(recrun("list", "runs", *conditions, "--json")) == names


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("valid.ndcg@20", ["a", "ccc", "bb", "dddd"]),
        ("-valid.ndcg@20", ["bb", "ccc", "a", "dddd"]),
        ("lr", ["a", "dddd", "bb", "ccc"]),
        ("-name", ["dddd", "ccc", "bb", "a"]),
    ],
)
def test_runs_are_sorted_and_those_without_a_value_come_last(
    recrun: Callable[..., Any], runs: Path, sort: str, names: list[str]
) -> None:
    assert _names(recrun("list", "runs", "--sort", sort, "--json")) == names


def test_the_table_shows_what_was_asked_for(recrun: Callable[..., Any], runs: Path) -> None:
    outcome = recrun("list", "runs", "lr>0.001", "--sort", "-lr")
    assert outcome.code == 0
    head, _, *rows = outcome.out.splitlines()
    assert "test evaluations" in head
    assert head.split()[-1] == "lr"
    assert [row.split()[0].rpartition("/")[2] for row in rows] == ["ccc", "bb"]


def test_a_condition_on_the_criterion_adds_no_second_column_of_it(recrun: Callable[..., Any], runs: Path) -> None:
    outcome = recrun("list", "runs", "valid.ndcg@20>0.1", "test.ndcg@20>0", "--sort", "best_epoch")
    head, *_ = outcome.out.splitlines()
    assert head.split() == [
        "run",
        "status",
        "best",
        "epoch",
        "valid",
        "ndcg@20",
        "test",
        "ndcg@20",
        "test",
        "evaluations",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lrr=1"], "argument 1:1: lrr: no run has such a setting or metric; did you mean 'lr'?"),
        (["lr=1", "valid.ndgc@20>1"], "argument 2:1: valid.ndgc@20: no run has such a setting or metric"),
        (["--sort", "valid.ndcg@5"], "--sort: valid.ndcg@5: no run has such a setting or metric"),
        (["status=finished"], "argument 1:8: status: no run has this status; expected one of running, done, failed, "),
        (["status=don"], "did you mean 'done'?"),
        (["lr"], "argument 1: expected KEY=VALUE (or !=, <, <=, >, >=), found 'lr'"),
        (["lr=[1"], "argument 1"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(
    recrun: Callable[..., Any], runs: Path, arguments: list[str], message: str
) -> None:
    outcome = recrun("list", "runs", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.out == ""


def test_the_columns_are_chosen_by_the_keys_of_conditions(recrun: Callable[..., Any], runs: Path) -> None:
    outcome = recrun("list", "runs", "--columns", "lr,valid.ndcg@20, status,layers", "--sort", "-lr")
    assert (outcome.code, outcome.err) == (0, "")
    head, _, *rows = outcome.out.splitlines()
    assert head.split() == ["run", "lr", "valid.ndcg@20", "status", "layers"]
    assert rows[0].split() == ["runs/mf/Synthetic/ccc", "0.1000", "0.2000", "done", "[8,", "4]"]
    assert rows[3].split() == ["runs/mf/Synthetic/dddd", "0.0010", "-", "failed", "-"]
    assert _names(recrun("list", "runs", "--columns", "lr", "--json")) == ["a", "bb", "ccc", "dddd"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("lr,statsu", "--columns: statsu: no run has such a setting or metric; did you mean 'status'?"),
        ("lr,,status", "--columns: expected KEY,KEY,..., found 'lr,,status'"),
    ],
)
def test_columns_that_no_run_has_are_refused(
    recrun: Callable[..., Any], runs: Path, columns: str, message: str
) -> None:
    outcome = recrun("list", "runs", "--columns", columns)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_csv_has_the_chosen_columns_unrounded(recrun: Callable[..., Any], runs: Path) -> None:
    _run(runs, "third", lr=1 / 3, valid=2 / 3, layers=[8, 4], with_ratings=True, loss="a,b")
    columns = "lr,valid.ndcg@20,layers,with_ratings,loss,seconds"
    outcome = recrun("list", "runs", "name=third", "--columns", columns, "--format", "csv")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith("\r\n")
    head, row = csv.reader(io.StringIO(outcome.out, newline=""))
    assert head == ["run", *columns.split(",")]
    assert row == ["runs/mf/Synthetic/third", str(1 / 3), str(2 / 3), "[8, 4]", "true", "a,b", ""]


def test_csv_without_columns_has_those_of_the_table_under_keys_of_conditions(
    recrun: Callable[..., Any], runs: Path
) -> None:
    outcome = recrun("list", "runs", "lr>0.001", "--sort", "-lr", "--format", "csv")
    head, *rows = csv.reader(io.StringIO(outcome.out, newline=""))
    assert head == [
        "run",
        "status",
        "best_epoch",
        "which4best",
        "valid.ndcg@20",
        "test.ndcg@20",
        "test_evaluations",
        "lr",
    ]
    assert [row[0].rpartition("/")[2] for row in rows] == ["ccc", "bb"]
    assert rows[0][1:] == ["done", "3", "ndcg@20", "0.2", "0.1", "1", "0.1"]


def test_strangers_text_in_csv_is_neither_computed_nor_obeyed(recrun: Callable[..., Any], runs: Path) -> None:
    for id, text in {"f": "=cmd()", "g": "@x", "h": "a\x1b[31mb\nc", "i": "+1", "j": "-1"}.items():
        _run(runs, id, loss=text)
    _run(runs, "k", margin=-0.5)
    outcome = recrun("list", "runs", "loss!=null", "--columns", "loss", "--format", "csv")
    _, *rows = csv.reader(io.StringIO(outcome.out, newline=""))
    assert [row[1] for row in rows] == ["'=cmd()", "'@x", "a\\x1b[31mb\\nc", "'+1", "'-1"]
    numbers = recrun("list", "runs", "name=k", "--columns", "margin", "--format", "csv").out
    assert numbers.splitlines()[1].endswith(",-0.5")


def test_markdown_shows_text_as_it_is(recrun: Callable[..., Any], runs: Path) -> None:
    _run(runs, "md", loss="a|b <script> [x](y) `c` *d* best_epoch _e_ \\")
    outcome = recrun("list", "runs", "name=md", "--columns", "lr,loss,best_epoch", "--format", "md", "--sort", "-name")
    head, rule, row = outcome.out.splitlines()
    assert (head, rule) == ("| run | lr | loss | best_epoch |", "| --- | --- | --- | ---: |")
    shown = r"a\|b &lt;script&gt; \[x\](y) \`c\` \*d\* best_epoch \_e\_ \\"
    assert row == f"| runs/mf/Synthetic/md |  | {shown} | 3 |"


def test_csv_of_no_runs_is_its_header_row(recrun: Callable[..., Any]) -> None:
    outcome = recrun("list", "runs", "--columns", "lr,valid.ndcg@20", "--format", "csv")
    assert (outcome.code, outcome.out) == (0, "run,lr,valid.ndcg@20\r\n")
    assert "no runs in runs" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "md", "--json"], "--json and --format md exclude each other"),
        (["--format", "xlsx"], "'xlsx' is not one of"),
        (["--format", "csv", "--columns", "valid.ndgc@20"], "did you mean 'valid.ndcg@20'?"),
    ],
)
def test_a_format_that_cannot_be_is_refused(
    recrun: Callable[..., Any], runs: Path, arguments: list[str], message: str
) -> None:
    outcome = recrun("list", "runs", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_conditions_are_for_runs_only(recrun: Callable[..., Any]) -> None:
    assert recrun("list", "models", "--format", "csv").code == 2
    outcome = recrun("list", "models", "lr=1")
    assert outcome.code == 2
    assert "conditions, --sort, --columns and --format are for runs, not for models" in outcome.err


def test_damaged_folders_are_rows_marked_damaged(recrun: Callable[..., Any], runs: Path) -> None:
    (runs / "mf/Synthetic/a/run.json").write_text("{half", encoding="utf-8")
    (runs / "mf/Synthetic/bb/config.yaml").write_bytes(b"\xff\xfe")
    (runs / "mf/Synthetic/ccc/metrics.json").write_text("[]", encoding="utf-8")
    (runs / "mf/Synthetic/dddd/run.json").unlink()
    _run(runs, "good", lr=1.0)
    outcome = recrun("list", "runs")
    assert outcome.code == 0
    assert outcome.out.count("damaged") == 4
    assert outcome.err.count("warning: ") == 4
    rows = json.loads(recrun("list", "runs", "--json").out)
    assert {row["name"]: row["status"] for row in rows} == {
        **dict.fromkeys(["a", "bb", "ccc", "dddd"], "damaged"),
        "good": "done",
    }
    assert _names(recrun("list", "runs", "status=damaged", "--json")) == ["a", "bb", "ccc", "dddd"]
    assert _names(recrun("list", "runs", "lr!=7", "--json")) == ["a", "ccc", "dddd", "good"]


def _pause(root: Path, id: str) -> RunFolder:
    """Make a run that has paused, as `recrun train --until 2` leaves it."""
    run = _run(root, id, status="interrupted", valid=None)
    run.update_run(paused={"epoch": 2, "until": 2}, cause="Paused: paused after the evaluation at epoch 2 of 9")
    return run


def _statuses(recrun: Callable[..., Any], *words: str) -> dict[str, str]:
    return {row["name"]: row["status"] for row in json.loads(recrun("list", "runs", *words, "--json").out)}


def test_a_run_that_has_paused_is_told_from_one_that_was_interrupted(recrun: Callable[..., Any], runs: Path) -> None:
    _run(runs, "stopped", status="interrupted", valid=None)
    _pause(runs, "half")
    assert _statuses(recrun, "status!=done") == {"dddd": "failed", "stopped": "interrupted", "half": "paused"}
    assert _statuses(recrun, "status=paused") == {"half": "paused"}
    assert _statuses(recrun, "status=interrupted") == {"stopped": "interrupted"}
    _pause(runs, "more").update_run(status="interrupted", paused=None)  # it went on, and was interrupted then
    assert _statuses(recrun, "name=more") == {"more": "interrupted"}


def test_a_run_that_its_sweep_does_not_go_on_with_is_pruned(recrun: Callable[..., Any], runs: Path) -> None:
    for id in ("0123456789-0", "0123456789-1", "0123456789-2-2", "9876543210-0", "lone"):
        _pause(runs, id)
    folder = runs / "sweeps" / "a-study-0123456789"
    folder.mkdir(parents=True)
    states = {"0": "paused", "1": "pruned", "2-2": "pruned"}
    trials = [{"status": how, "run": f"elsewhere/runs/mf/Synthetic/0123456789-{id}"} for id, how in states.items()]
    others = [None, {"status": "pruned"}, {"status": "pruned", "run": "runs/mf/Synthetic/lone"}]
    (folder / "sweep.json").write_text(json.dumps({"trials": [*others, *trials]}), encoding="utf-8")
    known = {"0123456789-0": "paused", "0123456789-1": "pruned", "0123456789-2-2": "pruned"}
    assert _statuses(recrun, "status=pruned") == {id: how for id, how in known.items() if how == "pruned"}
    assert _statuses(recrun, "status=paused") == {"0123456789-0": "paused", "9876543210-0": "paused", "lone": "paused"}
    row = recrun("list", "runs", "name=0123456789-1").out.splitlines()[-1]
    assert row.split()[1] == "pruned"
    for damage in ("{half", '{"trials": 7}', "[]"):
        (folder / "sweep.json").write_text(damage, encoding="utf-8")
        assert set(_statuses(recrun, "cause!=null").values()) == {"paused"}
    (folder / "sweep.json").unlink()
    (folder / "sweep.json").symlink_to("/dev/zero")
    assert set(_statuses(recrun, "cause!=null").values()) == {"paused"}


def test_a_run_whose_process_died_is_called_killed(recrun: Callable[..., Any], runs: Path) -> None:
    run = _run(runs, "dead", status="running", valid=None)
    assert _names(recrun("list", "runs", "status=killed", "--json")) == ["dead"]
    with run.lock():
        assert _names(recrun("list", "runs", "status=running", "--json")) == ["dead"]


def test_only_looks_at_test_that_gave_a_number_are_counted(recrun: Callable[..., Any], runs: Path) -> None:
    run = _run(runs, "cut", n_tests=0)
    run.begin_test_evaluation("best", by="train")
    run.end_test_evaluation(run.begin_test_evaluation("best", by="train"), {"ndcg@20": 0.1})
    (row,) = json.loads(recrun("list", "runs", "name=cut", "--json").out)
    assert row["test_evaluations"] == 1


def test_links_and_the_folders_of_sweeps_are_no_rows(runs: Path) -> None:
    (runs / "sweeps/mf-0123456789/trials").mkdir(parents=True)
    (runs / "sweeps/mf-0123456789/trials/0.yaml").write_text("lr: 1\n", encoding="utf-8")
    (runs / "mf/Synthetic/link").symlink_to(runs / "mf/Synthetic/a", target_is_directory=True)
    (runs / "mf/Synthetic/.building-00").mkdir()
    (runs / "mf/Synthetic/.building-00/config.yaml").write_text("lr: 1\n", encoding="utf-8")
    (runs / "latest").symlink_to("mf/Synthetic/a", target_is_directory=True)
    assert [Path(path).name for path in find_folders(runs)] == ["a", "bb", "ccc", "dddd"]


def test_no_runs_are_no_error(recrun: Callable[..., Any]) -> None:
    outcome = recrun("list", "runs", "lr=1")
    assert (outcome.code, outcome.out) == (0, "")
    assert "no runs in runs" in outcome.err
    assert json.loads(recrun("list", "runs", "--json").out) == []


def test_listing_runs_does_not_import_torch() -> None:
    assert modules_after("list", "runs", "lr=1", "--sort", "lr", names=("torch", "polars", "pydantic")) == []


def test_runs_that_rank_candidates_are_told_from_those_that_rank_all_items(
    recrun: Callable[..., Any], tmp_path: Path
) -> None:
    _run(tmp_path / "runs", "a")
    assert "candidates" not in recrun("list", "runs").out
    _run(tmp_path / "runs", "bb", candidates=99, candidates_by="popularity")
    lines = recrun("list", "runs").out.splitlines()
    assert lines[0].split()[-2:] == ["candidates", "candidates_by"]
    assert [line.split()[-2:] for line in lines[2:]] == [["-", "-"], ["99", "popularity"]]
    _run(tmp_path / "runs", "ccc", candidates_path="lists.csv")
    head = recrun("list", "runs", "--format", "csv").out.splitlines()[0]
    assert head.endswith(",candidates,candidates_by,candidates_path")
