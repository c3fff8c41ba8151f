"""Runs that are reported to a tracker which works, is down, hangs, or comes back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from recrun.config.resolve import resolve
from recrun.report.trackers import courier
from recrun.runs.resume import resolve_run
from recrun.training.coach import Coach
from recrun.workflows.build import prepare
from recrun.workflows.push import push
from tests.report.trackers.book import entries, logged, server

SMALL = ["n_users=60", "n_items=40", "n_interactions=600", "embedding_dim=4", "device=cpu", "verbose=0", "plots=false"]
ALL = [("valid", 0), ("train", 1), ("valid", 1), ("train", 2), ("valid", 2)]


def _coach(tmp_path: Path, *settings: str) -> Coach:
    return prepare(resolve("bprmf", [*SMALL, "epochs=2", *settings]), runs=tmp_path / "runs")


def _record(coach: Coach) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((coach.run.path / "track" / "Book.json").read_text(encoding="utf-8"))
    return record


def _warnings(coach: Coach) -> list[str]:
    return [line for line in coach.run.log_file.read_text(encoding="utf-8").splitlines() if "warning" in line.lower()]


def test_a_tracker_is_sent_settings_values_and_the_end_of_a_run_once(tmp_path: Path) -> None:
    at, settings = server(tmp_path)
    coach = _coach(tmp_path, *settings)
    result = coach.fit()
    ((id, handle, tags, model),) = entries(at, "begin")
    assert (handle, model, len(id)) == (None, "bprmf", 16)
    assert (tags["model"], tags["dataset"], tags["recrun.run"]) == ("bprmf", "Synthetic", str(coach.run.path))
    assert logged(at) == ALL
    assert entries(at, "log")[1][2].keys() == {"train/loss"}
    ((status, epoch, values, files),) = entries(at, "end")
    assert (status, epoch) == ("done", result["best_epoch"])
    assert values["test/ndcg@20"] == result["test"]["ndcg@20"]
    assert values["best/ndcg@20"] == result["valid"]["ndcg@20"]
    assert files == ["config.yaml", "metrics.json", "SUMMARY.md"]
    assert _record(coach)["sent"] == {"valid": 2, "train": 2}
    assert _warnings(coach) == []


def test_the_best_checkpoint_is_sent_if_asked_for(tmp_path: Path) -> None:
    at, settings = server(tmp_path)
    _coach(tmp_path, *settings, "track_checkpoint=true").fit()
    assert entries(at, "end")[0][3][-1] == "checkpoint.safetensors"


def test_a_run_without_trackers_has_no_folder_for_them(tmp_path: Path) -> None:
    coach = _coach(tmp_path)
    coach.fit()
    assert not (coach.run.path / "track").exists()


def test_a_run_is_the_same_with_a_tracker_that_is_down_and_is_delivered_later(tmp_path: Path) -> None:
    at, settings = server(tmp_path)
    plain = _coach(tmp_path).fit()
    (at / "down").touch()
    coach = _coach(tmp_path, *settings)
    result = coach.fit()
    assert (result["valid"], result["test"]) == (plain["valid"], plain["test"])
    assert not (at / "book.jsonl").exists()
    assert _record(coach)["problem"] == "ConnectionError: the server is down"
    first, last = _warnings(coach)[0], _warnings(coach)[-1]
    assert "the server is down" in first
    assert last.endswith(f"deliver it with: recrun track push {coach.run.path}")
    assert len(_warnings(coach)) <= 2

    (document,) = push([coach.run.path])
    assert document["problem"] == "ConnectionError: the server is down"
    (at / "down").unlink()
    (document,) = push([coach.run.path])
    assert (document["sent"], document["complete"], document["problem"]) == (5, True, None)
    assert logged(at) == ALL
    assert entries(at, "end")[0][0] == "done"
    (document,) = push([coach.run.path])
    assert (document["sent"], document["problem"]) == (0, None)
    assert (len(entries(at, "begin")), len(entries(at, "end"))) == (1, 1), "it is not even asked again"
    assert _record(coach)["problem"] is None


def test_a_tracker_that_hangs_is_given_up_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "PATIENCE", 0.5)
    at, settings = server(tmp_path)
    (at / "hangs").touch()
    coach = _coach(tmp_path, *settings)
    begin = time.monotonic()
    assert coach.fit()["status"] == "done"
    assert time.monotonic() - begin < 10
    assert _record(coach)["problem"] == "Book did not answer within 0.5 seconds"
    assert "Book did not answer" in _warnings(coach)[-1]
    (document,) = push([coach.run.path])
    assert "another process is delivering" in document["problem"], "the thread may come back"
    (at / "hangs").unlink()


def test_all_trackers_of_a_run_share_the_time_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "PATIENCE", 1.0)
    at, (track, book) = server(tmp_path)
    (at / "hangs").touch()
    other = tmp_path / "other.py"
    other.write_text((tmp_path / "book_tracker.py").read_text().replace("class Book", "class Other"))
    coach = _coach(tmp_path, f"{track[:-1]},{other}:Other]", book)
    begin = time.monotonic()
    coach.reporters.close()
    coach.fit()
    waited = time.monotonic() - begin
    assert 1.0 <= waited < 1.9 + coach.state.seconds["train"] + coach.state.seconds["evaluate"]
    (at / "hangs").unlink()


def test_a_tracker_that_comes_back_gets_everything_during_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "_LONGEST_WAIT", 0.02)
    at, settings = server(tmp_path)
    (at / "down").touch()
    coach = _coach(tmp_path, *settings)
    evaluated = coach.validate

    def validate(epoch: int, *, force: bool = False) -> None:
        evaluated(epoch, force=force)
        if epoch == 1:
            (at / "down").unlink(missing_ok=True)

    monkeypatch.setattr(coach, "validate", validate)
    coach.fit()
    assert logged(at) == ALL
    assert [each[0] for each in entries(at, "end")] == ["done"]
    assert _record(coach)["problem"] is None


def test_a_resumed_run_is_the_same_at_the_tracker(tmp_path: Path) -> None:
    at, settings = server(tmp_path)
    first = _coach(tmp_path, *settings)
    first.fit()
    again = prepare(resolve_run(first.run, ["epochs=3"]), run=first.run)
    again.fit()
    (one, two) = entries(at, "begin")
    assert two[0] == one[0]
    assert two[1] == f"handle-{one[0]}", "what the tracker returned is handed to it"
    assert logged(at) == [*ALL, ("train", 3), ("valid", 3)]
    assert [each[0] for each in entries(at, "end")] == ["done", "done"]


def test_the_end_of_a_run_that_failed_or_was_interrupted_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, settings = server(tmp_path)
    for error in (RuntimeError("no more"), KeyboardInterrupt("stop")):
        coach = _coach(tmp_path, *settings)
        trained = coach.train

        def train(epoch: int, trained: Any = trained, error: BaseException = error) -> None:
            if epoch == 1:
                raise error
            trained(epoch)

        monkeypatch.setattr(coach, "train", train)
        with pytest.raises((RuntimeError, KeyboardInterrupt, Exception)):
            coach.fit()
    assert [each[:3] for each in entries(at, "end")] == [["failed", None, {}], ["interrupted", None, {}]]
    assert logged(at) == ALL[:3] * 2


def test_trackers_may_change_when_a_run_is_resumed(tmp_path: Path) -> None:
    at, settings = server(tmp_path)
    first = _coach(tmp_path)
    first.fit()
    prepare(resolve_run(first.run, [*settings, "epochs=3"]), run=first.run).fit()
    assert logged(at) == [*ALL, ("train", 3), ("valid", 3)], "it is sent what was before, too"
