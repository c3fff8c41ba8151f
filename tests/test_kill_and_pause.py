"""A run that pauses, is killed anywhere on the way and goes on comes to the same bytes as one that ran through."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run_server import Server, the_run
from tests.test_kill_and_resume import MODES, SMALL, Whole, check

GROUPED = [*SMALL, "groups=[activity:2]"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def whole(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(server, tmp_path_factory.mktemp("whole"))


def pause(server: Server, run: Path, until: int) -> None:
    assert server.run("train", "--resume", str(run), "--until", str(until)) == 0, server.text()


def test_plots_events_groups_and_users_are_those_of_a_run_without_pauses(
    server: Server, whole: Whole, tmp_path: Path
) -> None:
    expected = whole("bprmf", *GROUPED)
    assert expected["per_user"]
    assert expected["scalars"]
    assert expected["numbers"]["groups"]
    assert server.run("train", "bprmf", *GROUPED, "--runs", str(tmp_path), "--until", "1") == 0, server.text()
    for until in (1, 2, 3):
        pause(server, the_run(tmp_path), until)
    assert server.run("train", "--resume", str(the_run(tmp_path))) == 0, server.text()
    check(the_run(tmp_path), expected)
    assert (the_run(tmp_path) / "summary" / "SUMMARY.md").exists()


@pytest.mark.slow
@pytest.mark.parametrize("at", ["fsync", "replace"])
def test_a_run_killed_at_any_write_of_its_pause_goes_on(server: Server, whole: Whole, tmp_path: Path, at: str) -> None:
    """The last writes of a run that pauses are those of the best model, the last state and run.json."""
    expected = whole("bprmf", *SMALL)
    killed = set()
    for call in range(8, 60):
        runs = tmp_path / str(call)
        given = ["train", "bprmf", *SMALL, "--until", "2", "--runs", str(runs)]
        code = server.run(*given, die={"at": at, "call": call})
        run = the_run(runs)
        assert json.loads((run / "run.json").read_text(encoding="utf-8"))["test_evaluations"] == []
        killed.add(code)
        pause(server, run, 2)
        pause(server, run, 3)
        assert server.run("train", "--resume", str(run)) == 0, server.text()
        check(run, expected)
        if code == 0:
            break
    assert killed == {0, -signal.SIGKILL}


@pytest.mark.parametrize("mode", ["early", *(pytest.param(m, marks=pytest.mark.slow) for m in ("sparse", "minutes"))])
def test_a_run_killed_while_it_goes_on_from_a_pause_comes_to_the_same_bytes(
    server: Server, whole: Whole, tmp_path: Path, mode: str
) -> None:
    changed = {option.partition("=")[0] for option in MODES[mode]}
    options = [*(option for option in SMALL if option.partition("=")[0] not in changed), *MODES[mode]]
    expected = whole("bprmf", *options)
    assert server.run("train", "bprmf", *options, "--runs", str(tmp_path), "--until", "1") == 0, server.text()
    run = the_run(tmp_path)
    for call in (2, 3, 5):
        die = {"at": "replace", "call": call}
        assert server.run("train", "--resume", str(run), "--until", "100", die=die) in (0, -signal.SIGKILL)
        if json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] != "done":
            pause(server, run, 2)
    assert server.run("train", "--resume", str(run)) == 0, server.text()
    check(run, expected)
