"""Reporters: how they are notified, and how a run gets trackers of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.registry import REPORTERS, entry_points
from recrun.runs.checkpoint import load_checkpoint
from recrun.runs.folder import RunFolder
from recrun.runs.resume import resolve_run
from recrun.training.reporter import Reporter, Reporters, make_reporters
from recrun.workflows.build import prepare

SMALL = ["n_users=60", "n_items=40", "n_interactions=600", "epochs=2", "embedding_dim=4", "device=cpu", "verbose=0"]

TRACKER = '''
import json

from recrun.training.reporter import Reporter


class Notes(Reporter):
    """Write down what happens.

    Args:
        notes_file: where to.
        notes_mark: how each line begins.
    """

    def __init__(self, run, settings, resumed_from, *, notes_file: str, notes_mark: str = "-") -> None:
        self.path, self.mark = notes_file, notes_mark
        self.note("made", run.path.name, settings["model"], resumed_from)

    def note(self, *words):
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps([self.mark, *words]) + "\\n")

    def start(self, info):
        self.note("start", info["model"])

    def trained(self, epoch, values, seconds):
        self.note("trained", epoch)

    def evaluated(self, epoch, split, values, is_best, seconds):
        self.note("evaluated", epoch, split)

    def finish(self, result):
        self.note("finish", result["status"])

    def close(self):
        self.note("close")
'''


@pytest.fixture
def tracker_file(tmp_path: Path) -> Path:
    """A file outside the package that holds a tracker."""
    path = tmp_path / "elsewhere" / "notes_tracker.py"
    path.parent.mkdir()
    path.write_text(TRACKER)
    return path


@pytest.fixture
def installed(tracker_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package that registers the tracker as `notes`."""
    info = tracker_file.parent / "notes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: notes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[recrun.reporters]\nnotes = notes_tracker:Notes\n")
    monkeypatch.syspath_prepend(str(tracker_file.parent))
    entry_points.find_entry_points.cache_clear()
    yield
    for known in (REPORTERS._objects, REPORTERS._registered):
        known.pop("notes", None)
    entry_points.find_entry_points.cache_clear()


