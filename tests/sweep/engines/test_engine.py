from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recrun.cli.main import main
from recrun.errors import ConfigError, RegistryError, TrainingError
from recrun.registry import ENGINES, entry_points
from recrun.sweep.engines.engine import choose_engine
from recrun.sweep.engines.local import LocalEngine
from recrun.sweep.ledger import Ledger
from recrun.sweep.run import run_sweep

ONE_BY_ONE = '''
"""An engine that waits for each command."""

import subprocess
import time

from recrun.sweep.engines import Engine, Job, Outcome
from recrun.types import PositiveInt


class OneByOne(Engine):
    """Run each command to its end.

    Args:
        queue: a name, written into every log.
        nodes: how many.
    """

    def __init__(self, jobs, inherited=(), *, queue: str, nodes: PositiveInt = 1) -> None:
        super().__init__(jobs, inherited)
        self.queue, self.ended = queue, []

    def has_room(self) -> bool:
        return not self.ended

    def start(self, job: Job) -> None:
        began = time.monotonic()
        with job.log.open("a") as log:
            log.write(f"queue {self.queue}\\n")
            log.flush()
            code = subprocess.run(job.command, stdout=log, stderr=log).returncode
        self.ended.append(Outcome(job.index, code, time.monotonic() - began))

    def poll(self) -> list[Outcome]:
        ended, self.ended = self.ended, []
        return ended

    def stop(self) -> None:
        pass

    def kill(self) -> None:
        pass


class Unfinished(Engine):
    def has_room(self):
        return True


class Other:
    pass
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder outside the package, with an engine in `mine.py`."""
    (tmp_path / "mine.py").write_text(ONE_BY_ONE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an installed package that adds the engine `one_by_one`."""
    site = tmp_path / "site"
    info = site / "cluster-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cluster\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[recrun.engines]\none_by_one = cluster_engine:OneByOne\n")
    (site / "cluster_engine.py").write_text(ONE_BY_ONE)
    monkeypatch.syspath_prepend(str(site))
    entry_points.find_entry_points.cache_clear()
    yield site
    entry_points.find_entry_points.cache_clear()
    ENGINES._objects.pop("one_by_one", None)
    ENGINES._registered.pop("one_by_one", None)


def _sweep(ledger: Ledger, command: Any, name: str, settings: list[str]) -> str:
    """Run a small sweep on an engine; return the log of its last trial."""
    with ledger:
        engine = choose_engine(name, settings)(1)
        assert run_sweep(ledger, engine, 1, command=command) == 0
    return ledger.log_path(ledger.rows[-1]).read_text()


def test_the_engine_that_is_built_in_is_local() -> None:
    assert "local" in ENGINES.names()
    engine = choose_engine("local")(3, [7])
    assert isinstance(engine, LocalEngine)
    assert (engine.jobs, engine.inherited) == (3, (7,))


def test_a_sweep_runs_on_an_engine_from_a_file_outside_the_package(
    folder: Path, ledger: Callable[..., Ledger], program: Any
) -> None:
    log = _sweep(ledger("lr=1e-3,1e-2"), program("done(0.1)"), "./mine.py:OneByOne", ["queue=long"])
    assert log.startswith("queue long\n")


def test_a_sweep_runs_on_an_engine_of_another_package(
    installed: Path, ledger: Callable[..., Ledger], program: Any
) -> None:
    assert [parameter.name for parameter in ENGINES.describe("one_by_one").parameters] == ["queue", "nodes"]
    log = _sweep(ledger("lr=1e-3,1e-2"), program("done(0.1)"), "one_by_one", ["queue=short"])
    assert log.startswith("queue short\n")


def test_the_settings_of_an_engine_are_checked(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        choose_engine("./mine.py:OneByOne", ["nodes=0", "quue=long"])
    assert [str(fault) for fault in caught.value.faults] == [
        "queue: must be set: engine ./mine.py:OneByOne needs text",
        "--engine-setting 1:7: nodes: expected an integer >= 1, found 0 (an integer)",
        "--engine-setting 2:1: quue: unknown setting; did you mean 'queue'?",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lokal", "unknown engine 'lokal'; did you mean 'local'"),
        ("./mine.py:Other", "is not an Engine: derive it from recrun.sweep.engines.Engine"),
        ("./mine.py:Unfinished", "does not implement kill, poll, start, stop"),
        ("./nothing.py:Mine", "nothing.py"),
    ],
)
def test_what_is_no_engine_is_refused(folder: Path, name: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        choose_engine(name)


def test_an_unknown_engine_is_one_line_and_starts_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["sweep", "bprmf", "lr=1e-2,1e-3", "--engine", "lokal"])
    assert exit.value.code == 2
    assert (
        capsys.readouterr().err == "error: unknown engine 'lokal'; did you mean 'local'? Available: local, ray, slurm\n"
    )
    assert not (folder / "runs").exists()


@pytest.mark.slow
def test_the_command_sweeps_on_an_engine_from_a_file(folder: Path) -> None:
    small = ["n_users=60", "n_items=50", "n_interactions=900", "epochs=1", "batch_size=256", "device=cpu", "threads=1"]
    engine = ["--engine", "./mine.py:OneByOne", "--engine-setting", "queue=long"]
    command = [sys.executable, "-m", "recrun", "sweep", "bprmf", "lr=1e-2,1e-3", *small, *engine, "--json"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env=dict(os.environ))
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["status"] == "done"
    assert (folder / document["sweep"] / "trials" / "1.log").read_text().startswith("queue long\n")


BROKEN = """
from recrun.sweep.engines import Engine


class Broken(Engine):
    \"\"\"Fail in one method.\"\"\"

    def __init__(self, jobs, inherited=(), *, method: str) -> None:
        super().__init__(jobs, inherited)
        self.method = method
        self._enter("__init__")

    def _enter(self, method):
        if self.method == method:
            raise KeyError("queue")

    def has_room(self):
        self._enter("has_room")
        return True

    def start(self, job):
        self._enter("start")

    def poll(self):
        self._enter("poll")
        return ["nonsense"] if self.method == "nonsense" else []

    def stop(self):
        self._enter("stop")

    def kill(self):
        self._enter("kill")
"""


@pytest.mark.parametrize("method", ["__init__", "has_room", "start", "poll", "nonsense"])
def test_an_engine_that_fails_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    (tmp_path / "mine.py").write_text(BROKEN, encoding="utf-8")
    engine = f"{tmp_path / 'mine.py'}:Broken"
    arguments = ["popularity", "seed=1,2", "--engine", engine, "--engine-setting", f"method={method}"]
    with pytest.raises(SystemExit) as exit:
        main(["sweep", *arguments, "--runs", str(tmp_path / "runs"), "-q"])
    said = {
        "__init__": f"engine {engine!r} cannot be made: KeyError: 'queue'",
        "nonsense": "the engine Broken returned from poll() what is no outcome of a running trial: nonsense",
    }
    expected = said.get(method, f"the engine Broken failed in {method}(): KeyError: 'queue'")
    assert capsys.readouterr().err == f"error: {expected}\n"
    assert exit.value.code == (2 if method == "__init__" else 1)


def test_a_sweep_that_watches_the_lease_of_another_host_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(BROKEN, encoding="utf-8")
    engine = ["--engine", f"{tmp_path / 'mine.py'}:Broken", "--engine-setting", "method=start"]
    command = ["sweep", "popularity", "seed=1,2", *engine, "--runs", str(tmp_path / "runs"), "-q"]
    with pytest.raises(SystemExit):
        main(command)
    capsys.readouterr()
    (folder,) = (tmp_path / "runs" / "sweeps").iterdir()
    lease = {"host": "elsewhere", "pid": 4242, "started": "2026-01-01T00:00:00+00:00", "beat": 7}
    lease |= {"machine": "elsewhere its-boot", "token": "theirs", "interval": 0.1}
    (folder / "lease.json").write_text(json.dumps(lease))
    with pytest.raises(SystemExit):
        main(command)
    assert capsys.readouterr().err.startswith(
        "note: watching for 0.3 s whether the sweep still runs elsewhere (process 4242 on elsewhere) since 2026-01-01"
    )


class Broken(LocalEngine):
    """An engine that cannot start anything."""

    def start(self, job: Any) -> None:
        raise ValueError("no queue")


def test_an_engine_that_fails_is_named(ledger: Callable[..., Ledger], program: Any) -> None:
    with ledger("lr=1e-3,1e-2") as ours, pytest.raises(TrainingError) as caught:
        run_sweep(ours, Broken(1), 1, command=program("pass"))
    assert str(caught.value) == "the engine Broken failed in start(): ValueError: no queue"
