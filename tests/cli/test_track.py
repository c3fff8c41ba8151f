"""`recrun track push`, and trackers by the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.config import trackers
from recrun.files import hold
from tests.cli.conftest import SMALL
from tests.report.trackers.book import entries, logged, server

DELIVERED = {"end_sent": True, "complete": True, "by_run": False, "problem": None}


@pytest.fixture
def at(tmp_path: Path) -> Path:
    """The folder of a tracker's server, which is down."""
    folder, _ = server(tmp_path)
    (folder / "down").touch()
    return folder


@pytest.fixture
def tracked(recrun: Callable[..., Any], tmp_path: Path, at: Path) -> Path:
    """A run whose tracker was down all the time."""
    outcome = recrun("train", "bprmf", *SMALL, f"track=[{tmp_path}/book_tracker.py:Book]", f"book={at}", "id=a")
    assert outcome.code == 0, outcome.err
    assert f"deliver it with: recrun track push {tmp_path}" in outcome.err or "recrun track push runs/" in outcome.err
    return tmp_path / "runs" / "bprmf" / "Synthetic" / "a"


def test_what_was_not_delivered_is_pushed(recrun: Callable[..., Any], tracked: Path, at: Path) -> None:
    outcome = recrun("track", "push", str(tracked))
    assert outcome.code == 1
    assert "ConnectionError: the server is down" in outcome.err
    (at / "down").unlink()
    outcome = recrun("track", "push", str(tracked))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith("3 epochs and evaluations sent, and the end\n")
    assert logged(at) == [("valid", 0), ("train", 1), ("valid", 1)]
    outcome = recrun("track", "push", str(tracked))
    assert outcome.out.endswith("nothing was missing\n")
    assert len(entries(at, "end")) == 1


def test_the_result_as_json(recrun: Callable[..., Any], tracked: Path, at: Path) -> None:
    (at / "down").unlink()
    (document,) = json.loads(recrun("track", "push", "runs/latest", "--json").out)
    assert document.pop("tracker").endswith("book_tracker.py:Book")
    assert document == {"run": str(tracked.resolve()), **DELIVERED, "sent": 3}


def test_an_end_that_alone_was_missing_is_named(recrun: Callable[..., Any], tracked: Path, at: Path) -> None:
    (at / "down").unlink()
    assert recrun("track", "push", str(tracked)).code == 0
    (file,) = (tracked / "track").glob("*.json")
    record = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**record, "ended": None}), encoding="utf-8")
    assert recrun("track", "push", str(tracked)).out.endswith("Book: the end was sent\n")


def test_a_run_that_delivers_itself_is_left_to_it(recrun: Callable[..., Any], tracked: Path, at: Path) -> None:
    (file,) = (tracked / "track").glob("*.json")
    (at / "down").unlink()
    with hold(file.with_name(f".{file.stem}.lock"), patience=0.0):
        alone = recrun("track", "push", str(tracked))
        with hold(tracked / ".lock", patience=0.0):
            by_run = recrun("track", "push", str(tracked))
    assert alone.code == 1
    assert "another process is delivering" in alone.err
    assert (by_run.code, by_run.err) == (0, "")
    assert by_run.out.endswith("Book: the run is still being trained, and delivers to it itself\n")
    assert logged(at) == []


@pytest.mark.parametrize(
    "change",
    [{"sent": {"valid": -1}}, {"sent": {"other": 1}}, {"sent": {"valid": True}}, {"id": "../x"}, {"id": None}],
)
def test_a_record_that_recrun_did_not_write_so_is_damaged(
    recrun: Callable[..., Any], tracked: Path, at: Path, change: dict[str, Any]
) -> None:
    (at / "down").unlink()
    (file,) = (tracked / "track").glob("*.json")
    record = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**record, **change}), encoding="utf-8")
    outcome = recrun("track", "push", str(tracked))
    assert outcome.code == 1
    assert "is damaged: remove it to send the run to the tracker anew" in outcome.err
    assert logged(at) == []


