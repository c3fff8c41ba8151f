"""What is delivered is read from the run folder, which keeps how far that has come."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from recrun.errors import CheckpointError, RecrunError
from recrun.report.trackers.delivery import Delivery, ending_of, explain
from recrun.report.trackers.facts import About, Ending, Point
from recrun.report.trackers.tracker import Tracker
from recrun.runs.folder import RunFolder
from recrun.runs.history import History

SETTINGS: dict[str, Any] = {"description": "one", "model": "bprmf", "dataset": "Synthetic", "id": "a"}


class Listed(Tracker):
    """Keeps what it is sent, and says what it has if `has` is set."""

    name = "listed"

    def __init__(self, run: RunFolder, has: Mapping[str, int] | None = None) -> None:
        super().__init__(run, {})
        self.has = has
        self.about: list[About] = []
        self.points: list[Point] = []
        self.endings: list[Ending] = []
        self.fails = False

    def begin(self, about: About) -> str:
        self.about.append(about)
        return "handle"

    def known(self) -> Mapping[str, int] | None:
        return self.has

    def log(self, points: Sequence[Point]) -> None:
        if self.fails:
            raise ConnectionError("down")
        self.points += points

    def end(self, ending: Ending) -> None:
        self.endings.append(ending)

    @property
    def got(self) -> list[tuple[str, int]]:
        return [(point.split, point.epoch) for point in self.points]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, SETTINGS)


def _epochs(run: RunFolder, first: int, last: int, history: History | None = None) -> History:
    history = history or History(run.metrics_lines_file)
    for epoch in range(first, last + 1):
        history.append(epoch, "train", {"loss": 1.0 / epoch}, 0.5)
    return history


def _deliver(tracker: Tracker, **options: Any) -> int:
    delivery = Delivery(tracker)
    with delivery.opened():
        return delivery.deliver(**{"final": False, **options})


def _file(run: RunFolder) -> Path:
    return run.path / "track" / "listed.json"


def test_only_what_is_new_is_sent(run: RunFolder) -> None:
    tracker = Listed(run)
    history = _epochs(run, 1, 3)
    assert _deliver(tracker) == 3
    assert _deliver(tracker) == 0
    _epochs(run, 4, 4, history)
    assert _deliver(Listed(run)) == 1


def test_more_lines_than_are_sent_at_once_arrive_in_order(run: RunFolder) -> None:
    tracker = Listed(run)
    _epochs(run, 1, 450)
    assert _deliver(tracker) == 450
    assert tracker.got == [("train", epoch) for epoch in range(1, 451)]


def test_epochs_that_a_resume_repeats_are_not_sent_again(run: RunFolder) -> None:
    history = _epochs(run, 1, 3)
    position = history.position()
    _epochs(run, 4, 5, history)
    _deliver(Listed(run))
    history.go_back_to(position, 3)
    _epochs(run, 4, 6, history)
    tracker = Listed(run)
    _deliver(tracker)
    assert tracker.got == [("train", 6)]


def test_what_a_tracker_did_not_take_is_sent_again(run: RunFolder) -> None:
    tracker = Listed(run)
    _epochs(run, 1, 2)
    delivery = Delivery(tracker)
    with delivery.opened():
        tracker.fails = True
        with pytest.raises(ConnectionError):
            delivery.deliver(final=False)
        tracker.fails = False
        delivery.deliver(final=False)
    assert tracker.got == [("train", 1), ("train", 2)]
    assert len(tracker.about) == 1


@pytest.mark.parametrize(("has", "sent"), [({"train": 4}, [5]), ({"train": 1}, [2, 3, 4, 5]), ({}, [1, 2, 3, 4, 5])])
def test_a_tracker_that_says_what_it_has_is_believed(run: RunFolder, has: dict[str, int], sent: list[int]) -> None:
    history = _epochs(run, 1, 3)
    _deliver(Listed(run))
    _epochs(run, 4, 5, history)
    tracker = Listed(run, has)
    _deliver(tracker)
    assert tracker.got == [("train", epoch) for epoch in sent]


def test_the_id_is_in_the_folder_before_the_tracker_is_asked(run: RunFolder) -> None:
    class Dies(Listed):
        def begin(self, about: About) -> str:
            assert json.loads(_file(run).read_text())["id"] == about.id
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _deliver(Dies(run), at_once=True)
    tracker = Listed(run)
    _deliver(tracker, at_once=True)
    assert tracker.about[0].id == json.loads(_file(run).read_text())["id"]
    assert tracker.about[0].handle is None


def test_undefined_values_are_left_out(run: RunFolder) -> None:
    History(run.metrics_lines_file).append(1, "valid", {"auc": float("nan"), "ndcg@5": 0.5}, 0.1)
    tracker = Listed(run)
    _deliver(tracker)
    assert tracker.points[0].named() == {"valid/ndcg@5": 0.5}


def test_metrics_of_files_are_named_without_their_paths_if_that_is_clear(run: RunFolder) -> None:
    History(run.metrics_lines_file).append(1, "valid", {"/a/x.py:one@5": 0.5, "ndcg@5": 0.25}, 0.1)
    History(run.metrics_lines_file).append(2, "valid", {"/a/x.py:one@5": 0.5, "/b/x.py:one@5": 0.25}, 0.1)
    tracker = Listed(run)
    _deliver(tracker)
    assert tracker.points[0].named() == {"valid/one@5": 0.5, "valid/ndcg@5": 0.25}
    assert tracker.points[1].named() == {"valid//a/x.py:one@5": 0.5, "valid//b/x.py:one@5": 0.25}


def test_the_end_is_sent_once_and_again_if_the_run_ended_anew(run: RunFolder) -> None:
    run.update_run(status="failed", ended="2026-01-01T00:00:00+00:00", cause="RuntimeError: x")
    tracker = Listed(run)
    _deliver(tracker, final=True)
    _deliver(tracker, final=True)
    assert [(each.status, each.cause) for each in tracker.endings] == [("failed", "RuntimeError: x")]
    run.update_run(status="interrupted", ended="2026-01-02T00:00:00+00:00")
    _deliver(tracker, final=True)
    assert [each.status for each in tracker.endings] == ["failed", "interrupted"]


def test_a_run_that_was_killed_has_ended_and_one_that_is_trained_has_not(run: RunFolder) -> None:
    assert (ending_of(run) or pytest.fail("no ending")).status == "killed"
    with run.lock():
        assert ending_of(run) is None


def test_two_deliveries_to_one_tracker_do_not_meet(run: RunFolder) -> None:
    with Delivery(Listed(run)).opened(), pytest.raises(CheckpointError, match="another process is delivering"):
        _deliver(Listed(run))


@pytest.mark.parametrize("content", ["{", "[]", '{"sent": {"train": "x"}}', '{"sent": 1}', '{"id": 5}'])
def test_a_damaged_record_is_named(run: RunFolder, content: str) -> None:
    _deliver(Listed(run), at_once=True)
    _file(run).write_text(content)
    with pytest.raises(CheckpointError, match=r"listed\.json is damaged"):
        _deliver(Listed(run))


def test_a_link_in_place_of_a_record_is_not_followed(run: RunFolder, tmp_path: Path) -> None:
    from recrun.runs.folder import open_run

    (run.path / "track").mkdir()
    _file(run).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="symbolic link"):
        open_run(run.path)


def test_what_a_killed_process_was_writing_is_removed(run: RunFolder) -> None:
    (run.path / "track").mkdir()
    left = run.path / "track" / ".listed.json.abc.tmp"
    left.touch()
    _deliver(Listed(run), at_once=True)
    assert not left.exists()


def test_a_cause_is_one_line() -> None:
    assert explain(ValueError("a\nb")) == "ValueError: a b"
    assert len(explain(ValueError("x" * 5000))) < 250
    assert explain(CheckpointError("x")) == "x"


@pytest.mark.parametrize("handle", [12345, {"id": 1}, b"x"])
def test_a_handle_that_is_no_text_is_refused_and_not_recorded(run: RunFolder, handle: Any) -> None:
    class Wrong(Listed):
        def begin(self, about: About) -> Any:
            return handle

    with pytest.raises(RecrunError, match=r"its begin returned .*; it must return text, or None"):
        _deliver(Wrong(run), at_once=True)
    tracker = Listed(run)
    _deliver(tracker, at_once=True)
    assert tracker.about[0].handle is None, "the record can still be read"


def test_what_a_tracker_says_it_has_is_recorded_as_it_can_be_read_again(run: RunFolder) -> None:
    class Says(Listed):
        def known(self) -> dict[str, int]:
            return {"train": -1, "valid": 3, "other": 5}

    _deliver(Says(run), at_once=True)
    record = json.loads((run.path / "track" / "listed.json").read_text(encoding="utf-8"))
    assert record["sent"] == {"valid": 3}
    _deliver(Listed(run), at_once=True)
