"""Trackers that write files on this machine: W&B offline, and Trackio."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing

from tests.trackers.conftest import SMALL, Workplace, wait_until

NAMED = ["bprmf", *SMALL, "description=mine", "id=one"]
SIX = "epochs=6"
ONCE = {("train", epoch): 1 for epoch in range(1, 7)} | {("valid", epoch): 1 for epoch in range(7)}


def _in_trackio(work: Workplace) -> Counter[tuple[str, int]]:
    """Return how often each (split, epoch) is in the database."""
    found: Counter[tuple[str, int]] = Counter()
    with closing(sqlite3.connect(work.folder / "trackio" / "mine.db")) as database:
        for step, values in database.execute("select step, metrics from metrics"):
            found.update((split, step) for split in {key.partition("/")[0] for key in json.loads(values)})
    return found


def test_both_have_a_run_and_print_nothing_between_its_results(work: Workplace) -> None:
    out, err = work.run("train", *NAMED, SIX, "track=[wandb,trackio]", "--json")
    result = json.loads(out)
    assert "warning" not in err
    found = _in_trackio(work)
    assert {key: found[key] for key in ONCE} == ONCE
    assert found["test", result["best_epoch"]] == 1
    (folder,) = (work.folder / "wandb").glob(f"offline-run-*-{work.record('wandb')['id']}")
    content = b"".join(file.read_bytes() for file in folder.rglob("*.wandb"))
    for text in (b"valid/ndcg@5", b"train/loss", b"test/ndcg@5", b"embedding_dim"):
        assert text in content
    assert {file.name for file in (folder / "files").rglob("*")} >= {"config.yaml", "metrics.json", "SUMMARY.md"}
    with closing(sqlite3.connect(work.folder / "trackio" / "mine.db")) as database:
        ((config,),) = database.execute("select config from configs")
    assert json.loads(config)["lr"] == 0.001


def test_a_trial_that_pauses_and_goes_on_is_one_run_with_every_epoch_once(work: Workplace) -> None:
    work.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{work.folder}/mlflow.db"
    track = "track=[trackio,wandb,mlflow,tensorboard]"
    study = [
        "sweep",
        "bprmf",
        *SMALL,
        "description=mine",
        "epochs=4",
        "lr=1e-3,5e-2",
        "--prune",
        "asha:eta=2,min_epochs=1",
    ]
    out, err = work.run(*study, track, "--json", "-q")
    assert "warning" not in err
    trials = json.loads(out)["trials"]
    assert sorted(trial["status"] for trial in trials) == ["done", "pruned"]
    reached = [trial.get("reached") or 4 for trial in trials]
    assert max(reached) > min(reached)
    once = {("train", epoch): reached.count(4) + (epoch <= min(reached)) for epoch in range(1, 5)}
    found = _in_trackio(work)
    assert {key: found[key] for key in once} == once
    with closing(sqlite3.connect(work.folder / "trackio" / "mine.db")) as database:
        assert len(database.execute("select distinct run_name from metrics").fetchall()) == 2
    with closing(sqlite3.connect(work.folder / "mlflow.db")) as database:
        logged = database.execute("select run_uuid, step from metrics where key = 'train/loss'").fetchall()
        assert len(database.execute("select run_uuid from runs").fetchall()) == 2
    assert sorted(Counter(logged).values()) == [1] * sum(reached)
    records = [work.folder / trial["run"] / "track" / "wandb.json" for trial in trials]
    ids = {json.loads(record.read_text(encoding="utf-8"))["id"] for record in records}
    folders = [folder.name.rpartition("-")[2] for folder in (work.folder / "wandb").glob("offline-run-*")]
    assert set(folders) == ids  # a folder for each part of a run


def test_a_run_that_was_killed_goes_on_as_the_same_run(work: Workplace) -> None:
    gate, file = work.gated()
    process = work.start("train", *NAMED, SIX, f"track=[trackio,wandb,{gate}]", file, "checkpoint_freq=2")
    wait_until(lambda: work.sent("trackio") == 3 and work.sent("wandb") == 3)
    process.kill()
    process.communicate()
    work.open_gate()
    work.run("train", "--resume", str(work.run_folder))
    found = _in_trackio(work)
    assert {key: found[key] for key in ONCE} == ONCE
    with closing(sqlite3.connect(work.folder / "trackio" / "mine.db")) as database:
        assert len(database.execute("select distinct run_name from metrics").fetchall()) == 1
    assert len(list((work.folder / "wandb").glob(f"offline-run-*-{work.record('wandb')['id']}"))) == 2
    out, _ = work.run("track", "push", str(work.run_folder), "--to", "trackio", "--to", "wandb")
    assert out.count("nothing was missing") == 2
