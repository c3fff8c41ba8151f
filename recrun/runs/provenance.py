"""Record where a result comes from: code, versions, machine, data and cost."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from recrun.errors import CheckpointError
from recrun.files import sha256_file
from recrun.registry.user_files import code_named_in, was_run_here
from recrun.runs.peak_memory import peak_memory

SPLIT: Final = "split"
"""The entry of a data set's hashes for its train, valid and test parts; the others are for files."""
_counted: Final = {"wall": time.time(), "cpu": 0.0}
"""The clocks at the last call of `cost`."""
_PACKAGES: Final = ("recrun", "torch", "numpy", "scipy", "polars", "safetensors", "pyyaml")


def environment() -> dict[str, Any]:
    """Return what results may depend on besides config and data: code, versions, hardware and command line."""
    import torch

    return {
        "argv": sys.argv,
        "working_folder": os.getcwd(),
        "git": git_state(Path(__file__)),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "hardware": {
            "machine": platform.machine(),
            "system": f"{platform.system()} {platform.release()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        },
    }


def cost() -> dict[str, float]:
    """Return the wall and CPU seconds used since the start or the last call, and the process's peak memory in MB."""
    wall, cpu = time.time(), time.process_time()
    spent = {"wall_seconds": round(wall - _counted["wall"], 3), "cpu_seconds": round(cpu - _counted["cpu"], 3)}
    _counted.update(wall=wall, cpu=cpu)
    return {**spent, "peak_memory_mb": round(peak_memory() / (1 << 20), 1)}


def git_state(file: Path) -> dict[str, Any] | None:
    """Return the state of the git clone that holds a file, or None if the file is not tracked in one.

    Returns:
        "commit"; "dirty", whether tracked files have uncommitted changes; "changes", the SHA-256 of these changes, or
        None if there are none.
    """
    try:
        # recrun may be installed inside the clone of another project, whose commits say nothing about recrun.
        _git(file.parent, "ls-files", "--error-unmatch", file.name)
        commit = _git(file.parent, "rev-parse", "HEAD").decode().strip()
        changes = _git(file.parent, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--binary")
    except (OSError, subprocess.SubprocessError):
        return None
    digest = hashlib.sha256(changes).hexdigest() if changes else None
    return {"commit": commit, "dirty": bool(changes), "changes": digest}


def code_hashes(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each of the user's own Python files that the settings name."""
    files = {file for _, file in code_named_in(settings)}
    return {file: sha256_file(file) for file in sorted(files) if Path(file).is_file()}


def refuse_strange_code(who: str, settings: Mapping[str, Any], *, named: Collection[str], trust: bool) -> None:
    """Check that a run or checkpoint, which may be a stranger's, names only code that the user has chosen to run.

    Args:
        who: the run or checkpoint, as the subject of "names code".
        settings: its settings.
        named: the keys that the user has given.
        trust: whether the user has said to trust it.

    Raises:
        CheckpointError: it names a file that this user has not run before.
    """
    for key, file in code_named_in(settings):
        if not trust and key not in named and not was_run_here(file):
            value = settings[key]
            text = f"[{','.join(map(str, value))}]" if isinstance(value, (list, tuple)) else value
            raise CheckpointError(
                f"{who} names code that you have not run here before: {key}={text}; if you trust it, add --trust, or "
                f"name it yourself: {key}={text}"
            )


def data_differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the differences between two versions of a data set, given its `hashes` then and now, naming the files."""
    found = []
    for name in sorted({*before, *now} - {SPLIT}):
        if name not in now:
            found.append(f"the file {name} is no longer read")
        elif name not in before:
            found.append(f"the file {name} was not read before")
        elif before[name] != now[name]:
            found.append(f"the file {name} has changed (SHA-256 {before[name][:12]}... then, {now[name][:12]}... now)")
    if not found and before.get(SPLIT) != now.get(SPLIT):
        found.append("its train, valid and test parts differ (made with other settings or by another version)")
    return found


def _git(folder: Path, *arguments: str) -> bytes:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    # Inside a git hook, these variables would point to another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(command, capture_output=True, check=True, timeout=10, env=environment).stdout


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
