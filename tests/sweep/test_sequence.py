"""Studies whose trials are decided one after another, on short programs in place of runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.sweep.document import document
from recrun.sweep.engines.local import LocalEngine
from recrun.sweep.ledger import Ledger
from recrun.sweep.run import Listener, run_sweep

MakeLedger = Callable[..., Ledger]

ASHA = {"search": "random", "trials": 7, "prune": "asha", "generation": 3}
ARGUMENTS = ("lr=1e-4..1e-1:log", "epochs=9")


def study(ledger: Ledger, command: Any, jobs: int = 1, listener: Listener | None = None) -> int:
    with ledger:
        return run_sweep(ledger, LocalEngine(jobs), jobs, listener=listener, command=command)


def table(ledger: Ledger) -> list[Any]:
    """Return what must be the same in the same study."""
    trials = document(ledger)["trials"]
    return [
        [trial[key] for key in ("overrides", "status", "valid", "best_epoch", "reached") if key in trial]
        for trial in trials
    ]


def journal(ledger: Ledger) -> list[Any]:
    lines = (ledger.folder / "journal.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if "step" in entry]


def test_a_study_is_the_same_whatever_runs_at_once(ledger: MakeLedger, learner: Any) -> None:
    found = []
    for jobs in (1, 2, 4):
        ours = ledger(*ARGUMENTS, folder=f"runs{jobs}", **ASHA)
        slow_first = "time.sleep(0.05 if float(given['lr']) > 0.01 else 0)"
        assert study(ours, learner(slow_first), jobs) == 0
        found.append((table(ours), journal(ours)))
    assert found[0] == found[1] == found[2]
    statuses = {row[1] for row in found[0][0]}
    assert statuses == {"done", "pruned"}


def test_a_study_whose_trials_and_parent_are_killed_is_the_same(ledger: MakeLedger, learner: Any) -> None:
    whole = ledger(*ARGUMENTS, folder="whole", **ASHA)
    assert study(whole, learner("pass")) == 0

    class Killed(BaseException):
        pass

    class Kills(Listener):
        """Breaks off as a killed process does, once some trials have ended."""

        def __init__(self, after: int) -> None:
            self.after = after

        def ended(self, row: Any) -> None:
            self.after -= 1
            if self.after < 0:
                raise Killed

    dies_once = "if epoch == 2 and not (run / 'x').exists(): (run / 'x').touch(); os.kill(os.getpid(), signal.SIGKILL)"
    for after in (0, 1, 2, 0):
        engine = LocalEngine(2)
        with pytest.raises(Killed), ledger(*ARGUMENTS, folder="killed", **ASHA) as killed:
            run_sweep(killed, engine, 2, listener=Kills(after), command=learner(dies_once))
        while engine._running:
            engine.poll()
    ours = ledger(*ARGUMENTS, folder="killed", **ASHA)
    assert study(ours, learner(dies_once), 2) == 0
    assert table(ours) == table(whole)
    assert journal(ours) == journal(whole)
    # One that was killed before its first checkpoint has begun anew; none was trained to its end twice.
    done = [path.parent.name for path in ours.rows[0].run.path.parent.glob("*/metrics.json")]
    assert sorted(done) == sorted(row.run_id for row in ours.rows if row.status == "done")


def test_a_finished_study_is_not_trained_again_and_one_with_more_trials_goes_on(
    ledger: MakeLedger, learner: Any
) -> None:
    first = ledger(*ARGUMENTS, **ASHA)
    assert study(first, learner("pass"), 2) == 0
    assert study(ledger(*ARGUMENTS, **ASHA), again := learner("pass"), 2) == 0
    assert again.started == []
    longer = ledger(*ARGUMENTS, **{**ASHA, "trials": 9})
    assert longer.folder == first.folder
    assert study(longer, more := learner("pass"), 2) == 0
    assert [row.trial.id for row in longer.rows][:7] == [row.trial.id for row in first.rows]
    assert {7, 8} <= set(more.started)
    assert journal(longer)[: len(journal(first)) - 2] == journal(first)[: len(journal(first)) - 2]


def test_run_folders_that_are_removed_are_trained_again_once(ledger: MakeLedger, learner: Any) -> None:
    first = ledger(*ARGUMENTS, **ASHA)
    assert study(first, learner("pass"), 2) == 0
    before = table(first)
    for row in first.rows[::2]:
        shutil.rmtree(row.run.path)
    again = ledger(*ARGUMENTS, **ASHA)
    assert study(again, command := learner("pass"), 2) == 0
    assert sorted(command.started) == [row.trial.index for row in first.rows[::2]]
    assert table(again) == before


@pytest.mark.parametrize("lost", ["sweep.json", "sweep.csv", "trials"])
def test_what_is_only_a_copy_may_be_lost(ledger: MakeLedger, learner: Any, lost: str) -> None:
    first = ledger(*ARGUMENTS, **ASHA)
    assert study(first, learner("pass"), 2) == 0
    path = first.folder / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = ledger(*ARGUMENTS, **ASHA)
    assert study(again, command := learner("pass"), 2) == 0
    assert (command.started, table(again)) == ([], table(first))


def test_a_failure_that_is_tried_again_does_not_count(ledger: MakeLedger, learner: Any) -> None:
    whole = ledger(*ARGUMENTS, folder="whole", **ASHA)
    assert study(whole, learner("pass")) == 0
    fails_once = "if epoch == 1 and run.name.count('-') < 2: time.sleep(0.1); sys.exit('error: once')"
    ours = ledger(*ARGUMENTS, folder="failing", retries=1, **ASHA)
    assert study(ours, learner(fails_once), 2) == 0
    assert (table(ours), journal(ours)) == (table(whole), journal(whole))
    assert all(row.run_id == f"{row.trial.id}-2" for row in ours.rows)


def test_a_trial_that_cannot_be_continued_begins_anew(ledger: MakeLedger, learner: Any) -> None:
    whole = ledger(*ARGUMENTS, folder="whole", **ASHA)
    assert study(whole, learner("pass")) == 0
    broken = "if options['continues'] and run.name.count('-') < 2: sys.exit('error: the checkpoint is damaged')"
    ours = ledger(*ARGUMENTS, folder="broken", **ASHA)
    assert study(ours, learner(broken), 2) == 0
    assert (table(ours), journal(ours)) == (table(whole), journal(whole))
    lines = (ours.folder / "journal.jsonl").read_text().splitlines()
    given_up = [entry["given_up"] for entry in map(json.loads, lines) if "given_up" in entry]
    assert given_up == [row.trial.id for row in ours.rows if row.trial.id in given_up] != []


def test_a_trial_that_fails_for_good_counts_as_failed_and_the_study_goes_on(ledger: MakeLedger, learner: Any) -> None:
    ours = ledger(*ARGUMENTS, **ASHA)
    assert study(ours, learner("if run.name.endswith('-001'): sys.exit('error: no')"), 2) == 3
    statuses = [row.status for row in ours.rows]
    assert statuses[1] == "failed"
    assert set(statuses) == {"failed", "done", "pruned"}


@pytest.mark.parametrize(
    "entry",
    [
        {"lane": 1, "step": 0, "point": 0, "repeat": 0, "draw": {"lr": 0.01}},
        {"lane": -1, "step": 0, "point": 0, "repeat": 0, "draw": {"lr": 0.01}},
        {"lane": "0", "step": 0, "point": 0, "repeat": 0},
        {"lane": 0, "step": 0, "point": 0, "repeat": 0},
        {"lane": 0, "step": 5, "point": 0, "repeat": 0},
        {"lane": 0, "step": 0, "point": 0, "repeat": 3},
        {"lane": 0, "step": 0, "point": 1, "repeat": 0},
        {"lane": 0, "step": 0, "point": [], "repeat": {}},
        {"lane": 0, "step": 0, "point": 0, "repeat": 0, "draw": {"lr": "x"}},
        {"lane": 0, "step": 0, "point": 0, "repeat": 0, "draw": {"lr": 7.0}},
        {"lane": 0, "step": 0, "point": 0, "repeat": 0, "draw": {"momentum": 0.5}},
        {"lane": 0, "step": 0, "point": 0, "repeat": 0, "draw": [1]},
    ],
)
def test_a_journal_of_another_space_or_with_other_types_is_refused(
    ledger: MakeLedger, learner: Any, entry: dict[str, Any]
) -> None:
    ours = ledger(*ARGUMENTS, **ASHA)
    ours.folder.mkdir(parents=True)
    lines = [{"schema": 1, "generation": 3}, entry]
    (ours.folder / "journal.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(ConfigError, match=r"^the journal of the sweep (is damaged: no|has another point)"):
        study(ours, learner("pass"))


def test_another_generation_than_the_study_began_with_is_refused(ledger: MakeLedger, learner: Any) -> None:
    assert study(ledger(*ARGUMENTS, **ASHA), learner("pass"), 2) == 0
    with pytest.raises(ConfigError, match=r"began with --generation 3, .*, and cannot go on with 2; leave it out"):
        study(ledger(*ARGUMENTS, **{**ASHA, "generation": 2}), learner("pass"))


def test_a_study_that_is_stopped_says_so_and_prunes_nothing(ledger: MakeLedger, learner: Any) -> None:
    class Stops(Listener):
        def ended(self, row: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    ours = ledger(*ARGUMENTS, **ASHA)
    assert study(ours, learner("pass"), 1, Stops()) == 130
    assert "pruned" not in {row.status for row in ours.rows}
    assert Path(ours.folder / "journal.jsonl").exists()


def test_a_study_that_is_stopped_when_all_that_it_began_is_done_is_not_done(ledger: MakeLedger, program: Any) -> None:
    pytest.importorskip("optuna", reason="recrun[search] is not installed")

    class Stops(Listener):
        def ended(self, row: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    asked = {"search": "tpe", "trials": 3, "generation": 2}
    body = "evaluated(1, 0.1); done(float(given['lr']))"
    ours = ledger("lr=1e-4..1e-1:log", **asked)
    assert study(ours, program(body), 1, Stops()) == 130
    assert [row.status for row in ours.rows] == ["done"]
    written = json.loads((ours.folder / "sweep.json").read_text())
    assert (ours.status, written["status"]) == ("interrupted", "interrupted")
    again = ledger("lr=1e-4..1e-1:log", **asked)
    assert study(again, command := program(body)) == 0
    assert (command.started, again.status) == ([1, 2], "done")
    shorter = ledger("lr=1e-4..1e-1:log", **asked)
    assert study(shorter, command := program(body)) == 0
    assert (command.started, shorter.status) == ([], "done")


def test_the_time_of_a_trial_that_was_paused_is_that_of_its_run_whoever_asks(ledger: MakeLedger, learner: Any) -> None:
    arguments = ("lr=1e-3,1e-2,5e-3,2e-3", "epochs=4")
    ours = ledger(*arguments, prune="asha:eta=2,min_epochs=1")
    assert study(ours, learner("time.sleep(0.05)")) == 0
    pruned = [row for row in ours.rows if row.status == "pruned"]
    assert pruned
    assert [row.seconds for row in pruned] == [pytest.approx(0.1 * (row.reached or 0)) for row in pruned]
    again = ledger(*arguments, prune="asha:eta=2,min_epochs=1")
    assert study(again, learner("pass")) == 0
    assert [row.seconds for row in again.rows] == [row.seconds for row in ours.rows]
