"""Find what still runs of a sweep: its own process, here or on another host, and its trials on whatever engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from recrun.errors import ConfigError
from recrun.files import is_held
from recrun.sweep.engines.exit_file import read_ended, read_submitted
from recrun.sweep.engines.slurm_commands import ENDED, ask
from recrun.sweep.locks.lease import read_lease
from recrun.sweep.locks.machine import host_of


class RunningTrials:
    """What is known to run of a sweep, and what may run although that cannot be told from here.

    Args:
        folder: the sweep's folder.

    Attributes:
        is_running: whether a process runs the sweep or its last step.
        known: the reason, by the name of a trial's files in the folder `trials` ("3", "final-<digest>-0").
        possible: likewise for trials that cannot be asked about.
        holder: who may run the sweep, by a lease that cannot be checked from here; "" if nobody.
    """

    def __init__(self, folder: Path) -> None:
        self.is_running = is_held(folder / "lock")
        self.known: dict[str, str] = {}
        self.possible: dict[str, str] = {}
        self.holder = "" if self.is_running else _holder(folder)
        self._look(folder)

    def _look(self, folder: Path) -> None:
        jobs: dict[str, str] = {}
        for log in _logs(folder / "trials"):
            if is_held(log.with_suffix(".lock")):
                self.known[log.stem] = f"its trial is running ({log.with_suffix('.lock')})"
            submitted = read_submitted(log)
            if submitted is not None and read_ended(log, submitted.name) is None:
                jobs[log.stem] = submitted.name
        if not jobs:
            return
        try:
            going = {each.name for each in ask(jobs.values()) if each.state not in ENDED}
        except ConfigError:  # there is no Slurm here, or it cannot say
            self.possible |= {stem: f"its trial may be running as the Slurm job {name}" for stem, name in jobs.items()}
        else:
            self.known |= {
                stem: f"its trial waits or runs as the Slurm job {name}" for stem, name in jobs.items() if name in going
            }


def _logs(trials: Path) -> Iterator[Path]:
    """Yield the path of the log of each trial that has a lock or a job, whether that is there or not."""
    try:
        names = os.listdir(trials)
    except OSError:
        return
    for stem in dict.fromkeys(name.rpartition(".")[0] for name in names if name.endswith((".lock", ".job"))):
        yield trials / f"{stem}.log"


def _holder(folder: Path) -> str:
    """Return who may run a sweep whose lock is not seen from here, by its lease; "" if nobody."""
    try:
        lease = read_lease(folder / "lease.json")
    except OSError:
        return ""
    return "" if lease is None or lease.is_of_a_dead_process else f"process {lease.pid} on {host_of(lease.machine)}"
