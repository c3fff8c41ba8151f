from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recrun.sweep.document import document
from recrun.sweep.ledger import Ledger
from recrun.sweep.view.closing import closing_lines
from recrun.sweep.view.listeners import LineView, Quiet
from recrun.sweep.view.result import result_tables
from tests.sweep.view.conftest import console, fill, lines_of, sweep, text_of

MakeLedger = Callable[..., Ledger]
BODY = "sys.exit('error: the disk is full') if given['lr'] == '1e-2' else done(float(given['lr']) * 100, auc=0.5)"


def test_the_result_is_sorted_by_validation_with_failures_and_their_causes_last(
    ledger: MakeLedger, program: Any
) -> None:
    ours = ledger("lr=1e-3,1e-2,5e-3", "epochs=2")
    sweep(ours, program(BODY), Quiet(console()))
    title, head, _, *rows, cause = lines_of(next(result_tables(ours)))
    assert title == "3 trials by recall@20 on validation"
    assert head.split() == ["trial", "lr", "status", "recall@20", "auc", "epoch", "time"]
    assert [row.replace("★", "").split()[:5] for row in rows] == [
        ["2", "0.005", "done", "0.5000", "0.5000"],
        ["0", "0.001", "done", "0.1000", "0.5000"],
        ["1", "0.01", "failed", "-", "-"],
    ]
    assert rows[0].startswith("★")
    assert cause.startswith("trial 1 failed: ")
    assert cause.endswith("the disk is full (exit code 1)")
    assert list(closing_lines(ours)) == [
        "best    trial 2: lr=0.005",
        f"score   recrun eval --checkpoint {ours.rows[2].run.path} --split test",
        "again   1 of 3 trials are not done; repeat the command to run them again",
        f"logs    {ours.trials_folder}",
        f"folder  {ours.folder}",
    ]


def test_an_error_is_better_when_it_is_smaller(plan: Callable[..., Any], program: Any, tmp_path: Any) -> None:
    ours = Ledger(plan("lr=1e-3,5e-3", "monitors=[rmse]"), tmp_path / "runs")
    sweep(ours, program("done(0.1, rmse=float(given['lr']))"), Quiet(console()))
    assert [row.trial.index for row in ours.ranked()] == [0, 1]


SEEDS = "done(float(given['lr']) * 100 + float(given['seed']) / 100)"


def test_seeds_are_averaged_and_no_single_trial_is_best(ledger: MakeLedger, program: Any) -> None:
    ours = ledger("lr=1e-3,2e-3", "seed=1..3")
    sweep(ours, program(SEEDS), LineView(screen := console()))
    assert text_of(screen).splitlines()[1] == (
        "sweep   2 lr x 3 seed = 6 trials, compared by the mean over seed of recall@20 on validation"
    )
    (points,) = result_tables(ours)
    title, head, _, *rows = lines_of(points)
    assert title == "2 points by recall@20 on validation, mean over seed"
    assert head.split() == ["lr", "done", "recall@20", "±", "95", "%", "sd"]
    assert [row.split() for row in rows] == [
        ["★", "0.002", "3/3", "0.2200", "0.0248", "0.0100"],  # t(0.975, 2) = 4.303; 4.303 * 0.01 / sqrt(3)
        ["0.001", "3/3", "0.1200", "0.0248", "0.0100"],
    ]
    runs = [ours.rows[index].run.path for index in (3, 4, 5)]
    assert list(closing_lines(ours)) == [
        "best    3 trials: lr=0.002 (recall@20 0.2200, 95 % interval 0.1952 to 0.2448)",
        *(f"score   recrun eval --checkpoint {run} --split test" for run in runs),
        f"next    recrun final {ours.folder}  (train and valid, then test once)",
        f"folder  {ours.folder}",
    ]
    written = document(ours)
    assert (written["best"], written["best_point"]) == (None, 1)
    first = written["points"][0]
    assert (first["settings"], first["trials"], first["n"]) == ({"lr": 0.001}, [0, 1, 2], 3)
    assert first["mean"] == {"recall@20": pytest.approx(0.12)}
    assert first["sd"] == {"recall@20": pytest.approx(0.01)}
    assert [trial["test"] for trial in written["trials"]] == [None] * 6