def _notes(path: Path) -> list[list[Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _expected(run: RunFolder, best: int, mark: str) -> list[list[Any]]:
    return [
        [mark, "made", run.path.name, "bprmf", None],
        [mark, "start", "bprmf"],
        [mark, "evaluated", 0, "valid"],
        [mark, "trained", 1],
        [mark, "evaluated", 1, "valid"],
        [mark, "trained", 2],
        [mark, "evaluated", 2, "valid"],
        [mark, "evaluated", best, "test"],
        [mark, "finish", "done"],
        [mark, "close"],
    ]


def test_a_tracker_from_a_file_is_notified_of_the_whole_run(tmp_path: Path, tracker_file: Path) -> None:
    notes = tmp_path / "notes.jsonl"
    options = [f"track=[{tracker_file}:Notes]", f"notes_file={notes}", "notes_mark=+"]
    coach = prepare(resolve("bprmf", [*SMALL, *options]), runs=tmp_path / "runs")
    result = coach.fit()
    assert _notes(notes) == _expected(coach.run, result["best_epoch"], "+")


@pytest.mark.usefixtures("installed")
def test_a_tracker_by_entry_point_is_notified_of_the_whole_run(tmp_path: Path) -> None:
    notes = tmp_path / "notes.jsonl"
    resolved = resolve("bprmf", [*SMALL, "track=[notes]", f"notes_file={notes}"])
    coach = prepare(resolved, runs=tmp_path / "runs")
    result = coach.fit()
    assert _notes(notes) == _expected(coach.run, result["best_epoch"], "-")
    assert coach.run.metrics_file.exists()
    assert coach.run.log_file.exists(), "the usual reporters are there too"


def test_a_tracker_in_a_config_is_looked_up_beside_it(tmp_path: Path, tracker_file: Path) -> None:
    config = tracker_file.parent / "mine.yaml"
    config.write_text("extends: bprmf\ntrack: ['./notes_tracker.py:Notes']\nnotes_file: here\n")
    resolved = resolve(config)
    assert resolved.config.track == [f"{tracker_file}:Notes"]
    assert resolved.config.notes_mark == "-"


@pytest.mark.usefixtures("installed")
def test_an_unknown_tracker_is_named_at_its_place_with_the_nearest(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("extends: bprmf\ntrack:\n  - notes\n  - nots\nnotes_file: here\n")
    with pytest.raises(ConfigError) as caught:
        resolve(config)
    (fault,) = caught.value.faults
    assert str(fault).startswith(f"{config}:4:")
    assert "unknown tracker 'nots' (available: mlflow, notes, tensorboard, " in str(fault)
    assert fault.suggestion == "notes"


@pytest.mark.parametrize(
    ("trackers", "message"),
    [
        ("[live]", "live is already a reporter of every run; remove it"),
        ("[no/such/file.py:Notes]", "cannot read"),
        ("[1]", "expected a list of text values; element 1 is 1"),
    ],
)
def test_what_cannot_be_a_tracker_is_refused(trackers: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("bprmf", [f"track={trackers}"])


def test_trackers_may_change_when_a_run_is_resumed_and_a_checkpoint_names_none(
    tmp_path: Path, tracker_file: Path
) -> None:
    first = prepare(resolve("bprmf", SMALL), runs=tmp_path / "runs")
    first.fit()
    notes = tmp_path / "notes.jsonl"
    options = [f"track=[{tracker_file}:Notes]", f"notes_file={notes}", "epochs=3"]
    again = prepare(resolve_run(first.run, options), run=first.run)
    again.fit()
    assert [note[1:] for note in _notes(notes)][:3] == [
        ["made", first.run.path.name, "bprmf", 2],
        ["start", "bprmf"],
        ["trained", 3],
    ]
    config = load_checkpoint(again.run.checkpoint_file("last"))["config"]
    assert not {"track", "notes_file", "notes_mark"} & config.keys()


def test_reporters_are_notified_in_their_order_and_all_are_closed() -> None:
    calls: list[str] = []

    class Named(Reporter):
        def __init__(self, name: str) -> None:
            self.name = name

        def trained(self, epoch: int, values: Any, seconds: float) -> None:
            calls.append(f"{self.name} trained {epoch}")

        def close(self) -> None:
            calls.append(f"{self.name} close")
            raise OSError(self.name)

    reporters = Reporters([Named("one"), Named("two")])
    reporters.trained(3, {}, 0.5)
    with pytest.raises(OSError, match="two"):
        reporters.close()
    assert calls == ["one trained 3", "two trained 3", "one close", "two close"]


def test_reporters_passes_on_everything_a_reporter_has() -> None:
    methods = {name for name in vars(Reporter) if not name.startswith("_")}
    assert methods <= vars(Reporters).keys()


def test_reporters_that_were_made_are_closed_if_a_later_one_cannot_be(tmp_path: Path, tracker_file: Path) -> None:
    run = RunFolder.create(tmp_path / "runs", {"description": "BPRMF", "dataset": "Synthetic"})
    broken = tracker_file.parent / "broken.py"
    broken.write_text("def broken(run, settings, resumed_from):\n    raise OSError('no server')\n")
    notes = tmp_path / "notes.jsonl"
    settings = {
        "model": "bprmf",
        "track": [f"{tracker_file}:Notes", f"{broken}:broken"],
        "notes_file": str(notes),
        "verbose": 0,
    }
    with pytest.raises(OSError, match="no server"):
        make_reporters(run, settings)
    assert [note[1] for note in _notes(notes)] == ["made", "close"]


def test_a_tracker_cannot_take_the_name_of_another_setting(tmp_path: Path, tracker_file: Path) -> None:
    tracker_file.write_text(TRACKER.replace("notes_mark", "lr"))
    with pytest.raises(ConfigError, match=r"lr: reporter .*:Notes cannot have a setting of this name: optimizer"):
        resolve("bprmf", [f"track=[{tracker_file}:Notes]", "notes_file=x"])


def test_a_tracker_does_not_change_which_sweep_or_result_a_config_is(tmp_path: Path, tracker_file: Path) -> None:
    from recrun.config.same_settings import changes_of_result, sweep_identity

    plain = resolve("bprmf").config
    tracked = resolve("bprmf", [f"track=[{tracker_file}:Notes]", "notes_file=x"]).config
    assert changes_of_result(plain, tracked) == {}
    assert sweep_identity(plain, ()) == sweep_identity(tracked, ())


def test_all_reporters_are_settled_even_if_one_raises() -> None:
    settled = []

    class Raises(Reporter):
        def settle(self) -> None:
            settled.append("raises")
            raise ValueError("no")

    class Settles(Reporter):
        def settle(self) -> None:
            settled.append("settles")

    with pytest.raises(ValueError, match="no"):
        Reporters([Raises(), Settles()]).close()
    assert settled == ["raises", "settles"]
