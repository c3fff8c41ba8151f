from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from recrun.sweep.engines.local import LocalEngine
from recrun.sweep.ledger import Ledger
from recrun.sweep.run import Listener, run_sweep
from recrun.sweep.view import LineView, LiveView, Quiet, closing_lines, result_tables, shown_rows, view_of

MakeLedger = Callable[..., Ledger]
BODY = "sys.exit('error: the disk is full') if given['lr'] == '1e-2' else done(float(given['lr']) * 100, auc=0.5)"


def console(**options: Any) -> Console:
    return Console(file=io.StringIO(), width=150, markup=False, highlight=False, emoji=False, **options)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rendered(table: Any) -> list[str]:
    screen = console()
    screen.print(table)
    return [line.rstrip() for line in text_of(screen).splitlines() if line.strip()]


def sweep(ledger: Ledger, command: Any, view: Listener) -> None:
    with ledger:
        run_sweep(ledger, LocalEngine(1, inherited=[ledger.lock_descriptor]), 1, listener=view, command=command)


def test_plain_lines_tell_how_each_trial_starts_and_ends(ledger: MakeLedger, program: Any) -> None:
    ours, screen = ledger("lr=1e-3,1e-2", "epochs=2"), console()
    sweep(ours, program(BODY), LineView(screen))
    lines = text_of(screen).splitlines()
    assert lines[:3] == [
        "config  None",
        "sweep   2 lr = 2 trials, compared by recall@20 on validation",
        f"folder  {ours.folder}",
    ]
    assert lines[3] == "trial 0: lr=0.001: started"
    assert lines[4].startswith("trial 0: lr=0.001: done recall@20 0.1000  [0.")
    assert lines[6].startswith("trial 1: lr=0.01: failed: the disk is full (exit code 1)  [0.")

    sweep(ledger("lr=1e-3,1e-2", "epochs=2"), program(BODY), LineView(screen := console(), 2))
    lines = text_of(screen).splitlines()
    assert lines[3] == "done    1 of 2 trials are already done and are not repeated"
    assert lines[4] == f"trial 1: lr=0.01: started  [{ours.log_path(ours.rows[1])}]"


def test_a_terminal_shows_a_table_that_is_gone_when_the_result_comes(ledger: MakeLedger, program: Any) -> None:
    screen = console(force_terminal=True)
    view = LiveView(screen)
    slow = "evaluated(3, 0.4567)\ntime.sleep(0.6)\n" + BODY
    sweep(ledger("lr=1e-3,1e-2"), program(slow), view)
    shown = text_of(screen)
    assert "0.4567" in shown  # the newest value of the trial that runs
    assert "1 running, 1 pending" in shown
    assert shown.rstrip().endswith("\x1b[2K")  # the last view is wiped


def test_the_result_is_sorted_by_validation_with_failures_and_their_causes_last(
    ledger: MakeLedger, program: Any
) -> None:
    ours = ledger("lr=1e-3,1e-2,5e-3", "epochs=2")
    sweep(ours, program(BODY), Quiet(console()))
    title, head, _, *rows, cause = rendered(next(result_tables(ours)))
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


def test_of_many_trials_the_view_shows_those_around_the_running_ones(ledger: MakeLedger) -> None:
    ours = ledger("seed=" + ",".join(map(str, range(100))))

    def shown() -> tuple[int, int, int]:
        indices = [row.trial.index for row in shown_rows(ours.rows)]
        return indices[0], indices[-1], len(indices)

    assert shown() == (0, 19, 20)
    for row in ours.rows[:50]:
        row.status = "done"
    assert shown() == (40, 59, 20)
    for row in ours.rows:
        row.status = "done"
    assert shown() == (80, 99, 20)


def test_quiet_says_only_that_the_wish_to_stop_was_heard() -> None:
    screen = console()
    view = view_of(screen, verbose=0)
    assert type(view) is Quiet
    view.stopping(at_once=False)
    assert text_of(screen) == "stopping: running trials save their state; once more to stop at once\n"


@pytest.mark.parametrize(("terminal", "kind"), [(True, LiveView), (False, LineView)])
def test_only_a_terminal_is_drawn_over(terminal: bool, kind: type[Listener]) -> None:
    assert type(view_of(console(force_terminal=terminal, force_interactive=terminal), verbose=1)) is kind


SEEDS = "done(float(given['lr']) * 100 + float(given['seed']) / 100)"


def test_seeds_are_averaged_and_no_single_trial_is_best(ledger: MakeLedger, program: Any) -> None:
    ours = ledger("lr=1e-3,2e-3", "seed=1..3")
    sweep(ours, program(SEEDS), LineView(screen := console()))
    assert text_of(screen).splitlines()[1] == (
        "sweep   2 lr x 3 seed = 6 trials, compared by the mean over seed of recall@20 on validation"
    )
    (points,) = result_tables(ours)
    title, head, _, *rows = rendered(points)
    assert title == "2 points by recall@20 on validation, mean over seed"
    assert head.split() == ["lr", "done", "recall@20", "sd"]
    assert [row.split() for row in rows] == [
        ["★", "0.002", "3/3", "0.2200", "0.0100"],
        ["0.001", "3/3", "0.1200", "0.0100"],
    ]
    runs = [ours.rows[index].run.path for index in (3, 4, 5)]
    assert list(closing_lines(ours)) == [
        "best    3 trials: lr=0.002",
        *(f"score   recrun eval --checkpoint {run} --split test" for run in runs),
        f"folder  {ours.folder}",
    ]
    document = ours.document()
    assert (document["best"], document["best_point"]) == (None, 1)
    first = document["points"][0]
    assert (first["settings"], first["trials"], first["n"]) == ({"lr": 0.001}, [0, 1, 2], 3)
    assert first["mean"] == {"recall@20": pytest.approx(0.12)}
    assert first["sd"] == {"recall@20": pytest.approx(0.01)}
    assert [trial["test"] for trial in document["trials"]] == [None] * 6


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
    title, head, _, *rows = rendered(shown)
    assert title == "test over seed, 2 of 2 done"
    assert head.split() == ["metric", "mean", "sd", "1", "2"]
    assert [row.split() for row in rows] == [
        ["recall@20", "0.1500", "0.0707", "0.1000", "0.2000"],
        ["auc", "0.5000", "0.0000", "0.5000", "0.5000"],
    ]
    assert list(closing_lines(ours)) == [f"folder  {ours.folder}"]
    document = ours.document()
    assert (document["best"], document["best_point"]) == (None, None)
    assert [trial["test"]["recall@20"] for trial in document["trials"]] == [0.1, 0.2]
