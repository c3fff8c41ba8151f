"""Small sweeps that are trained in this process, and the last step of these."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from recrun.cli.main import main
from recrun.sweep.engines.engine import Engine, Job, Outcome
from recrun.sweep.final.run import Finished, Wish, run_final
from recrun.sweep.ledger import Ledger
from recrun.sweep.planning.plan import plan_sweep
from recrun.sweep.run import run_sweep

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "device=cpu", "threads=1", "verbose=0"]
TRAINED = [*SMALL, "epochs=3", "batch_size=128", "embedding_dim=8"]


class InThisProcess(Engine):
    """Runs each job when it is started, in this process."""

    def __init__(self, jobs: int, inherited: Any = ()) -> None:
        super().__init__(jobs, inherited)
        self.commands: list[list[str]] = []
        self._ended: list[Outcome] = []

    def has_room(self) -> bool:
        return not self._ended

    def start(self, job: Job) -> None:
        self.commands.append(list(job.command))
        with job.log.open("a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
            try:
                main(list(job.command)[3:])
            except SystemExit as exit:
                self._ended.append(Outcome(job.index, int(exit.code or 0), 0.1))

    def poll(self) -> list[Outcome]:
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None: ...

    def kill(self) -> None: ...


@pytest.fixture
def swept(tmp_path: Path) -> Callable[..., Path]:
    """Run a sweep, and return its folder."""

    def sweep(*arguments: str, config: str = "bprmf") -> Path:
        given = {each.partition("=")[0]: each for each in (*(TRAINED if config == "bprmf" else SMALL), *arguments)}
        with Ledger(plan_sweep(config, list(given.values())), tmp_path / "runs") as ledger:
            run_sweep(ledger, InThisProcess(1), 1)
        return ledger.folder

    return sweep


@pytest.fixture
def final() -> Callable[..., tuple[Finished, list[list[str]]]]:
    """Make the last step of a sweep, and return what became of it and the commands that were run."""

    def make(folder: Path, **wish: Any) -> tuple[Finished, list[list[str]]]:
        engines: list[InThisProcess] = []

        def engine(jobs: int | None, inherited: Any = ()) -> Engine:
            engines.append(InThisProcess(jobs or 1, inherited))
            return engines[-1]

        found = run_final(folder, Wish(**wish), engine)
        return found, [command for each in engines for command in each.commands]

    return make
