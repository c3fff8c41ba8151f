"""The engines of clusters where there is no cluster; `tests/engines` runs them on real ones."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from threading import Timer

import pytest

from recrun.errors import ConfigError
from recrun.registry import ENGINES
from recrun.sweep.engines.engine import choose_engine
from recrun.sweep.engines.ray_task import reads, run_command


@pytest.mark.parametrize(("engine", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_an_engine_whose_package_is_not_installed_is_one_line(
    monkeypatch: pytest.MonkeyPatch, engine: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ConfigError) as refused:
        choose_engine(engine)(1)
    expected = (
        f"the engine {engine} needs the package {package}, which is not installed: pip install 'recrun[{engine}]'"
    )
    assert str(refused.value) == expected


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://head:10001", "ray://head:10001: run the sweep on a node of the cluster, without a Ray client"),
        ("head", "expected HOST:PORT or auto, found 'head'; start one with 'ray start --head', or set address"),
        ("auto", "no cluster runs on this machine; start one with 'ray start --head', or set address"),
    ],
)
def test_an_address_without_a_cluster_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, message: str
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(ConfigError) as refused:
        choose_engine("ray", {"address": address})(1)
    assert str(refused.value) == f"engine ray: {message}"


def test_the_settings_of_clusters_are_checked_all_together() -> None:
    with pytest.raises(ConfigError) as refused:
        choose_engine("slurm", ["timeout_min=0", "partitions=gpu", "mem_gb=lots"])
    assert [str(fault) for fault in refused.value.faults] == [
        "--engine-setting 1:13: timeout_min: expected an integer >= 1, found 0 (an integer)",
        "--engine-setting 2:1: partitions: unknown setting; did you mean 'partition'?",
        "--engine-setting 3:8: mem_gb: expected a number > 0 or null, found 'lots' (text)",
    ]
    assert {"local", "slurm", "ray"} <= set(ENGINES.names())


def test_a_task_appends_to_the_log_in_the_folder_it_is_given_and_returns_the_exit_code(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_text("before\n")
    code = "import os; print(os.environ['MINE'], os.getcwd(), flush=True); raise SystemExit(5)"
    found = run_command([sys.executable, "-c", code], {"MINE": "x"}, str(tmp_path), str(log), str(tmp_path / "0.stop"))
    assert found[0] == 5
    assert found[2] == ""
    assert log.read_text() == f"before\nx {os.path.realpath(tmp_path)}\n"


def test_a_task_asks_its_command_to_end_once_the_file_is_there(tmp_path: Path) -> None:
    log, stop = tmp_path / "0.log", tmp_path / "0.stop"
    code = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(130)); print('ready'); time.sleep(20)"
    begun = time.monotonic()
    Timer(0.5, stop.touch).start()
    found = run_command([sys.executable, "-S", "-c", code], {}, str(tmp_path), str(log), str(stop))
    assert found[0] == 130
    assert time.monotonic() - begun < 10
    # A task that waited until it was asked to end does not begin.
    found = run_command([sys.executable, "-c", "open('began', 'w')"], {}, str(tmp_path), str(log), str(stop))
    assert found[0] == -signal.SIGTERM
    assert not (tmp_path / "began").exists()


def test_a_task_says_that_its_command_cannot_be_started(tmp_path: Path) -> None:
    found = run_command(["/no/such/program"], {}, str(tmp_path), str(tmp_path / "0.log"), str(tmp_path / "0.stop"))
    assert found[0] is None
    assert found[2].startswith("cannot be started: ")


def test_a_node_that_does_not_see_a_file_is_told_from_one_that_does(tmp_path: Path) -> None:
    file = tmp_path / "probe"
    file.write_text("secret")
    assert reads(str(file), "secret")
    assert not reads(str(file), "another")
    assert not reads(str(tmp_path / "elsewhere"), "secret")
