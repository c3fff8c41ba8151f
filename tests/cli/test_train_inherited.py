"""`recrun train` and its neighbours where an override makes inherited settings meaningless."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from recrun.sweep.planning.plan import plan_sweep

SMALL = [
    *("n_users=60", "n_items=40", "n_interactions=900", "max_length=8", "embedding_dim=8", "device=cpu", "threads=1"),
    "loss=cross_entropy",
]
BASE = "model: sasrec\nsplit: leave_one_out\nn_negatives: 2\nmonitors: [ndcg@5]\n"
NOTE = "n_negatives=2 of a.yaml does not apply to loss cross_entropy, which uses no sampled negatives; it is dropped"


def test_a_run_prints_and_records_the_note_and_keeps_it_when_it_is_resumed(recrun: Callable[..., Any]) -> None:
    folder = recrun("validate", "bprmf").folder
    (folder / "a.yaml").write_text(BASE)
    outcome = recrun("train", "a.yaml", *SMALL, "epochs=1")
    assert outcome.code == 0, outcome.err
    assert outcome.err.count(NOTE) == 1
    assert json.loads((folder / "runs/latest/run.json").read_text())["notes"] == [NOTE]
    assert "n_negatives" not in (folder / "runs/latest/config.yaml").read_text()
    outcome = recrun("train", "--resume", "runs/latest", "epochs=2")
    assert outcome.code == 0, outcome.err
    assert outcome.err.count(NOTE) == 1
    assert json.loads((folder / "runs/latest/run.json").read_text())["notes"] == [NOTE]


def test_the_note_is_seen_without_a_run_too(recrun: Callable[..., Any]) -> None:
    folder = recrun("validate", "bprmf").folder
    (folder / "a.yaml").write_text(BASE)
    (folder / "b.yaml").write_text("extends: a.yaml\nloss: cross_entropy\n")
    printed = recrun("train", "a.yaml", "loss=cross_entropy", "--print-config")
    assert (printed.code, printed.err) == (0, f"note: {NOTE}\n")
    assert "note" not in printed.out
    assert recrun("validate", "b.yaml").out == f"b.yaml: note: {NOTE}\nb.yaml: ok\n"
    plan = recrun("train", "a.yaml", *SMALL, "--dry-run", "--json")
    assert NOTE in json.loads(plan.out)["notes"]
    assert plan_sweep("a.yaml", ["loss=bce,cross_entropy"]).notes == (NOTE,)


def test_a_printed_config_keeps_what_it_was_tuned_for(recrun: Callable[..., Any]) -> None:
    folder = recrun("validate", "bprmf").folder
    (folder / "a.yaml").write_text("model: ease\ndataset: LastFM\ntuned_for: LastFM\n")
    (folder / "printed.yaml").write_text(recrun("train", "a.yaml", "--print-config").out)
    assert recrun("validate", "printed.yaml").out == "printed.yaml: ok\n"
    outcome = recrun("train", "printed.yaml", "dataset=Beauty", "--print-config")
    assert outcome.err.endswith("note: the settings of printed.yaml were chosen for LastFM, not for Beauty\n")
