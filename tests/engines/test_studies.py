"""Studies on real engines: some of their trials crash, and the sweep and its workers are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray_head import RayHead
from slurm_cluster import SlurmCluster, wait_until

N_TRIALS = 40
N_EPOCHS = 3
PARENT_DIES_AT = (2, 5, 8, 11, 14)
WORKER_DIES_AT = (4, 10)

SABOTAGE = '''
import hashlib
import os
import signal
import time
from pathlib import Path

from recrun.training.reporter import Reporter


class Sabotage(Reporter):
    """Kill a tenth of the trials after their second epoch, once each; note every epoch that is trained.

    Args:
        notes: the folder of notes.
    """

    def __init__(self, run, settings, resumed_from, *, notes: str) -> None:
        self.notes, self.trial = Path(notes), repr(settings["lr"])

    def trained(self, epoch, values, seconds):
        with open(self.notes / "trained", "a") as file:
            file.write(f"{self.trial} {epoch} {os.getpid()}\\n")
        time.sleep(0.4)  # so that kills come between epochs too
        if epoch == 2 and hashlib.sha256(self.trial.encode()).digest()[0] < 26:
            try:
                (self.notes / f"{self.trial}.crashed").touch(exist_ok=False)
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)
'''

CONFIG = """
description: engines
dataset: Synthetic
model: bprmf
loss: bpr
n_users: 60
n_items: 40
n_interactions: 900
batch_size: 256
embedding_dim: 8
epochs: {epochs}
eval_freq: 1
checkpoint_freq: 1
monitors: [ndcg@5]
which4best: ndcg@5
device: cpu
threads: 1
plots: false
"""


class Study:
    """A sweep in a folder of its own."""

    def __init__(self, folder: Path, engine: str, settings: list[str], n_trials: int = N_TRIALS) -> None:
        self.n_trials = n_trials
        self.folder, self.notes = folder, folder / "notes"
        self.notes.mkdir()
        (folder / "sabotage.py").write_text(SABOTAGE)
        (folder / "study.yaml").write_text(CONFIG.format(epochs=N_EPOCHS))
        rates = ",".join(f"{0.001 + 0.0005 * index:.4f}" for index in range(n_trials))
        track = ["track=[./sabotage.py:Sabotage]", f"notes={self.notes}"]
        options = ["--engine", engine, "--jobs", "2", "--retries", "3", "--json", "-q"]
        options += [word for each in settings for word in ("--engine-setting", each)]
        self.command = [sys.executable, "-m", "recrun", "sweep", "study.yaml", f"lr={rates}", *track, *options]

    def start(self) -> subprocess.Popen[str]:
        """Start the sweep, or go on with it."""
        return subprocess.Popen(
            self.command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def records(self) -> list[dict[str, Any]]:
        """Return the record of every run."""
        found = []
        for file in self.folder.glob("runs/engines/Synthetic/*/run.json"):
            found.append({**json.loads(file.read_text()), "path": file.parent})
        return found

    def n_done(self) -> int:
        """Return how many runs are done."""
        return sum(record["status"] == "done" for record in self.records())

    def is_training(self) -> bool:
        """Return whether a run is going on."""
        return any(record["status"] == "running" for record in self.records())


def run_through(study: Study, kill_worker: Callable[[], bool]) -> dict[str, Any]:
    """Run a study to its end, killing its process five times and a worker twice; return what it printed."""
    to_die, workers = list(PARENT_DIES_AT), list(WORKER_DIES_AT)
    process = study.start()
    until = time.monotonic() + 400
    while True:
        assert time.monotonic() < until, "the study took too long"
        done = study.n_done()
        if to_die and done >= to_die[0] and study.is_training():
            process.kill()
            process.communicate()
            del to_die[0]
            process = study.start()
        elif workers and done >= workers[0] and kill_worker():
            del workers[0]
        elif process.poll() is not None:
            break
        time.sleep(0.1)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert (to_die, workers) == ([], [])
    document: dict[str, Any] = json.loads(out)
    return document


def check(study: Study, document: dict[str, Any]) -> None:
    """Check that every trial is done exactly once, and that no epoch of it is missing or there twice."""
    assert document["status"] == "done"
    assert [trial["status"] for trial in document["trials"]] == ["done"] * study.n_trials
    done = [record for record in study.records() if record["status"] == "done"]
    rates = Counter(config_of(record["path"])["lr"] for record in done)
    assert len(rates) == study.n_trials
    assert set(rates.values()) == {1}
    assert {Path(study.folder, trial["run"]) for trial in document["trials"]} == {record["path"] for record in done}
    for record in done:
        lines = [json.loads(line) for line in (record["path"] / "metrics.jsonl").read_text().splitlines()]
        trained = [line["epoch"] for line in lines if line["split"] == "train"]
        assert trained == list(range(1, N_EPOCHS + 1)), record["path"]
    crashes = list(study.notes.glob("*.crashed"))
    assert crashes
    noted = Counter(tuple(line.split()[:2]) for line in (study.notes / "trained").read_text().splitlines())
    again = sum(count - 1 for count in noted.values())
    runs = len(study.records())
    print(f"{study.n_trials} trials done in {runs} runs; {len(crashes)} crashed, {again} epochs were trained again")
    # What is trained again is what a kill took: at most an attempt for each crash, worker and kill of the sweep.
    assert again <= N_EPOCHS * (len(crashes) + len(WORKER_DIES_AT) + 2 * len(PARENT_DIES_AT))


def config_of(run: Path) -> dict[str, str]:
    """Return the settings of a run, as text."""
    lines = (run / "config.yaml").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith(" "))


def test_a_study_on_slurm_loses_and_repeats_nothing(slurm: SlurmCluster, tmp_path: Path) -> None:
    study = Study(tmp_path, "slurm", ["mem_gb=0.9", "timeout_min=30", "poll_seconds=1"])

    def kill_worker() -> bool:
        running = slurm.run("squeue", "-h", "-t", "RUNNING", "-o", "%i").split()
        found = [pid for job in running[:1] for pid in slurm.processes_of(job)]
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return bool(found)

    check(study, run_through(study, kill_worker))
    wait_until(lambda: not slurm.run("squeue", "-h").strip(), what="the last job")


def test_a_study_on_ray_loses_and_repeats_nothing(ray_head: RayHead, tmp_path: Path) -> None:
    study = Study(tmp_path, "ray", [f"address={ray_head.address}"])

    def kill_worker() -> bool:
        for pid in ray_head.workers()[:1]:
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    check(study, run_through(study, kill_worker))


def test_a_study_on_this_machine_loses_and_repeats_nothing(tmp_path: Path) -> None:
    study = Study(tmp_path, "local", [], n_trials=20)

    def kill_worker() -> bool:
        for file in sorted(study.folder.glob("runs/sweeps/*/trials/*.lock"), key=lambda file: -file.stat().st_mtime):
            pid = json.loads(file.read_text() or "{}").get("pid")
            if pid and Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    check(study, run_through(study, kill_worker))


@pytest.mark.parametrize("settings", [["partition=nowhere"], ["cpus_per_task=64"], ["mem_gb=999"]])
def test_what_slurm_would_not_accept_is_one_line_before_anything_starts(
    slurm: SlurmCluster, tmp_path: Path, settings: list[str]
) -> None:
    study = Study(tmp_path, "slurm", settings)
    process = study.start()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("error: engine slurm: Slurm would not accept a trial: ")
    assert err.count("\n") == 1
    assert study.records() == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["num_cpus=64"], "a trial needs 64 CPUs and 0 GPUs, and no node has that; the largest have 2 CPUs and 0 GPUs"),
        (["num_gpus=1"], "a trial needs 1 CPUs and 1 GPUs, and no node has that; the largest have 2 CPUs and 0 GPUs"),
        (["address=127.0.0.1:1"], "nobody answers at 127.0.0.1:1 ([Errno 111] Connection refused); start a cluster "),
    ],
)
def test_what_ray_has_no_room_for_is_one_line_before_anything_starts(
    ray_head: RayHead, tmp_path: Path, settings: list[str], message: str
) -> None:
    here = [] if settings[0].startswith("address=") else [f"address={ray_head.address}"]
    study = Study(tmp_path, "ray", [*here, *settings])
    process = study.start()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.startswith(f"error: engine ray: {message}")
    assert err.count("\n") == 1
    assert study.records() == []
