"""`recrun new model` and `recrun check`: from nothing to a model that is tried and trained."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_a_new_model_trains_and_passes_its_own_test(recrun: Callable[..., Any], tmp_path: Path) -> None:
    outcome = recrun("new", "model", "my_mf", "--json")
    assert json.loads(outcome.out)["files"] == ["my_mf.py", "my_mf.yaml", "test_my_mf.py"]
    assert recrun("train", "./my_mf.yaml", "epochs=1", "n_interactions=9000", "-q").code == 0
    assert list((tmp_path / "runs/my_mf/Synthetic").glob("*/metrics.json"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_mf.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_nothing_is_overwritten(recrun: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "my_mf.yaml").write_text("mine", encoding="utf-8")
    outcome = recrun("new", "model", "my_mf")
    assert outcome.code == 2
    assert "file exists: my_mf.yaml; choose another name" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["my_mf.yaml"]
    assert (tmp_path / "my_mf.yaml").read_text(encoding="utf-8") == "mine"


def test_a_name_that_cannot_be_a_module_or_hides_one_is_refused(recrun: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("My-MF", "9x", "class", "../x", "", "torch", "json"):
        outcome = recrun("new", "model", name)
        assert outcome.code == 2, name
    assert list(tmp_path.iterdir()) == []


def test_check_says_which_rule_is_broken(recrun: Callable[..., Any]) -> None:
    outcome = recrun("check", "random")
    assert outcome.code == 1
    assert "BROKEN  better than chance: " in outcome.out
    assert "random follows 8 of 9 rules" in outcome.out
    document = json.loads(recrun("check", "random", "--json").out)
    assert (document["model"], document["ok"], len(document["rules"])) == ("random", False, 9)
    broken = [rule for rule in document["rules"] if not rule["ok"]]
    assert [rule["rule"] for rule in broken] == ["better than chance"]
    assert "held-out items" in broken[0]["message"]


def test_check_is_exit_code_0_when_all_is_kept_and_2_when_there_is_no_such_model(recrun: Callable[..., Any]) -> None:
    assert recrun("check", "popularity").code == 0
    outcome = recrun("check", "popularty")
    assert (outcome.code, outcome.out) == (2, "")
    assert recrun("check", "bprmf", "lr").code == 2
    assert recrun("check", "./nowhere.py:Model").code == 2
