from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from recrun.cli._options import split_arguments
from recrun.cli.main import main

SMALL = ["n_users=60", "n_items=50", "n_interactions=900", "epochs=1", "batch_size=256", "device=cpu", "threads=1"]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `recrun sweep` as a user does, in a folder of its own."""
    command = [sys.executable, "-m", "recrun", "sweep", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env=dict(os.environ))


@pytest.mark.parametrize(
    ("arguments", "config"),
    [((), None), (("lr=1,2",), None), (("bprmf", "lr=1,2"), "bprmf"), (("a b.yaml",), "a b.yaml")],
)
def test_the_config_is_the_first_argument_without_an_equals_sign(
    arguments: tuple[str, ...], config: str | None
) -> None:
    assert split_arguments(arguments)[0] == config


def test_all_faults_are_printed_together_with_their_places_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        main(["sweep", "bprmf", "lr=1e-3,,x", "epohs=2,3", "eval_test=true", "monitors=[ndcg@20,recall]", "nonsense"])
    assert exit.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert lines[0] == "error: argument 1:9: lr: value 2 of 3 is empty; write '' for empty text, null for none"
    assert lines[1].startswith("error: argument 1:10: lr: expected a number > 0, found 'x'")
    assert lines[2] == "error: argument 2:1: epohs: unknown setting; did you mean 'epochs'?"
    assert lines[3].startswith("error: argument 3:1: eval_test: a sweep that chooses never evaluates on test")
    assert lines[-1] == "error: argument 5: expected KEY=VALUE or KEY=V1,V2, found 'nonsense'"
    assert list(tmp_path.iterdir()) == []


def test_quiet_and_verbose_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["sweep", "lr=1,2", "-q", "-v"])
    assert exit.value.code == 2
    assert "exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize("hours", ["nan", "inf", "0", "-1", "two"])
def test_a_number_of_hours_that_is_no_limit_is_refused(hours: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["sweep", "bprmf", "lr=1,2", f"--max-hours={hours}"])
    assert exit.value.code == 2
    assert f"expected a number of hours > 0, such as 8 or 0.5, found '{hours}'" in capsys.readouterr().err


def test_the_faults_of_zips_come_together_with_all_others(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["sweep", "bprmf", "lr=1,x", "epohs=2", "--zip", "lr", "--prune", "ashaa"])
    assert exit.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: --prune: unknown pruner 'ashaa'; did you mean 'asha'? Available: asha, hyperband, median, wilcoxon",
        "error: --zip:1: expected two settings or more with commas between them, found 'lr'",
        "error: argument 1:6: lr: expected a number > 0, found 'x' (text)",
        "error: argument 2:1: epohs: unknown setting; did you mean 'epochs'?",
    ]


def test_one_config_under_two_names_is_given_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("extends: bprmf\n")
    for other in ("./mine.yaml", str(tmp_path / "mine.yaml")):
        with pytest.raises(SystemExit) as exit:
            main(["sweep", "mine.yaml", "ease", other, "--seeds", "2"])
        assert exit.value.code == 2
        assert f"the config {other} is given twice; give it once" in capsys.readouterr().err


def test_pairs_of_a_study_are_tried_and_points_are_added_to_it(tmp_path: Path) -> None:
    pairs = ["lr=1e-3,1e-2,1e-1", "batch_size=64,128,256", "--zip", "lr,batch_size"]
    command = ["bprmf", *SMALL[:4], "device=cpu", "threads=1", *pairs, "--search", "random"]

    def trials(*options: str) -> list[tuple[str, float, int, str]]:
        found = run(tmp_path, *command, *options, "--json")
        assert found.returncode == 0, found.stderr
        rows = json.loads(found.stdout)["trials"]
        return [
            (each["run"], each["overrides"]["lr"], each["overrides"]["batch_size"], each["status"]) for each in rows
        ]

    first = trials("--trials", "1")
    longer = trials("--add", "1")
    whole = trials("--trials", "9")
    assert longer[:1] == first
    assert whole[:2] == longer
    assert len(whole) == 3
    assert {each[1:] for each in whole} == {(1e-3, 64, "done"), (1e-2, 128, "done"), (1e-1, 256, "done")}
    refused = run(tmp_path, "bprmf", "lr=1e-3,1e-2", "--add", "1")
    assert refused.returncode == 2
    assert refused.stderr == "error: --add: a grid has the trials that it has; choose --search random, sobol, tpe ...\n"


@pytest.mark.slow
def test_a_real_sweep_trains_ranks_skips_what_is_done_and_never_reads_test(tmp_path: Path) -> None:
    arguments = ["bprmf", "lr=1e-2,1e-3", *SMALL, "--json"]
    first = run(tmp_path, *arguments, "--jobs", "2")
    assert first.returncode == 0, first.stderr
    document = json.loads(first.stdout)
    assert [trial["status"] for trial in document["trials"]] == ["done", "done"]
    assert [trial["overrides"]["lr"] for trial in document["trials"]] == [0.01, 0.001]
    assert document == json.loads((tmp_path / document["sweep"] / "sweep.json").read_text())
    for trial in document["trials"]:
        folder = tmp_path / trial["run"]
        assert json.loads((folder / "metrics.json").read_text())["test"] is None
        assert json.loads((folder / "run.json").read_text())["test_evaluations"] == []
        assert '"split": "test"' not in (folder / "metrics.jsonl").read_text()

    again = run(tmp_path, *arguments, "-q")
    assert json.loads(again.stdout) == document
    assert len(list((tmp_path / "runs" / "bprmf" / "Synthetic").iterdir())) == 2


@pytest.mark.slow
def test_a_trial_that_fails_under_way_gives_exit_code_3_and_its_cause(tmp_path: Path) -> None:
    result = run(tmp_path, "bprmf", "lr=1e-2,1e30", *SMALL, "epochs=1")
    assert result.returncode == 2  # epochs is given twice
    arguments = [setting for setting in SMALL if not setting.startswith("epochs")]
    result = run(tmp_path, "bprmf", "dataset=Synthetic", "lr=1e-2,1e30", *arguments, "epochs=3")
    assert result.returncode == 3, result.stderr
    assert "not finite" in result.stdout
    assert "1 of 2 trials are not done" in result.stdout


@pytest.mark.slow
def test_cross_validation_tests_every_interaction_once_and_gives_mean_and_deviation(tmp_path: Path) -> None:
    data = ["n_users=100", "n_items=60", "n_interactions=2000", "threads=1"]
    result = run(tmp_path, "popularity", *data, "split=k_fold", "n_folds=3", "test_fold=1..3", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["best"], document["best_point"]) == (None, None)
    values = [trial["test"]["ndcg@20"] for trial in document["trials"]]
    assert len(set(values)) == 3
    (point,) = document["points"]
    assert (point["trials"], point["n"], point["split"]) == ([0, 1, 2], 3, "test")
    assert point["mean"]["ndcg@20"] == pytest.approx(sum(values) / 3)
    assert point["sd"]["ndcg@20"] == pytest.approx(statistics.stdev(values))
    tested = [
        json.loads((tmp_path / trial["run"] / "run.json").read_text())["test_evaluations"]
        for trial in document["trials"]
    ]
    assert [len(each) for each in tested] == [1, 1, 1]


@pytest.mark.slow
def test_a_cross_validation_without_validation_runs_and_one_over_part_of_the_folds_says_so(tmp_path: Path) -> None:
    data = ["n_users=100", "n_items=60", "n_interactions=2000", "threads=1", "valid_ratio=0"]
    result = run(tmp_path, "popularity", *data, "split=k_fold", "n_folds=4", "test_fold=1,3")
    assert result.returncode == 0, result.stderr
    assert "note    2 of 4 folds are tested; test_fold=1..4 tests all" in result.stderr
    assert "test over test_fold, 2 of 2 done" in result.stdout
    refused = run(tmp_path, "itemknn", *data, "split=k_fold", "n_folds=4", "test_fold=1,3", "n_neighbors=5,10")
    assert refused.returncode == 2
    assert "valid_ratio: must be above 0: trials are compared on validation" in refused.stderr


@pytest.mark.slow
def test_points_of_different_data_are_not_compared(tmp_path: Path) -> None:
    data = ["n_items=60,70", "n_users=100", "n_interactions=2000", "threads=1"]
    result = run(tmp_path, "itemknn", *data, "n_neighbors=5,10")
    assert result.returncode == 0, result.stderr
    assert "compared by ndcg@20 on validation, for each n_items separately" in result.stderr
    assert "4 points by ndcg@20 on validation, compared within each value of the data" in result.stdout
    assert "best " not in result.stdout
    assert "score " not in result.stdout


def test_a_study_is_printed_as_a_config_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    study = ["lr=1e-4..1e-2:log", "--search", "sobol", "--trials", "3"]
    with pytest.raises(SystemExit):
        main(["sweep", "bprmf", *SMALL, *study, "--print-config"])
    text = capsys.readouterr().out
    assert text.endswith("sweep:\n  space:\n    lr: 1e-4..1e-2:log\n  search: sobol\n  trials: 3\n")
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(SystemExit):
        main(["sweep", "study.yaml", "--print-config"])
    assert capsys.readouterr().out == text
    assert [each.name for each in tmp_path.iterdir()] == ["study.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seed=1,2"], "--final: the sweep varies repeats or the data alone, so it chooses nothing to train"),
        (
            ["lr=1,2", "monitors=[ndcg@5,recall@5]", "which4best=[ndcg@5,recall@5]"],
            "--final: by 2 criteria (ndcg@5, recall@5), no single point is the best",
        ),
    ],
)
def test_a_last_step_of_what_will_not_be_chosen_is_refused_before_anything_starts(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        main(["sweep", "bprmf", *arguments, "--final"])
    assert exit.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_last_step_of_a_front_names_its_points_where_the_sweep_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    study = ["lr=1e-3,5e-2", "monitors=[ndcg@5,recall@5]", "which4best=[ndcg@5,recall@5]", "-q"]
    for more, code in ([], 0), (["--final"], 2):
        with pytest.raises(SystemExit) as exit:
            main(["sweep", "bprmf", *SMALL, *study, *more])
        assert exit.value.code == code
    error = capsys.readouterr().err
    (folder,) = Path("runs/sweeps").iterdir()
    (point, *_) = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))["front"]
    assert f"name one of the front, as by 'recrun final {folder} --point {point}': point {point} (lr=" in error


@pytest.mark.slow
def test_a_dry_run_times_a_short_trial_and_leaves_nothing(tmp_path: Path) -> None:
    found = run(
        tmp_path, "bprmf", *SMALL[:3], *SMALL[4:], "epochs=50", "lr=1e-3,1e-2", "--seeds", "3", "--dry-run", "--json"
    )
    assert found.returncode == 0, found.stderr
    document = json.loads(found.stdout)
    assert (document["n_points"], document["n_trials"], document["epochs"]) == (2, 6, 300)
    assert (document["is_most"], document["points"]) == (True, [{"lr": 1e-3}, {"lr": 1e-2}])
    (measured,) = document["measured"]
    assert measured["epochs"] == 2
    each = measured["rest"] + 50 * measured["epoch"] + 51 * measured["evaluation"]
    assert document["seconds"] == pytest.approx(6 * each)
    assert list(tmp_path.iterdir()) == []
    closed = run(tmp_path, "itemknn", *SMALL[:3], "n_neighbors=5,10", "--dry-run")
    assert closed.stdout.startswith("trials: 2 of 2 points, 0 epochs\npoint 0: n_neighbors=5\n")
    assert "\nmeasured: trial 0 was fitted in " in closed.stdout
    failing = run(tmp_path, "bprmf", "dataset=MovieLens100K", "root=nowhere", "lr=1,2", "--dry-run")
    assert failing.returncode == 1
    assert (
        "error: a short trial of dataset=MovieLens100K root=nowhere lr=1.0 failed, so no cost is known:"
        in failing.stderr
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_last_step_follows_the_sweep_at_once(tmp_path: Path) -> None:
    command = ["bprmf", *SMALL, "lr=1e-3,1e-2", "--seeds", "2", "--jobs", "2", "--final", "--json"]
    found = run(tmp_path, *command)
    assert found.returncode == 0, found.stderr
    document = json.loads(found.stdout)
    assert document["final"]["status"] == "done"
    assert document["final"]["n"] == 2
    again = run(tmp_path, *command)
    assert json.loads(again.stdout)["final"] == document["final"]
    assert len(list((tmp_path / "runs" / "bprmf-final" / "Synthetic").glob("[!l]*"))) == 2


def test_faults_of_the_engine_come_with_those_of_the_config_and_of_options(tmp_path: Path) -> None:
    found = run(tmp_path, "bprmf", "lr=1e-3,0", "--engine", "slrm", "--prune", "ash")
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        "error: unknown engine 'slrm'; did you mean 'slurm'? Available: local, ray, slurm",
        "error: --prune: unknown pruner 'ash'; did you mean 'asha'? Available: asha, hyperband, median, wilcoxon",
        "error: argument 1:9: lr: expected a number > 0, found 0 (an integer)",
    ]
