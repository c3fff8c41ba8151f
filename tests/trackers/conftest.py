"""Real trackers: an MLflow server on this machine, W&B offline, Trackio in files.

They take packages that recrun does not need, so these files are collected only by `make test-trackers`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

collect_ignore_glob = [] if os.environ.get("RECRUN_TEST_TRACKERS") else ["test_*.py"]

SMALL = [
    "n_users=60",
    "n_items=40",
    "n_interactions=900",
    "batch_size=128",
    "embedding_dim=8",
    "monitors=[ndcg@5]",
    "which4best=ndcg@5",
    "device=cpu",
    "threads=1",
    "verbose=1",
    "plots=false",
]

GATE = '''
import time
from pathlib import Path

from recrun.training.reporter import Reporter


class Gate(Reporter):
    """Hold the run after its third epoch until a file is there.

    Args:
        gate: the file.
    """

    def __init__(self, run, settings, resumed_from, *, gate: str) -> None:
        self.file = Path(gate)

    def trained(self, epoch, values, seconds):
        while epoch == 3 and not self.file.exists():
            time.sleep(0.05)
'''


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


def wait_until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait until a condition holds; fail if it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.1)


class MlflowServer:
    """An MLflow server that can be stopped and started again, with what it has stored."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers some seconds later."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/runs.db", "--workers", "1"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with open(self.folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **quiet}, start_new_session=True
            )

    def wait(self) -> None:
        """Wait until it answers."""
        wait_until(self._answers, 120.0)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        """Kill it and the workers that it started."""
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    server.wait()
    yield server
    server.kill()


@dataclass
class Workplace:
    """A folder in which runs are trained, each by a process of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command of recrun."""
        command = [sys.executable, "-m", "recrun", *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=pipe,
            stderr=pipe,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def run(self, *words: str, code: int = 0) -> tuple[str, str]:
        """Run a command of recrun to its end, and return what it printed."""
        process = self.start(*words)
        out, err = process.communicate(timeout=200)
        assert process.returncode == code, err
        return out, err

    @property
    def run_folder(self) -> Path:
        """The folder of the run called `one`."""
        return self.folder / "runs" / "mine" / "Synthetic" / "one"

    def record(self, tracker: str) -> dict[str, Any]:
        """Return what the run folder says about a tracker."""
        file = self.run_folder / "track" / f"{tracker}.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    def sent(self, tracker: str) -> int:
        """Return the last epoch of training that a tracker was sent."""
        return int(self.record(tracker).get("sent", {}).get("train", -1))

    def gated(self) -> list[str]:
        """Return the word that puts the gate beside a tracker, as `track=[NAME,{}]`, and the setting of its file."""
        (self.folder / "gate.py").write_text(GATE, encoding="utf-8")
        return ["./gate.py:Gate", f"gate={self.folder}/open"]

    def open_gate(self) -> None:
        """Let a run go on that is held after its third epoch."""
        (self.folder / "open").touch()


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    """A workplace with no tracker of the user's."""
    left = {name: text for name, text in os.environ.items() if not name.startswith(("MLFLOW_", "WANDB_", "TRACKIO_"))}
    extra = {"OMP_NUM_THREADS": "1", "TRACKIO_DIR": str(tmp_path / "trackio"), "WANDB_MODE": "offline"}
    return Workplace(tmp_path, {**left, **extra, "HOME": str(tmp_path)})