def test_the_luckiest_seed_of_an_incomplete_point_is_not_best(ledger: MakeLedger, program: Any) -> None:
    ours = ledger("lr=1e-3,2e-3", "seed=1..2")
    body = "sys.exit(1) if given['lr'] == '2e-3' and given['seed'] == '2' else " + SEEDS
    sweep(ours, program(body), Quiet(console()))
    assert ours.best is None
    assert ours.best_point is not None
    assert ours.best_point.point.choices == {"lr": 0.001}
    assert [trial.status for trial in ours.rows] == ["done", "done", "done", "failed"]


def test_a_sweep_that_chooses_nothing_scores_each_trial_on_test_and_names_no_best(
    ledger: MakeLedger, program: Any
) -> None:
    ours = ledger("seed=1..2")
    assert ours.plan.is_tested
    sweep(ours, program("done(float(given['seed']) / 10, auc=0.5)"), LineView(screen := console()))
    assert text_of(screen).splitlines()[1] == "sweep   2 seed = 2 trials, each scored on test: nothing is chosen"
    (shown,) = result_tables(ours)
    title, head, _, *rows = lines_of(shown)
    assert title == "test over seed, 2 of 2 done"
    assert head.split() == ["metric", "mean", "sd", "95", "%", "interval", "1", "2"]
    assert [row.split() for row in rows] == [
        ["recall@20", "0.1500", "0.0707", "-0.4853", "to", "0.7853", "0.1000", "0.2000"],  # t(0.975, 1) = 12.706
        ["auc", "0.5000", "0.0000", "0.5000", "to", "0.5000", "0.5000", "0.5000"],
    ]
    assert list(closing_lines(ours)) == [f"folder  {ours.folder}"]
    written = document(ours)
    assert (written["best"], written["best_point"]) == (None, None)
    assert [trial["test"]["recall@20"] for trial in written["trials"]] == [0.1, 0.2]


def test_points_that_lack_a_setting_have_an_empty_cell(study: Callable[..., Ledger]) -> None:
    ours = study("bprmf itemknn", "lr=1e-3,1e-2", "n_neighbors=10,20", "seed=1,2")
    fill(ours, [0.1, 0.1, 0.3, 0.3, 0.2, 0.2, 0.15, 0.15])
    (points,) = result_tables(ours)
    _, head, _, *rows = lines_of(points)
    assert head.split()[:3] == ["config", "lr", "n_neighbors"]
    assert [row.replace("★", "").split()[:3] for row in rows] == [
        ["bprmf", "0.01", "2/2"],
        ["itemknn", "10", "2/2"],
        ["itemknn", "20", "2/2"],
        ["bprmf", "0.001", "2/2"],
    ]
    column = head.index("n_neighbors")
    assert [row[column : column + 2] for row in rows] == ["  ", "10", "20", "  "]
    assert next(iter(closing_lines(ours))).startswith("best    2 trials: config=bprmf lr=0.01 (")


def test_pruned_points_are_below_the_finished_ones_with_the_epoch_that_they_reached(
    study: Callable[..., Ledger],
) -> None:
    ours = study("bprmf", "lr=1e-4,1e-3,1e-2,1e-1", "epochs=9", prune="asha")
    fill(ours, [0.1, 0.9, 0.3, 0.2])
    for row, reached in zip(ours.rows[:3], (1, 1, 3), strict=True):
        row.status, row.reached = "pruned", reached
    (trials,) = result_tables(ours)
    _, head, _, *rows = lines_of(trials)
    assert "trained to" in head
    assert [(row.replace("★", "").split()[0], row.split("epoch ")[-1].split()[0]) for row in rows[1:]] == [
        ("2", "3"),  # trained furthest
        ("1", "1"),
        ("0", "1"),
    ]
    assert rows[0].startswith("★")
    assert "the end" in rows[0]
    assert list(closing_lines(ours))[-2].startswith("next    recrun final")  # pruned trials are no hindrance


