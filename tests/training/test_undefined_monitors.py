"""Monitors that the data leaves undefined: refused before a run begins, null in a run that exists."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.cli.main import main
from recrun.config.resolve import resolve
from recrun.errors import ConfigError, TrainingError
from recrun.files import from_json
from recrun.runs.folder import RunFolder
from recrun.runs.history import read_history
from recrun.workflows.build import build, portable, prepare

SETTINGS = [
    "dataset=LabelledFile",
    "train_path=train.csv",
    "valid_path=valid.csv",
    "test_path=test.csv",
    "user_column=user",
    "sparse_columns=[cat]",
    "dense_columns=[x]",
    "epochs=2",
    "threads=1",
    "device=cpu",
    "verbose=0",
    "embedding_dim=4",
]
LABELS: dict[str, Callable[[int, int], int]] = {
    "both": lambda user, row: (user + row) % 2,
    "ones": lambda user, row: 1,
    "zeros": lambda user, row: 0,
    "one a user": lambda user, row: user % 2,
}
"""The label of a user's row, by name of a kind of part."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, **kinds: str) -> list[str]:
    """Write three parts, each of one kind of `LABELS`, and return the settings that read them."""
    for number, part in enumerate(("train", "valid", "test")):
        rng = np.random.default_rng(number)
        lines = [
            f"{user},{'abc'[row % 3]},{rng.normal():.4f},{LABELS[kinds.get(part, 'both')](user, row)}"
            for user in range(8)
            for row in range(6)
        ]
        (folder / f"{part}.csv").write_text("\n".join(["user,cat,x,label", *lines]) + "\n", encoding="utf-8")
    return [*SETTINGS, f"root={folder}"]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit:
        main([str(argument) for argument in arguments])
    return int(exit.value.code or 0)


def existing(folder: Path, *given: str) -> RunFolder:
    """Return a finished run with monitors that are undefined, as one that is repeated has."""
    resolved = resolve("deepfm", given)
    coach = build(resolved)
    settings = portable(resolved)
    coach.compile(settings, settings.monitors, runs=folder / "runs", repeats=True)
    coach.fit()
    return coach.run


