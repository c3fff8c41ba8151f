"""`threads=auto` on the command line: what it says, and the commands that take it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.workflows import threads

from .conftest import TINY

AUTO = ["bprmf", *TINY, "epochs=1", "monitors=[ndcg@5]", "which4best=ndcg@5", "device=cpu", "threads=auto"]


@pytest.fixture(autouse=True)
def _faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one thread be the faster of two."""
    monkeypatch.setattr(threads, "all_threads", lambda: 2)
    monkeypatch.setattr(threads, "_step_seconds", lambda coach, numbers: {1: 0.5, 2: 1.25})


def test_a_run_says_which_number_and_why_in_one_line(recrun: Callable[..., Any]) -> None:
    outcome = recrun("train", *AUTO)
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("threads: 1, by the time of a training step: 500 ms with 1 and 1.25 s with 2") == 1
    record = json.loads(Path("runs/latest/run.json").read_text(encoding="utf-8"))
    assert record["threads"]["step_seconds"] == {"1": 0.5, "2": 1.25}
    assert "threads: auto" in Path("runs/latest/config.yaml").read_text(encoding="utf-8")


def test_what_is_done_with_a_run_takes_auto(recrun: Callable[..., Any]) -> None:
    assert recrun("train", *AUTO, "verbose=0").code == 0
    assert recrun("eval", "--checkpoint", "runs/latest", "threads=auto").code == 0
    assert recrun("recommend", "--checkpoint", "runs/latest", "threads=auto", "--json").code == 0
    for given in ([], ["threads=auto"]):
        outcome = recrun("reproduce", "runs/latest", "-q", *given)
        assert outcome.code == 0, outcome.err


def test_a_value_that_is_neither_is_refused(recrun: Callable[..., Any]) -> None:
    for value, shown in (("all", "'all' (text)"), ("0", "0 (an integer)"), ("[auto]", "['auto'] (a list)")):
        outcome = recrun("train", *AUTO[:-1], f"threads={value}")
        assert outcome.code == 2
        assert f"threads: expected an integer >= 1 or auto or null, found {shown}" in outcome.err
        assert outcome.is_untouched


def test_the_schema_has_it(recrun: Callable[..., Any]) -> None:
    schema = json.loads(recrun("schema").out)
    kinds = [{"type": "integer", "minimum": 1}, {"enum": ["auto"]}, {"type": "null"}]
    assert schema["properties"]["threads"]["anyOf"] == kinds
