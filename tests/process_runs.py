"""Runs of `recrun train` in processes of their own: what they measured, and how far that may differ."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LOSS_BOUND = 1e-6
"""How much losses may differ, relatively: float32 sums in another order, over the steps of these runs."""

Values = list[tuple[int, str, dict[str, float]]]


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start `recrun train`."""
    command = [sys.executable, "-m", "recrun", "train", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code and the errors of a command, once it has ended."""
    try:
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, errors


def train(runs: Path, n: int, *arguments: str) -> Values:
    """Return what n processes measure in a run."""
    code, errors = end(start(*arguments, "--no-plots", "--runs", str(runs), "--processes", str(n)))
    assert code == 0, errors
    return measured(runs)


def measured(runs: Path) -> Values:
    """Return what the one run in a folder has measured: epoch, split and values of each line."""
    lines = [json.loads(line) for file in runs.glob("*/*/*/metrics.jsonl") for line in file.read_text().splitlines()]
    return [(line["epoch"], line["split"], line["values"]) for line in lines]


def require_equal(found: Values, expected: Values, metric_bound: float = 0.0) -> None:
    """Check that two runs measured the same: losses to LOSS_BOUND, metrics to a bound."""
    assert [line[:2] for line in found] == [line[:2] for line in expected]
    for (epoch, split, ours), (_, _, theirs) in zip(found, expected, strict=True):
        for name, value in theirs.items():
            bound = max(LOSS_BOUND, metric_bound) if name == "loss" else metric_bound
            assert ours[name] == pytest.approx(value, rel=bound, abs=0), (epoch, split, name)


def rank_of(parent: int, rank: int) -> int:
    """Return the process id of a rank."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    for child in map(int, children):
        if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return child
    raise AssertionError(f"no process has rank {rank}")


def is_running(process: int) -> bool:
    """Return whether a process has not ended; what no one waits for may stay in the table as a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
