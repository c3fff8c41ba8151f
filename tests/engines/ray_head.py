"""A Ray cluster of one node on this machine, reachable from this machine alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from slurm_cluster import free_port, wait_until

OPTIONS = (
    "--head --block --node-ip-address=127.0.0.1 --num-cpus=2 --include-dashboard=false "
    "--object-store-memory=80000000 --memory=1000000000 --disable-usage-stats"
)


class RayHead:
    """The processes of a cluster with two CPUs.

    Attributes:
        address: what `ray.init` takes.
    """

    def __init__(self) -> None:
        # The paths of sockets may have 107 characters, so they do not lie in pytest's folders.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        # Without the second variable, it would listen to other machines too.
        own = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "OMP_NUM_THREADS": "1"}
        start = [sys.executable, "-m", "ray.scripts.scripts", "start"]
        known = subprocess.run([*start, "--help"], capture_output=True, text=True, check=False).stdout
        saved = ["--include-log-monitor=false"] if "--include-log-monitor" in known else []  # older ones have no choice
        command = [*start, *OPTIONS.split(), *saved]
        self._out = self.folder / "out"
        with open(self._out, "wb") as out:
            self._process = subprocess.Popen(
                [*command, f"--port={port}", f"--temp-dir={self.folder / 'ray'}"],
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it takes tasks."""
        wait_until(lambda: b"Ray runtime started" in self._out.read_bytes(), 90.0, "Ray")

    def workers(self) -> list[int]:
        """Return the ids of its processes that run a task."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdecimal() and b"ray::run_command" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def stop(self) -> None:
        """End its processes."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
