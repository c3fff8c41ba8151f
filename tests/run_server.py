"""Start `recrun` commands in processes of their own, and find the runs that they make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


class Server:
    """Runs `recrun` commands, each in a process of its own; see process_server.py."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "output.txt"
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "process_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "RECRUN_CACHE": str(folder / "cache")},
        )

    def start(self, *argv: str, die: dict[str, Any] | None = None, terminal: str | None = None) -> int:
        """Start a command, on a terminal if one is named, and return its process id; `finish` must follow."""
        self._send(json.dumps({"argv": argv, "output": str(self.output), "die": die, "terminal": terminal}))
        return int(self._answer()["pid"])

    def finish(self) -> int:
        """Wait for the command that runs, and return its exit code (-N for signal N)."""
        self._send("")
        return int(self._answer()["code"])

    def run(self, *argv: str, die: dict[str, Any] | None = None) -> int:
        """Run a command to its end."""
        self.start(*argv, die=die)
        return self.finish()

    def text(self) -> str:
        """Return what the last command printed."""
        return self.output.read_text(encoding="utf-8")

    def close(self) -> None:
        """End the server."""
        self._process.communicate()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def the_run(runs: Path) -> Path:
    """Return the only run below a folder."""
    (run,) = all_runs(runs)
    return run


def all_runs(runs: Path) -> list[Path]:
    """Return the runs below a folder, without what is still being made and without links to runs."""
    while True:
        try:
            found = [run.relative_to(runs) for run in runs.glob("*/*/*")]
            return [runs / run for run in found if not any(part.startswith((".", "latest")) for part in run.parts)]
        except FileNotFoundError:  # the link to the latest run was being replaced
            continue


def wait_until(condition: Any) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.01)