def test_an_earlier_run_is_delivered_to_a_tracker_that_is_named(
    recrun: Callable[..., Any], tmp_path: Path, at: Path
) -> None:
    assert recrun("train", "bprmf", *SMALL).code == 0
    outcome = recrun("track", "push", "runs/latest")
    assert (outcome.code, "has no tracker to push to; name one: --to mlflow" in outcome.err) == (2, True)
    plain = (
        (tmp_path / "book_tracker.py")
        .read_text()
        .replace(", *, book: str", "")
        .replace("Path(book)", f"Path({str(at)!r})")
    )
    (tmp_path / "plain.py").write_text(plain)
    (at / "down").unlink()
    assert recrun("track", "push", "runs/latest", "--to", f"{tmp_path}/plain.py:Book").code == 0
    assert len(logged(at)) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--to", "mlfow"), "unknown tracker 'mlfow'; did you mean 'mlflow'?"),
        (("--to", "tensorboard"), "there is nothing to deliver to it"),
        (("--to", "mlflow"), "pip install 'recrun[mlflow]'"),
    ],
)
def test_what_cannot_be_pushed_is_refused_in_one_line(
    recrun: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    assert recrun("train", "bprmf", *SMALL).code == 0
    outcome = recrun("track", "push", "runs/latest", *options)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert message in outcome.err


def test_there_must_be_a_run(recrun: Callable[..., Any]) -> None:
    outcome = recrun("track", "push", "nowhere")
    assert (outcome.code, "there is no run in nowhere" in outcome.err) == (2, True)


def test_a_tracker_that_a_strangers_run_names_is_not_run(
    recrun: Callable[..., Any], tracked: Path, at: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another home"))
    (at / "down").unlink()
    outcome = recrun("track", "push", str(tracked))
    assert (outcome.code, "names code that you have not run here before" in outcome.err) == (2, True)
    assert logged(at) == []
    assert recrun("track", "push", str(tracked), "--trust").code == 0
    assert len(logged(at)) == 3


def test_a_reporter_that_only_follows_a_run_cannot_be_pushed_to(recrun: Callable[..., Any], tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from recrun.training.reporter import Reporter\n\n\n"
        'class Own(Reporter):\n    """Do nothing."""\n\n'
        "    def __init__(self, run, settings, resumed_from):\n        pass\n"
    )
    assert recrun("train", "bprmf", *SMALL, f"track=[{own}:Own]").code == 0
    outcome = recrun("track", "push", "runs/latest")
    assert (outcome.code, "cannot be pushed to" in outcome.err) == (2, True)


def test_a_missing_package_is_refused_before_the_data_is_touched(
    recrun: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    outcome = recrun("train", "bprmf", *SMALL, "track=[wandb]")
    assert outcome.code == 2
    assert (
        "error: track: wandb needs the package wandb, which is not installed: pip install 'recrun[wandb]'"
        in outcome.err
    )
    assert outcome.is_untouched


def test_a_run_is_evaluated_and_reproduced_where_its_tracker_is_not_installed(
    recrun: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recrun("train", "bprmf", *SMALL, "id=a").code == 0
    config = tmp_path / "runs" / "bprmf" / "Synthetic" / "a" / "config.yaml"
    config.write_text(config.read_text().replace("track: []", "track: [wandb]"))
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    assert recrun("eval", "--checkpoint", str(config.parent)).code == 0
    assert recrun("reproduce", str(config.parent)).code == 0
    assert recrun("train", "--resume", str(config.parent)).code == 2


def test_the_trials_of_a_sweep_are_reported(recrun: Callable[..., Any], tmp_path: Path, at: Path) -> None:
    (at / "down").unlink()
    track = f"track=[{tmp_path}/book_tracker.py:Book]"
    assert recrun("sweep", "bprmf", *SMALL, track, f"book={at}", "seed=1,2").code == 0
    assert len({id for id, *_ in entries(at, "begin")}) == 2
    assert [each[0] for each in entries(at, "end")] == ["done", "done"]


def test_two_trackers_of_one_name_are_refused_before_the_start(
    recrun: Callable[..., Any], tmp_path: Path, at: Path
) -> None:
    text = (tmp_path / "book_tracker.py").read_text().replace("class Book", "class Other")
    (tmp_path / "other.py").write_text(text.replace("def __init__", 'name = "bOOk"\n\n    def __init__'))
    one, two = f"{tmp_path}/book_tracker.py:Book", f"{tmp_path}/other.py:Other"
    for given, message in (
        (f"{one},{two}", "two trackers have the name 'bOOk'"),
        (f"{one},{one}", "is given twice; remove one"),
        ("tensorboard,tensorboard", "tensorboard is given twice; remove one"),
    ):
        outcome = recrun("train", "bprmf", *SMALL, f"track=[{given}]", f"book={at}")
        assert (outcome.code, message in outcome.err) == (2, True), outcome.err
        assert not list((tmp_path / "runs").rglob("run.json"))
    assert recrun("train", "bprmf", *SMALL, f"track=[{one}]", f"book={at}").code == 0
    outcome = recrun("track", "push", "runs/latest", "--to", one, "--to", two)
    assert (outcome.code, "two trackers have the name 'bOOk'" in outcome.err) == (2, True), outcome.err