def test_time_that_is_over_is_said_with_what_is_left(ledger: MakeLedger, program: Any) -> None:
    ours = ledger("lr=1e-3,1e-2,5e-3", max_hours=0.5 / 3600)
    sweep(ours, program("time.sleep(1)\ndone(float(given['lr']))"), Quiet(console()))
    *_, over, again, logs, folder = closing_lines(ours)
    assert over == "budget  --max-hours 0.000138889 is over; repeat the command to go on for as long again"
    assert again == "again   3 of 3 trials are not done; repeat the command to run them again"
    assert (logs, folder) == (f"logs    {ours.trials_folder}", f"folder  {ours.folder}")


def test_epochs_that_do_not_suffice_for_all_points_are_said(ledger: MakeLedger, learner: Any) -> None:
    asked = {"prune": "asha:eta=2,min_epochs=1", "max_epochs": 6}
    ours = ledger("lr=1e-3,1e-2,5e-3,2e-3,3e-3,4e-3", "epochs=4", **asked)
    sweep(ours, learner("pass"), Quiet(console()))
    not_begun = sum(row.reached is None and row.status == "pruned" for row in ours.rows)
    assert not_begun > 0
    *_, budget, _ = closing_lines(ours)
    assert budget == (
        f"budget  of --max-epochs 6 not enough is left: {not_begun} trials did not begin; repeat the command with more "
        "to go on"
    )
    whole = ledger("lr=1e-3,1e-2,5e-3,2e-3,3e-3,4e-3", "epochs=4", folder="other", prune=asked["prune"], max_epochs=24)
    sweep(whole, learner("pass"), Quiet(console()))
    assert not any(line.startswith("budget") for line in closing_lines(whole))


def test_the_points_of_a_front_come_first_and_have_a_star(study: Callable[..., Ledger]) -> None:
    both = "[ndcg@20,coverage@20]"
    ours = study("bprmf", "lr=1e-4,1e-3,1e-2", f"monitors={both}", f"which4best={both}")
    values = [(0.1, 0.5), (0.2, 0.9), (0.3, 0.1)]
    fill(ours, [{"ndcg@20": ndcg, "coverage@20": coverage} for ndcg, coverage in values])
    (points,) = result_tables(ours)
    title, _, _, *rows = lines_of(points)
    assert title == "3 points by ndcg@20 and coverage@20 on validation, 2 on the Pareto front (★)"
    assert [row.split()[:2] for row in rows] == [["★", "0.01"], ["★", "0.001"], ["0.0001", "1/1"]]
    first, second, final, _ = closing_lines(ours)
    assert first == "front   point 2, trial 2: lr=0.01"
    assert second == "front   point 1, trial 1: lr=0.001"
    assert final.startswith("next    recrun final ")
    assert "--point N" in final


@pytest.mark.parametrize("width", [80, 60])
def test_tables_of_many_settings_fit_into_narrow_terminals(study: Callable[..., Ledger], width: int) -> None:
    ours = study(
        "bprmf",
        "lr=1e-4..1e-1:log",
        "embedding_dim=8..64:log",
        "weight_decay=0..0.1",
        "batch_size=256..4096:log",
        "optimizer=adam,sgd",
        "lr_scheduler=none,cosine",
        search="random",
        trials=12,
        seeds=2,
    )
    fill(ours, [{"ndcg@20": 0.1 + place / 1000, "recall@20": 0.2, "ndcg@10": 0.3} for place in range(24)])
    ours.rows[-1].status, ours.rows[-1].cause = "failed", "out of memory: " + "x" * 100
    for each in result_tables(ours):
        assert all(len(line) <= width or "xxx" in line for line in lines_of(each, width))


def test_a_long_table_is_cut_and_says_so(study: Callable[..., Ledger]) -> None:
    ours = study("bprmf", "lr=1e-4..1e-1:log", search="random", trials=60)
    fill(ours, [place / 1000 for place in range(60)])
    (trials,) = result_tables(ours)
    lines = lines_of(trials)
    assert len(lines) == 3 + 50 + 1
    assert lines[-1] == "and 10 trials more: sweep.json has all"
