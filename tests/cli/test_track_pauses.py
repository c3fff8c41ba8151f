"""Trackers of trials that a sweep pauses and continues: one run at each, and every epoch once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.report.trackers.book import server

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "batch_size=128", "device=cpu", "threads=1", "epochs=9"]


def _scalars(folder: Path) -> dict[str, list[int]]:
    """Return the steps that TensorBoard reads from a folder, by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: [event.step for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.slow
def test_a_trial_that_pauses_is_one_run_at_its_trackers_with_every_epoch_once(
    recrun: Callable[..., Any], tmp_path: Path
) -> None:
    at, (track, book) = server(tmp_path)
    track = track.replace("]", ",tensorboard]")
    outcome = recrun("sweep", "bprmf", *SMALL, "lr=1e-3,1e-2,5e-2", track, book, "--prune", "asha", "--json", "-q")
    assert outcome.code == 0, outcome.err
    trials = json.loads(outcome.out)["trials"]
    assert {trial["status"] for trial in trials} == {"done", "pruned"}
    at_tracker = _by_run(at)
    own = {_id_of(trial["run"]): trial for trial in trials}
    assert at_tracker.keys() == own.keys()
    for id, trial in own.items():
        reached = trial.get("reached") or 9
        entries = at_tracker[id]
        handles = [handle for kind, _, handle, *_ in entries if kind == "begin"]
        assert handles == [None, *[f"handle-{id}"] * (len(handles) - 1)]
        points = [tuple(entry[1:3]) for entry in entries if entry[0] == "log"]
        assert len(points) == len(set(points)), "no epoch is there twice"
        epochs = [("train", epoch) for epoch in range(1, reached + 1)]
        assert set(points) == {*epochs, *(("valid", epoch) for epoch in range(reached + 1))}
        assert [epoch for split, epoch in points if split == "train"] == list(range(1, reached + 1))
        ends = [entry[1] for entry in entries if entry[0] == "end"]
        last = "paused" if trial["status"] == "pruned" else "done"
        assert ends == [*["paused"] * (len(handles) - 1), last]
        scalars = _scalars(Path(trial["run"]) / "summary")
        assert scalars["train/loss"] == list(range(1, reached + 1))
        assert scalars["valid/ndcg@20"] == list(range(reached + 1))
        assert len(list((Path(trial["run"]) / "summary").glob("*.hparams"))) == 1
    assert max(len([entry for entry in each if entry[0] == "begin"]) for each in at_tracker.values()) > 1


def _by_run(at: Path) -> dict[str, list[list[Any]]]:
    """Return what the tracker of a sweep that trains one trial at a time was given, by its id of the run."""
    found: dict[str, list[list[Any]]] = {}
    id = ""
    for line in (at / "book.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        id = entry[1] if entry[0] == "begin" else id
        found.setdefault(id, []).append(entry)
    return found


def _id_of(run: str) -> str:
    """Return the id of a run at its tracker, by its own record."""
    (file,) = (each for each in Path(run, "track").glob("*.json") if "tensorboard" not in each.name)
    return str(json.loads(file.read_text(encoding="utf-8"))["id"])