def strict(text: str) -> Any:
    """Read JSON as other programs do."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


BOTH = "no user has rows of both labels"
REFUSED: dict[str, tuple[dict[str, str], str, list[str]]] = {
    "gauc on test": (
        {"test": "one a user"},
        "monitors=[auc,gauc,logloss] which4best=auc",
        [
            f"monitors: gauc is undefined on test: {BOTH}; leave it out with monitors=[auc,logloss], or set "
            "eval_test=false"
        ],
    ),
    "gauc on valid": (
        {"valid": "one a user"},
        "monitors=[auc,gauc,logloss] which4best=auc",
        [f"monitors: gauc is undefined on valid: {BOTH}; leave it out with monitors=[auc,logloss]"],
    ),
    "the criterion on test": (
        {"test": "ones"},
        "monitors=[logloss,auc] which4best=auc",
        [
            "monitors: auc is undefined on test: all labels are 1; set which4best=logloss monitors=[logloss], or set "
            "eval_test=false"
        ],
    ),
    "a monitor on valid": (
        {"valid": "zeros"},
        "monitors=[auc,logloss] which4best=logloss",
        ["monitors: auc is undefined on valid: all labels are 0; leave it out with monitors=[logloss]"],
    ),
    "the criterion on valid": (
        {"valid": "zeros"},
        "monitors=[auc,logloss] which4best=auc",
        ["which4best: auc is undefined on valid: all labels are 0; set which4best=logloss monitors=[logloss]"],
    ),
    "the last monitor is the criterion": (
        {"valid": "ones"},
        "monitors=[logloss,gauc] which4best=null",
        [f"which4best: gauc is undefined on valid: {BOTH}; set which4best=logloss monitors=[logloss]"],
    ),
    "nothing is left": (
        {"valid": "ones", "test": "ones"},
        "monitors=[auc] which4best=null",
        [
            "which4best: auc is undefined on valid: all labels are 1; monitor another metric",
            "monitors: auc is undefined on test: all labels are 1; monitor another metric, or set eval_test=false",
        ],
    ),
    "several at once": (
        {"valid": "one a user", "test": "zeros"},
        "monitors=[auc,gauc,mae] which4best=mae",
        [
            f"monitors: gauc is undefined on valid: {BOTH}; leave it out with monitors=[mae]",
            "monitors: auc is undefined on test: all labels are 0; leave it out with monitors=[mae], or set "
            "eval_test=false",
            f"monitors: gauc is undefined on test: {BOTH}; leave it out with monitors=[mae], or set eval_test=false",
        ],
    ),
}


@pytest.mark.parametrize("model", ["deepfm", "dcn"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_monitor_that_the_labels_leave_undefined_is_refused_before_anything_starts(
    folder: Path, capsys: pytest.CaptureFixture[str], case: str, model: str
) -> None:
    kinds, monitors, messages = REFUSED[case]
    assert run("train", model, *write(folder, **kinds), *monitors.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [f"error: {message}" for message in messages]
    assert run("train", model, "--dry-run", *write(folder, **kinds), *monitors.split()) == 2
    assert capsys.readouterr().err == printed.err
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    "change", ["eval_test=false", "monitors=[auc,logloss]", "monitors=[gauc,logloss] eval_test=false"]
)
def test_what_the_message_says_to_set_lets_the_run_begin(folder: Path, change: str) -> None:
    settings = write(folder, test="one a user")
    assert run("train", "deepfm", *settings, "monitors=[auc,gauc,logloss]", *[]) == 2
    kept = [] if "monitors" in change else ["monitors=[auc,gauc,logloss]"]
    assert run("train", "deepfm", *settings, *kept, *change.split()) == 0
    assert "undefined" not in strict((folder / "runs/latest/metrics.json").read_text(encoding="utf-8"))


def test_a_part_that_is_not_evaluated_is_not_judged(folder: Path) -> None:
    settings = write(folder, valid="ones", test="zeros")
    assert (
        run("train", "deepfm", *settings, "monitors=[auc]", "which4best=null", "eval_valid=false", "eval_test=false")
        == 0
    )


def test_a_run_that_exists_has_null_and_the_reason_everywhere(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    settings = write(folder, valid="one a user", test="ones")
    made = existing(folder, *settings, "monitors=[auc,gauc,logloss]", "which4best=logloss")
    result = strict(made.metrics_file.read_text(encoding="utf-8"))
    assert result["undefined"] == {"valid": {"gauc": BOTH}, "test": {"auc": "all labels are 1", "gauc": BOTH}}
    assert (result["valid"]["gauc"], result["test"]["auc"], result["test"]["gauc"]) == (None, None, None)
    assert 0 < result["valid"]["auc"] < 1
    assert math.isfinite(result["test"]["logloss"])
    record = strict(made.run_file.read_text(encoding="utf-8"))
    assert record["test_evaluations"][0]["metrics"] == result["test"]
    assert record["test_evaluations"][0]["undefined"] == result["undefined"]["test"]
    for line in made.metrics_lines_file.read_text(encoding="utf-8").splitlines():
        found = strict(line)
        undefined = [name for name, value in found["values"].items() if value is None]
        assert undefined == list(found.get("undefined", {}))
    of_test = next(line for line in read_history(made.metrics_lines_file) if line["split"] == "test")
    assert of_test["values"]["gauc"].reason == BOTH
    events = EventAccumulator(str(made.summary_folder), {SCALARS: 0}).Reload()
    shown = [tag for tag in events.Tags()[SCALARS] if tag.startswith(("valid/", "test/"))]
    assert sorted(shown) == ["test/logloss", "valid/auc", "valid/logloss"]
    sentences = [f"gauc is undefined on valid: {BOTH}", "auc is undefined on test: all labels are 1"]
    summary = (made.summary_folder / "SUMMARY.md").read_text(encoding="utf-8")
    log = made.log_file.read_text(encoding="utf-8")
    assert all(f"- {sentence}" in summary for sentence in sentences)
    assert all(sentence in log for sentence in sentences)
    assert "| `auc` | " in summary
    assert " nan" not in summary + log
    assert "| test | `gauc` | - | - | - | - |" in summary

    assert run("list", "runs", "--json") == 0
    (row,) = strict(capsys.readouterr().out)
    assert (row["status"], row["test"], row["undefined"]) == ("done", result["test"], result["undefined"])
    assert run("list", "runs") == 0
    assert run("list", "runs", "--sort", "test.auc") == 0
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("test.auc>0", 0),
        ("test.auc<=1", 0),
        ("test.auc!=0.5", 0),
        ("test.auc=0.5", 0),
        ("test.auc=null", 1),
        ("test.logloss>0", 1),
        ("test.logloss=null", 0),
    ],
)
def test_an_undefined_metric_meets_no_condition_but_null(
    folder: Path, capsys: pytest.CaptureFixture[str], condition: str, count: int
) -> None:
    existing(folder, *write(folder, test="ones"), "monitors=[auc,logloss]")
    assert run("list", "runs", condition, "--json") == 0
    assert len(strict(capsys.readouterr().out)) == count


def test_a_run_that_failed_because_of_it_can_be_resumed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = existing(folder, *write(folder, test="one a user"), "monitors=[auc,gauc]", "which4best=auc")
    expected = strict(made.metrics_file.read_text(encoding="utf-8"))
    made.metrics_file.unlink()
    made.update_run(status="failed")
    assert run("train", "--resume", str(made.path), "--json") == 0
    result = strict(capsys.readouterr().out)
    assert (result["status"], result["valid"], result["test"]) == ("done", expected["valid"], expected["test"])
    assert result["undefined"] == {"test": {"gauc": BOTH}}


def test_resuming_by_setting_finds_such_a_run_too(folder: Path) -> None:
    given = [*write(folder, test="one a user"), "monitors=[auc,gauc]", "which4best=auc", "id=a"]
    made = existing(folder, *given)
    made.update_run(status="failed")
    assert run("train", "deepfm", *given, "resume=true") == 0
    assert made.read_run()["status"] == "done"


def test_reasons_survive_an_interruption(folder: Path) -> None:
    given = [*write(folder, valid="one a user"), "monitors=[gauc,auc]", "which4best=auc", "id=a"]
    resolved = resolve("deepfm", given)
    coach = build(resolved)
    settings = portable(resolved)
    coach.compile(settings, settings.monitors, runs=folder / "runs", repeats=True)
    step = coach.step

    def stop(epoch: int) -> None:
        step(epoch)
        raise KeyboardInterrupt

    coach.step = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        coach.fit()
    coach.save_checkpoint(coach.state.epoch, force=True)
    again = prepare(resolve("deepfm", [*given, "resume=true"]), runs=folder / "runs")
    result = again.fit()
    assert result["undefined"] == {"valid": {"gauc": BOTH}}
    of_valid = [line for line in read_history(again.run.metrics_lines_file) if line["split"] == "valid"]
    assert [line["values"]["gauc"].reason for line in of_valid] == [BOTH] * len(of_valid)
    assert of_valid


@pytest.mark.parametrize("split", ["valid", "test"])
def test_eval_gives_null_and_the_reason_and_records_it(
    folder: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    settings = write(folder, valid="zeros", test="ones")
    assert run("train", "deepfm", *settings, "monitors=[logloss]") == 0
    capsys.readouterr()
    why = {"valid": "all labels are 0", "test": "all labels are 1"}[split]
    given = ["--checkpoint", "runs/latest", "--split", split, "monitors=[auc,logloss,gauc]"]
    assert run("eval", *given, "--json") == 0
    result = strict(capsys.readouterr().out)
    assert (result["metrics"]["auc"], result["metrics"]["gauc"]) == (None, None)
    assert result["undefined"] == {split: {"auc": why, "gauc": BOTH}}
    assert math.isfinite(result["metrics"]["logloss"])
    assert run("eval", *given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split()[:2] == [split, "-"]
    assert lines[4:6] == [f"auc is undefined on {split}: {why}", f"gauc is undefined on {split}: {BOTH}"]
    ledger = RunFolder(folder / "runs/latest").read_run()["test_evaluations"]
    assert [entry.get("undefined") for entry in ledger[1:]] == (
        [result["undefined"]["test"]] * 2 if split == "test" else []
    )


def test_a_run_with_undefined_metrics_is_reproduced_and_verified(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = write(folder, test="ones")
    made = existing(folder, *settings, "monitors=[auc,logloss]", "which4best=logloss")
    assert run("reproduce", str(made.path), "--json", "-q") == 0
    assert strict(capsys.readouterr().out)["equal"] is True
    config = folder / "claim.yaml"
    expected = "expected:\n- {metric: auc, split: test, value: 0.75, tolerance: 0.01, from: ours}\n"
    text = made.config_file.read_text(encoding="utf-8") + expected
    config.write_text(text, encoding="utf-8")
    assert run("verify", str(config), "--run", str(made.path), "--json") == 1
    (number,) = strict(capsys.readouterr().out)["configs"][0]["numbers"]
    assert (number["measured"], number["undefined"], number["inside"]) == (None, "all labels are 1", False)
    assert run("verify", str(config), "--run", str(made.path)) == 1
    assert "outside: test auc is undefined: all labels are 1; expected 0.75 within 0.01" in capsys.readouterr().out
    # A new run of the config is refused before it starts.
    assert run("verify", str(config)) == 2


OWN = """
import numpy as np


