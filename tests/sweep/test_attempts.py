from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.sweep.attempts import read_id
from recrun.sweep.engines.local import LocalEngine
from recrun.sweep.ledger import Ledger
from recrun.sweep.run import run_sweep

MakeLedger = Callable[..., Ledger]


def sweep(ledger: Ledger, command: Any) -> int:
    with ledger:
        return run_sweep(ledger, LocalEngine(1), 1, command=command)


KILLED = "if epoch == 3 and not options['continues']: os.kill(os.getpid(), signal.SIGKILL)"


def _status(text: str) -> Callable[[Path], object]:
    return lambda run: (run / "run.json").write_text(json.dumps({"schema_version": 1, "status": text}))


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        (lambda run: None, ""),
        (_status("interrupted"), ""),
        (_status("paused"), ""),
        (_status("failed"), "-2"),
        (lambda run: (run / "run.json").write_text("nonsense"), "-2"),
        (lambda run: (run / "run.json").unlink(), "-2"),
        (lambda run: shutil.rmtree(run / "checkpoints"), "-2"),
        (lambda run: (run / "config.yaml").write_text("epochs: 7"), "-2"),
        (lambda run: (run / "config.yaml").unlink(), "-2"),
        (shutil.rmtree, ""),
    ],
)
def test_a_run_is_continued_if_it_was_stopped_and_is_the_trials_own(
    ledger: MakeLedger, learner: Any, change: Callable[[Path], object], ends: str
) -> None:
    ours = ledger("lr=1e-3,1e-2", "epochs=5")
    assert sweep(ours, learner(KILLED)) == 3
    change(ours.rows[0].run.path)
    again = ledger("lr=1e-3,1e-2", "epochs=5")
    assert sweep(again, command := learner("pass")) == 0
    assert command.started == [0, 1]
    assert [row.run_id for row in again.rows] == [again.rows[0].trial.id + ends, again.rows[1].trial.id]
    epochs = [json.loads(line)["epoch"] for line in again.rows[0].run.metrics_lines_file.read_text().splitlines()]
    assert epochs == [1, 2, 3, 4, 5]


def test_a_run_that_could_not_be_continued_is_given_up_for_good(ledger: MakeLedger, learner: Any) -> None:
    ours = ledger("lr=1e-3,1e-2", "epochs=5")
    assert sweep(ours, learner(KILLED)) == 3
    broken = (
        "if options['continues']: sys.exit('error: the checkpoint is damaged')\nif run.name.endswith('-2'): sys.exit(1)"
    )
    again = ledger("lr=1e-3,1e-2", "epochs=5")
    assert sweep(again, command := learner(broken)) == 3
    assert command.started == [0, 0, 1, 1]  # what cannot be continued begins anew at once
    third = ledger("lr=1e-3,1e-2", "epochs=5")
    assert sweep(third, command := learner("pass")) == 0
    assert [row.run_id for row in third.rows] == [f"{row.trial.id}-3" for row in third.rows]


def test_the_id_of_a_run_is_read_from_a_small_regular_file(tmp_path: Path) -> None:
    file = tmp_path / "0.run"
    assert read_id(file) == ""
    file.write_text("abc-0-2\n")
    assert read_id(file) == "abc-0-2"
    (tmp_path / "link").symlink_to(file)
    assert read_id(tmp_path / "link") == ""
    assert read_id(tmp_path) == ""


def test_a_continued_run_that_ends_well_without_its_result_is_given_up_and_not_tried_for_ever(
    ledger: MakeLedger, learner: Any
) -> None:
    ours = ledger("lr=1e-3,1e-2", "epochs=5")
    assert sweep(ours, learner(KILLED)) == 3
    again = ledger("lr=1e-3,1e-2", "epochs=5")
    assert sweep(again, command := learner("if options['continues']: sys.exit(0)")) == 0
    assert command.started == [0, 0, 1, 1]
    assert [row.run_id for row in again.rows] == [f"{row.trial.id}-2" for row in again.rows]


def test_a_paused_run_whose_history_is_lost_is_trained_anew_once(ledger: MakeLedger, learner: Any) -> None:
    asked = {"search": "random", "trials": 4, "prune": "asha", "generation": 2}
    ours = ledger("lr=1e-4..1e-1:log", "epochs=9", **asked)
    assert sweep(ours, learner("pass")) == 0
    paused = next(row for row in ours.rows if row.status == "pruned")
    paused.run.metrics_lines_file.unlink()
    again = ledger("lr=1e-4..1e-1:log", "epochs=9", **asked)
    assert sweep(again, command := learner("if options['continues']: sys.exit(0)")) == 0
    assert command.started == [paused.trial.index] * 2
    assert again.row(paused.trial.index).run_id == f"{paused.trial.id}-2"
    assert [(row.status, row.valid) for row in again.rows] == [(row.status, row.valid) for row in ours.rows]


@pytest.mark.parametrize("data", [[1], "x", {"a": 3}, {"a": None}])
def test_a_run_whose_record_of_data_files_is_damaged_is_trained_anew(
    ledger: MakeLedger, learner: Any, data: Any
) -> None:
    ours = ledger("lr=1e-3,1e-2", "epochs=2")
    assert sweep(ours, learner("pass")) == 0
    ours.rows[0].run.run_file.write_text(json.dumps({"schema_version": 1, "status": "done", "data": data}))
    again = ledger("lr=1e-3,1e-2", "epochs=2")
    assert sweep(again, command := learner("pass")) == 0
    assert command.started == [0]


def test_a_number_of_hundreds_of_digits_in_a_run_is_none(ledger: MakeLedger, learner: Any) -> None:
    ours = ledger("lr=1e-3,1e-2", "epochs=2")
    assert sweep(ours, learner("pass")) == 0
    result = json.loads(ours.rows[0].run.metrics_file.read_text())
    ours.rows[0].run.metrics_file.write_text(json.dumps({**result, "valid": {"recall@20": 10**400}}))
    again = ledger("lr=1e-3,1e-2", "epochs=2")
    assert sweep(again, learner("pass")) == 3
    assert str(again.rows[0].cause).startswith("no value of recall@20 on validation")


def test_a_ledger_of_a_newer_version_is_refused_and_left_as_it_is(ledger: MakeLedger, learner: Any) -> None:
    ours = ledger("lr=1e-3,1e-2", "epochs=2")
    assert sweep(ours, learner("pass")) == 0
    file = ours.folder / "sweep.json"
    file.write_text('{"schema": 2, "new": true}')
    with pytest.raises(ConfigError, match=r"sweep\.json has schema 2; this version of recrun writes 1"):
        sweep(ledger("lr=1e-3,1e-2", "epochs=2"), learner("pass"))
    assert file.read_text() == '{"schema": 2, "new": true}'
