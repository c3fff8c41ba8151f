"""Runs of `recrun train` in processes of their own: what they measured, and how far that may differ."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.training.parallel.ranks import run_ranks

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


_ALL = """
import json
from pathlib import Path
from recrun.config.resolve import resolve
from recrun.workflows import build, train_together
Processes.join = classmethod(lambda kind: processes)  # they have joined
for name, (arguments, shards) in json.loads({cases!r}).items():
    processes.tables = None
    resolved = resolve(arguments[0], [*arguments[1:], "plots=false"])
    about = {{"runs": Path({runs!r}) / name, "run": None, "latest": False, "verbose": 0}}
    if processes.n == 1:
        build.prepare(resolved, **about).fit()
        continue
    coach = train_together.take_part(resolved, shards=shards, **about)
    if coach is not None:
        coach.fit()
"""


def train_all(runs: Path, n: int, cases: Mapping[str, tuple[Sequence[str], bool]]) -> dict[str, Values]:
    """Return what n processes measure in some runs, which they train one after the other.

    Args:
        runs: a folder for them.
        n: how many processes.
        cases: the arguments of each run by its name, and whether tables are divided.
    """
    ranks = run_ranks(_ALL.format(cases=json.dumps(cases), runs=str(runs)), n)
    assert [code for code, _ in ranks] == [0] * n, ranks
    return {name: measured(runs / name) for name in cases}


def measured(runs: Path) -> Values:
    """Return what the one run in a folder has measured: epoch, split and values of each line."""
    lines = [json.loads(line) for file in runs.glob("*/*/*/metrics.jsonl") for line in file.read_text().splitlines()]
    return [(line["epoch"], line["split"], line["values"]) for line in lines]


def require_equal(found: Values, expected: Values, metric_bound: float = 0.0, about: str = "") -> None:
    """Check that two runs measured the same: losses to LOSS_BOUND, metrics to a bound."""
    assert [line[:2] for line in found] == [line[:2] for line in expected], about
    for (epoch, split, ours), (_, _, theirs) in zip(found, expected, strict=True):
        for name, value in theirs.items():
            bound = max(LOSS_BOUND, metric_bound) if name == "loss" else metric_bound
            assert ours[name] == pytest.approx(value, rel=bound, abs=0), (about, epoch, split, name)


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
