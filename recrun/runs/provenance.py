"""Where a result comes from: code, versions, machine, and what it cost."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from recrun.files import sha256_file
from recrun.registry.user_files import is_file_reference
from recrun.runs.peak_memory import peak_memory

SPLIT: Final = "split"
"""The entry of a data set's hashes that stands for its parts, not for a file."""
_counted: Final = {"wall": time.time(), "cpu": 0.0}
"""Up to where `cost` has told what was used."""
_PACKAGES: Final = ("recrun", "torch", "numpy", "scipy", "polars", "safetensors", "pyyaml")


def environment() -> dict[str, Any]:
    """Return what a run's numbers may depend on besides its config and data."""
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
    """Return what this process used since its start or the last call: wall and CPU seconds, and peak memory in MB."""
    wall, cpu = time.time(), time.process_time()
    spent = {"wall_seconds": round(wall - _counted["wall"], 3), "cpu_seconds": round(cpu - _counted["cpu"], 3)}
    _counted.update(wall=wall, cpu=cpu)
    return {**spent, "peak_memory_mb": round(peak_memory() / (1 << 20), 1)}


def git_state(file: Path) -> dict[str, Any] | None:
    """Return the commit of the clone that holds a file, and what was changed since; None outside a clone.

    Returns:
        "commit"; "dirty", whether tracked files have changes that are not committed; "changes", the SHA-256 of these
        changes, None when there are none.
    """
    try:
        # An installed recrun may lie in somebody else's clone, whose commits say nothing about it.
        _git(file.parent, "ls-files", "--error-unmatch", file.name)
        commit = _git(file.parent, "rev-parse", "HEAD").decode().strip()
        changes = _git(file.parent, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--binary")
    except (OSError, subprocess.SubprocessError):
        return None
    digest = hashlib.sha256(changes).hexdigest() if changes else None
    return {"commit": commit, "dirty": bool(changes), "changes": digest}


def code_hashes(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each Python file of the user's own that the settings name."""
    named = [value for value in settings.values() if isinstance(value, str)]
    named += [name for monitor in settings.get("monitors", ()) for name in (monitor, monitor.rpartition("@")[0])]
    files = {value.rpartition(":")[0] for value in named if is_file_reference(value)}
    return {file: sha256_file(file) for file in sorted(files) if Path(file).is_file()}


def data_differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what is not the same in the data, naming the files; both are the `hashes` of a data set."""
    found = []
    for name in sorted({*before, *now} - {SPLIT}):
        if name not in now:
            found.append(f"the file {name} is not read any more")
        elif name not in before:
            found.append(f"the file {name} was not read then")
        elif before[name] != now[name]:
            found.append(
                f"the file {name} has another content (SHA-256 {before[name][:12]}... then, {now[name][:12]}... now)"
            )
    if not found and before.get(SPLIT) != now.get(SPLIT):
        found.append("its train, valid and test parts, which were made in another way or by another version")
    return found


def _git(folder: Path, *arguments: str) -> bytes:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    # Within a hook, git's own variables would point at another repository.
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
