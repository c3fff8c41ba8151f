"""Provide what the benchmarks share: data, a Coach, clocks, child processes, tables, and the record of targets."""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from recrun.training.coach import Coach

REPOSITORY = Path(__file__).resolve().parent.parent
GOWALLA = {"n_users": 29_858, "n_items": 40_981, "n_interactions": 810_128 + 217_242}
METRICS = [f"{name}@{k}" for name in ("recall", "precision", "hitrate", "ndcg", "mrr", "map") for k in (10, 20)]
RECORD = "RECRUN_BENCH_RECORD"
"""Environment variable: the file that `record` appends to."""
median = statistics.median


def data_root() -> Path:
    """Return the folder of real data sets: RECRUN_DATA, else ../shared/data beside the clone."""
    return Path(os.environ.get("RECRUN_DATA", REPOSITORY.parent / "shared" / "data"))


def gowalla() -> tuple[str, list[str]]:
    """Return the name of the data and the overrides that select it: Gowalla, else synthetic data of its size."""
    if (data_root() / "gowalla" / "train.txt.gz").exists():
        return "Gowalla", ["dataset=Gowalla_m1", f"root={data_root()}", "valid_ratio=0"]
    shares = ["test_ratio=0.21", "valid_ratio=0"]
    sizes = [f"{name}={number}" for name, number in GOWALLA.items()]
    return "synthetic data of Gowalla's size", ["dataset=Synthetic", *sizes, *shares]


@contextmanager
def trained_by(overrides: Sequence[str]) -> Iterator[Coach]:
    """Yield a Coach as `recrun train synthetic/bprmf OVERRIDES` makes it, without reporters, in a temporary folder."""
    from recrun.config.resolve import resolve
    from recrun.workflows.build import prepare

    with tempfile.TemporaryDirectory() as runs:
        resolved = resolve(str(REPOSITORY / "configs" / "synthetic" / "bprmf.yaml"), [*overrides, "verbose=0"])
        yield prepare(resolved, runs=runs, reporters=lambda run, resumed_from: [])


def take_steps(coach: Coach, batches: Iterable[Any]) -> None:
    """Train on some batches."""
    coach.model.train()
    for batch in batches:
        loss = coach.model.training_loss(batch, coach.criterion)
        coach.optimizer.zero_grad()
        loss.backward()
        coach.optimizer.step()


def seconds_of(task: Callable[[], object]) -> float:
    """Return the wall time of a task."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


class Peak:
    """The peak memory of this process above its level at construction, in MB; None where it is not reported."""

    def __init__(self) -> None:
        gc.collect()
        self._before = resident_mb("VmRSS")
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
        except OSError:
            self._before = None

    def mb(self) -> float | None:
        """Return the peak so far."""
        now = resident_mb("VmHWM")
        return None if now is None or self._before is None else max(0.0, now - self._before)


def resident_mb(name: str) -> float | None:
    """Return a size of this process from the kernel: "VmRSS" (resident memory) or "VmHWM" (its peak)."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), None)


class Ended(NamedTuple):
    """The result of a finished child process."""

    seconds: float
    cpu: float
    peak_mb: float
    output: str


def run_child(command: Sequence[str], folder: Path = REPOSITORY, **environment: str) -> Ended:
    """Run a command in a folder and wait for it.

    Raises:
        RuntimeError: it failed; the message holds the end of its output.
    """
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **environment}, cwd=folder
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}:\n{text[-2000:]}")
    return Ended(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)


def recrun(*arguments: str) -> list[str]:
    """Return the command that runs `recrun ARGUMENTS` with this interpreter."""
    return [sys.executable, "-m", "recrun", *arguments]


def python(script: str, *arguments: str) -> list[str]:
    """Return the command that runs a script with this interpreter."""
    return [sys.executable, script, *arguments]


def json_of(output: str) -> Any:
    """Return the JSON document, of one line or several, at the end of an output.

    Raises:
        ValueError: there is none.
    """
    lines = output.strip().splitlines()
    for start in reversed(range(len(lines))):
        if lines[start].startswith(("{", "[")):
            with suppress(ValueError):
                return json.loads("\n".join(lines[start:]))
    raise ValueError(f"no JSON document at the end of: {output[-500:]}")


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the exponent p of the best-fitting power law, values ~ sizes^p."""
    import numpy as np

    return float(np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-9)), 1)[0])


def machine(threads: int | None = None) -> str:
    """Return a line on the machine: cores, load, versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = " ".join(f"{number:.1f}" for number in os.getloadavg())
    versions = ", ".join(f"{name} {_version(name)}" for name in ("torch", "numpy", "polars"))
    with_threads = "" if threads is None else f", {threads} threads used"
    interpreter = f"Python {platform.python_version()} on {platform.machine()}"
    return f"{cores} cores{with_threads}, load {load}, {interpreter}, {versions}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows in columns, numbers right-aligned."""
    shown = [list(head), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(head))]
    is_text = [not rows or isinstance(rows[0][column], str) for column in range(len(head))]
    for row in shown:
        cells = (
            cell.ljust(width) if text else cell.rjust(width)
            for cell, width, text in zip(row, widths, is_text, strict=True)
        )
        print("  ".join(cells).rstrip())


def _shown(cell: Any) -> str:
    if cell is None:
        return "-"
    return (
        f"{cell:.3g}"
        if isinstance(cell, float) and abs(cell) < 100
        else f"{cell:,.0f}"
        if isinstance(cell, float)
        else str(cell)
    )


def record(target: str, measured: float, wanted: str, met: bool, unit: str = "s") -> None:
    """Add a measurement of a target to the table that `make bench` prints at its end, if it is running."""
    if os.environ.get(RECORD):
        entry = {
            "target": target,
            "measured": f"{measured:.3g} {unit}".strip(),
            "wanted": wanted,
            "met": bool(met),
            "load": round(os.getloadavg()[0], 1),
            "script": Path(sys.argv[0]).name,
        }
        with open(os.environ[RECORD], "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def cpu_seconds() -> float:
    """Return the processor time of this process so far, over all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