def never(hits, n_relevant, k):
    return np.full(len(hits), np.nan)


def endless(hits, n_relevant, k):
    return np.full(len(hits), np.inf)
"""
SMALL = [
    "n_users=60",
    "n_items=40",
    "n_interactions=900",
    "epochs=1",
    "embedding_dim=8",
    "device=cpu",
    "verbose=0",
    "which4best=null",
]


def test_a_users_own_metric_that_returns_nan_is_null(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "own.py").write_text(OWN, encoding="utf-8")
    monitors = "monitors=[./own.py:never@3,recall@3]"
    assert run("train", "bprmf", *SMALL, monitors, "--json") == 0
    result = strict(capsys.readouterr().out)
    (name,) = result["undefined"]["valid"]
    assert result["undefined"]["test"] == {name: "the metric is NaN for every user"}
    assert (result["valid"][name], result["test"][name]) == (None, None)
    assert result["test"]["recall@3"] > 0


def test_a_users_own_criterion_that_returns_nan_stops_the_run_and_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "own.py").write_text(OWN, encoding="utf-8")
    assert run("train", "bprmf", *SMALL, "monitors=[recall@3,./own.py:never@3]") == 1
    message = "never@3 is undefined on valid: the metric is NaN for every user; it cannot choose the best epoch"
    assert f"{message}, so set another which4best" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "eval"])
def test_a_metric_that_is_infinite_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    (folder / "own.py").write_text(OWN, encoding="utf-8")
    monitors = "monitors=[./own.py:endless@3,recall@3]"
    if command == "train":
        assert run("train", "bprmf", *SMALL, monitors) == 1
    else:
        assert run("train", "bprmf", *SMALL, "monitors=[recall@3]") == 0
        assert run("eval", "--checkpoint", "runs/latest", "--split", "valid", monitors) == 1
    assert "is inf: the model's predictions overflow" in capsys.readouterr().err


def test_an_area_over_users_who_have_seen_all_else_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Each of two users has all four items: two in train, one in valid, one in test, so that test has no other item.
    for part, items in (("train", (0, 1)), ("valid", (2,)), ("test", (3,))):
        lines = [f"{user},{item}" for user in range(2) for item in items]
        (folder / f"{part}.csv").write_text("\n".join(["user,item", *lines]) + "\n", encoding="utf-8")
    paths = [f"{part}_path={part}.csv" for part in ("train", "valid", "test")]
    given = ["bprmf", "dataset=File", f"root={folder}", *paths, *SMALL[3:]]
    assert run("train", *given, "monitors=[auc,recall@1]") == 2
    expected = "monitors: auc is undefined on test: no user has both an unseen relevant item and another unseen one"
    assert (
        f"error: {expected}; leave it out with monitors=[recall@1], or set eval_test=false" in capsys.readouterr().err
    )
    assert run("train", *given, "monitors=[recall@1]") == 0


def test_a_script_with_its_own_evaluation_is_not_judged_beforehand(folder: Path) -> None:
    from recrun.launcher import Coach

    class Mine(Coach):
        def evaluate(self, prefix: str = "valid") -> None:
            self.monitor(0.25, n=1, mode="mean", prefix=prefix, pool=["GAUC"])

    resolved = resolve("deepfm", [*write(folder, test="one a user"), "monitors=[gauc]", "which4best=null"])
    built = build(resolved)
    coach = Mine(model=built.model, dataset=built.dataset, criterion=built.criterion, optimizer=built.optimizer)
    coach.compile(resolved.config, resolved.config.monitors, runs=folder / "runs")
    assert coach.fit()["test"] == {"gauc": 0.25}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_a_script_monitors_must_be_finite(folder: Path, value: float) -> None:
    from recrun.launcher import Coach

    class Mine(Coach):
        def evaluate(self, prefix: str = "valid") -> None:
            self.monitor(value, n=1, mode="mean", prefix=prefix, pool=["AUC"])

    resolved = resolve("deepfm", [*write(folder), "monitors=[auc]", "which4best=null"])
    built = build(resolved)
    coach = Mine(model=built.model, dataset=built.dataset, criterion=built.criterion, optimizer=built.optimizer)
    coach.compile(resolved.config, resolved.config.monitors, runs=folder / "runs")
    with pytest.raises(TrainingError, match=rf"^auc on valid after epoch 0 is {value}: "):
        coach.fit()


def test_dense_rows_that_define_nothing_give_the_reason(folder: Path) -> None:
    import torch

    from recrun.launcher import Coach

    class Mine(Coach):
        def evaluate(self, prefix: str = "valid") -> None:
            self.monitor(torch.rand(3, 4), torch.zeros(3, 4), prefix=prefix, pool=["AUC", "RECALL"])
            self.monitor(0.5, prefix=prefix, pool=["NDCG"])

    resolved = resolve("bprmf", [*SMALL, "monitors=[auc,recall@2,ndcg@2]"])
    built = build(resolved)
    coach = Mine(model=built.model, dataset=built.dataset, criterion=built.criterion, optimizer=built.optimizer)
    coach.compile(resolved.config, resolved.config.monitors, runs=folder / "runs")
    assert coach.fit()["undefined"]["test"] == {
        "auc": "no user has both an unseen relevant item and another unseen one",
        "recall@2": "no user has relevant items",
    }


def test_a_sweep_names_the_cause_of_trials_whose_criterion_is_undefined(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = write(folder, valid="zeros")
    given = ["sweep", "deepfm", *settings, "monitors=[logloss,auc]", "which4best=auc", "lr=1e-3,1e-2", "--json", "-q"]
    assert run(*[argument for argument in given if not argument.startswith("verbose=")]) in (1, 3)
    document = strict(capsys.readouterr().out)
    causes = [trial["cause"] for trial in document["trials"]]
    assert all(
        "which4best: auc is undefined on valid: all labels are 0; set which4best=logloss" in why for why in causes
    )
    assert document["best"] is None


def test_no_test_row_is_given_out_to_find_the_reasons(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recrun.data.datasets.base import RecDataSet

    opened: list[str] = []
    original = RecDataSet.interactions

    def spied(self: Any, split: Any) -> Any:
        opened.append(split)
        return original(self, split)

    monkeypatch.setattr(RecDataSet, "interactions", spied)
    with pytest.raises(ConfigError, match="gauc is undefined on test"):
        prepare(resolve("deepfm", [*write(folder, test="one a user"), "monitors=[auc,gauc]", "which4best=auc"]))
    assert "test" not in opened


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("file", ["run.json", "metrics.json"])
def test_a_number_that_is_not_finite_in_a_runs_files_is_damage(
    folder: Path, capsys: pytest.CaptureFixture[str], file: str, text: str
) -> None:
    made = existing(folder, *write(folder), "monitors=[auc]", "which4best=null")
    path = made.path / file
    document = from_json(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "odd": "HERE"}).replace('"HERE"', text), encoding="utf-8")
    message = f"{path} is damaged: it holds {text}, and JSON has finite numbers only"
    assert run("list", "runs", "--json") == 0
    (row,) = strict(capsys.readouterr().out)
    assert (row["status"], row["cause"]) == ("damaged", str(message).replace(str(folder) + "/", ""))
    assert run("reproduce", str(made.path)) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {message}"
    if file == "run.json":
        assert run("eval", "--checkpoint", str(made.path)) == 2
        assert capsys.readouterr().err.splitlines()[-1] == f"error: {message}"
