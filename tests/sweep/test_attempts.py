from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
