"""`recrun train --until`: pausing, what is printed, going on, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recrun.runs.folder import RunFolder
from recrun.sweep.adopted import exit_code_in

SMALL = ["synthetic/bprmf", "epochs=4", "embedding_dim=4", "device=cpu", "threads=1"]


def test_a_run_pauses_and_goes_on(recrun: Callable[..., Any]) -> None:
    outcome = recrun("train", *SMALL, "verbose=1", "--until", "2")
    assert outcome.code == 0
    *_, last = outcome.out.splitlines()
    text, _, command = last.partition("; continue with: ")
    assert text == "paused after the evaluation at epoch 2 of 4"
    rows = json.loads(recrun("list", "runs", "--json").out)
    assert [row["status"] for row in rows] == ["paused"]
    assert exit_code_in(RunFolder(rows[0]["run"])) == 0, "a sweep that did not see its process end"
    assert recrun(*command.split()[1:], "-q").code == 0
    rows = json.loads(recrun("list", "runs", "--json").out)
    assert [row["status"] for row in rows] == ["done"]


def test_the_best_evaluation_so_far_is_printed_as_json(recrun: Callable[..., Any]) -> None:
    document = json.loads(recrun("train", *SMALL, "-q", "--until", "1", "--json").out)
    assert document["status"] == "paused"
    assert document["epoch"] == 1
    assert set(document["valid"]) >= {document["which4best"]}


def test_quiet_says_nothing(recrun: Callable[..., Any]) -> None:
    outcome = recrun("train", *SMALL, "-q", "--until", "1")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_a_value_below_a_floor_pauses_a_run(recrun: Callable[..., Any]) -> None:
    Path("floors.json").write_text('{"1": 0.0, "2": 1.0}', encoding="utf-8")
    document = json.loads(recrun("train", *SMALL, "-q", "--floors", "floors.json", "--json").out)
    assert (document["status"], document["epoch"]) == ("paused", 2)


def test_bad_pauses_are_refused_before_anything_starts(recrun: Callable[..., Any]) -> None:
    for given, message in (
        (["--until", "0"], "error: --until must be an epoch, 1 or later, found 0"),
        (["--floors", "none.json"], "error: --floors: cannot read none.json: No such file or directory"),
    ):
        outcome = recrun("train", *SMALL, *given)
        assert (outcome.code, outcome.err.strip()) == (2, message)
        assert outcome.is_untouched


def test_a_run_that_has_paused_there_trains_nothing_and_says_so_again(recrun: Callable[..., Any]) -> None:
    first = recrun("train", *SMALL, "--until", "2")
    history = Path("runs/latest/metrics.jsonl").read_bytes()
    again = recrun("train", "--resume", "runs/latest", "--until", "2")
    assert again.code == 0
    line, line_again = (outcome.out.splitlines()[-1].partition(";")[0] for outcome in (first, again))
    assert line == line_again == "paused after the evaluation at epoch 2 of 4"
    assert Path("runs/latest/metrics.jsonl").read_bytes() == history


def test_a_run_that_is_named_by_its_id_goes_on_from_its_pause(recrun: Callable[..., Any]) -> None:
    whole = json.loads(recrun("train", *SMALL, "-q", "--json", "id=whole").out)
    for until, known in (("1", 2), ("2", 3)):
        document = json.loads(recrun("train", *SMALL, "-q", "--json", "id=a", "resume=true", "--until", until).out)
        assert (document["status"], document["epoch"]) == ("paused", int(until))
        lines = (Path(document["run"]) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        assert sum(json.loads(line)["split"] == "valid" for line in lines) == known
    Path("floors.json").write_text('{"3": 1.0}', encoding="utf-8")
    given = ["id=a", "resume=true", "--floors", "floors.json"]
    assert json.loads(recrun("train", *SMALL, "-q", "--json", *given).out)["epoch"] == 3
    done = json.loads(recrun("train", *SMALL, "-q", "--json", "id=a", "resume=true").out)
    assert len(json.loads(recrun("list", "runs", "--json").out)) == 2
    assert (done["valid"], done["test"], done["best_epoch"]) == (whole["valid"], whole["test"], whole["best_epoch"])


def test_the_profile_of_a_run_that_pauses_is_printed(recrun: Callable[..., Any]) -> None:
    outcome = recrun("train", *SMALL, "-q", "--until", "1", "--profile")
    assert (outcome.code, outcome.out) == (0, "")
    assert "checkpoint" in outcome.err


def test_doctor_and_rm_know_a_run_that_has_paused(recrun: Callable[..., Any]) -> None:
    run = json.loads(recrun("train", *SMALL, "-q", "--until", "1", "--json").out)["run"]
    assert recrun("doctor").code == 0
    outcome = recrun("rm", run, "--yes")
    assert outcome.code == 0, outcome.err
    assert json.loads(recrun("list", "runs", "--json").out) == []


def test_a_run_that_is_done_is_not_asked_to_pause(recrun: Callable[..., Any]) -> None:
    assert recrun("train", *SMALL, "-q").code == 0
    outcome = recrun("train", "--resume", "runs/latest", "--until", "2", "-q")
    assert outcome.code == 2
    assert "is done after 4 epochs and cannot pause" in outcome.err
