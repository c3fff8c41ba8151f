"""`recrun new` and `recrun check`: from nothing to a component that is tried and trained."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.workflows.new_files import KINDS, write_new


def test_new_files_do_what_is_printed_and_pass_their_own_tests(recrun: Callable[..., Any], tmp_path: Path) -> None:
    for kind in KINDS:
        name = f"my_{kind}"
        document = json.loads(recrun("new", kind, name, "--json").out)
        more = [f"{name}.txt"] if kind == "dataset" else []
        assert document["files"] == [f"{name}.py", f"{name}.yaml", f"test_{name}.py", *more]
        train, *others, test = document["next"]
        assert (train, test) == (f"recrun train ./{name}.yaml", f"pytest test_{name}.py")
        smaller = [] if kind == "dataset" else ["n_interactions=9000"]
        assert recrun("train", f"./{name}.yaml", "epochs=1", "-q", *smaller).code == 0
        assert list((tmp_path / "runs").glob(f"{name}/*/*/metrics.json"))
        for line in others if kind != "model" else []:  # its own test checks the model too
            assert recrun(*line.split()[1:]).out.startswith(f"{kind} ./{name}.py:")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--no-cache", "--config", str(Path(__file__).parent.parent.parent / "pyproject.toml"), "."]
    for rules in (["check", "--select", "E,F,W,B"], ["format", "--check"]):
        done = subprocess.run([*ruff, *rules, *options], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_where_nothing_can_be_written_one_line_names_the_file_and_nothing_is_left(
    recrun: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(ConfigError, match=r"full/mine.py cannot be written: File too large$"):
            write_new("model", "mine", tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list((tmp_path / "full").iterdir()) == []


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
    assert "random follows 11 of 12 rules" in outcome.out
    document = json.loads(recrun("check", "random", "--json").out)
    assert (document["model"], document["ok"], len(document["rules"])) == ("random", False, 12)
    broken = [rule for rule in document["rules"] if not rule["ok"]]
    assert [rule["rule"] for rule in broken] == ["better than chance"]
    assert "held-out items" in broken[0]["message"]


def test_check_is_exit_code_0_when_all_is_kept_and_2_when_there_is_no_such_model(recrun: Callable[..., Any]) -> None:
    assert recrun("check", "popularity").code == 0
    outcome = recrun("check", "popularty")
    assert (outcome.code, outcome.out) == (2, "")
    assert recrun("check", "bprmf", "lr").code == 2
    assert recrun("check", "./nowhere.py:Model").code == 2
