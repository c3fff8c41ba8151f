"""The Coach of a run that several processes train: it decides what is done, and writes the run.

The others do as they are told (`recrun.training.parallel.follow`). What they are told is a state with the key "do".
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from torch import Tensor

from recrun.config.monitor_names import LOSS
from recrun.training.coach import Coach
from recrun.training.loader import Loader
from recrun.training.parallel.process_group import Processes, ProcessLost
from recrun.training.parallel.step import SharedSteps
from recrun.training.run_record import how_to_continue
from recrun.training.run_settings import RunSettings

RESTORED: Final = ("model", "optimizer", "lr_scheduler", "average")
"""What other processes are told of the parts of a run, and in which order they take it."""


class LeadingCoach(Coach):
    """Trains and evaluates as `Coach` does, with other processes that each take a share of the rows and users.

    Args:
        processes: this process, which leads, and the others.
        **parts: what `Coach` takes.
    """

    def __init__(self, *, processes: Processes, **parts: Any) -> None:
        super().__init__(**parts)
        self.processes, self.n_processes = processes, processes.n
        self._is_evaluating = False

    def check(self, cfg: Any, monitors: Sequence[str], *, is_new: bool = True) -> None:
        super().check(cfg, monitors, is_new=is_new)
        self._shared = SharedSteps(self, self.processes, self._take_loss)

    def _take(self, settings: RunSettings) -> None:
        super()._take(settings)
        self.evaluator.processes = self.processes

    def fit(self) -> dict[str, Any]:
        """Train to the end as `Coach.fit` does; then the other processes end too.

        Raises:
            ProcessLost: another process ended.
        """
        try:
            return super().fit()
        finally:
            # Others that still rank when this process ends notice that.
            if self.processes.in_step and not self._is_evaluating:
                with suppress(ProcessLost):
                    self.processes.tell({"do": "end"})

    def resume(self) -> None:
        super().resume()
        parts = self.parts
        with parts.as_evaluated():
            states = {name: getattr(parts, name).state_dict() for name in RESTORED if getattr(parts, name) is not None}
            self.processes.tell({"do": "restore", **states})

    def train_per_epoch(self) -> None:
        epoch = self.state.epoch
        self.processes.tell({"do": "train", "epoch": epoch, "step": self.state.step})
        try:
            for share in self.dataloader:
                self.stopwatch.book("data")
                self._shared.train_on(share, epoch, self.state.step)
            self._shared.end()
        finally:
            if self.processes.in_step:
                self._shared.close()

    def step(self, epoch: int) -> None:
        super().step(epoch)
        self.processes.tell({"do": "end_epoch", "value": self._goodness_after(epoch)})

    def evaluate(self, prefix: str = "valid") -> None:
        if self._is_scoring_test:
            self.processes.tell({"do": "restore", "model": self.model.state_dict()})
        averaged = self.steps.average is not None and not self._is_scoring_test
        self.processes.tell({"do": "evaluate", "split": prefix, "averaged": averaged})
        self._is_evaluating = True
        super().evaluate(prefix)
        self._is_evaluating = False

    def _failure(self, error: BaseException) -> BaseException:
        causes = [error, error.__cause__]
        lost = next((each for each in causes if isinstance(each, ProcessLost)), None)
        if lost is None or not self._has_started:
            return super()._failure(error)
        return ProcessLost(f"{lost}; continue with: {how_to_continue(self.run, self.settings)}")

    def _loader(self, mode: str, epoch: int) -> Loader:
        loader = super()._loader(mode, epoch)
        if mode == "train":
            loader.draw_from(self._shared.pipe)
        return loader

    def _take_loss(self, loss: Tensor, n_rows: int) -> None:
        self.monitor(loss, n=n_rows, mode="mean", prefix="train", pool=[LOSS])
