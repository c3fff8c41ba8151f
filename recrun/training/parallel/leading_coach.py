"""The Coach of a run that several processes train: it decides what is done, and writes the run.

The others do as they are told (`recrun.training.parallel.follow`). What they are told is a state with the key "do".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Final

from torch import Tensor

from recrun.config.monitor_names import LOSS
from recrun.training.coach import Coach
from recrun.training.loader import Loader
from recrun.training.parallel.environment import mark_done
from recrun.training.parallel.process_group import Processes, ProcessLost
from recrun.training.parallel.step import SAVE, SharedSteps
from recrun.training.parallel.table_states import TableStates
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
        self._states = None if processes.tables is None else _LedStates(processes, self.optimizer)
        self.divided = self._states
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
            result = super().fit()
            mark_done()
            return result
        finally:
            # Others that still rank when this process ends notice that.
            if self.processes.is_free and not self._is_evaluating:
                with suppress(ProcessLost):
                    self.processes.tell({"do": "end"})

    def resume(self) -> None:
        super().resume()
        if self.divided is None:
            self._tell_state(RESTORED)

    def train_per_epoch(self) -> None:
        epoch = self.state.epoch
        self.processes.tell({"do": "train", "epoch": epoch, "step": self.state.step})
        with self._in_epoch():
            for share in self.dataloader:
                self.stopwatch.book("data")
                self._shared.train_on(share, epoch, self.state.step)
            self._shared.end()

    @contextmanager
    def _in_epoch(self) -> Iterator[None]:
        if self._states is not None:
            self._states.is_in_epoch = True
        try:
            yield
        finally:
            if self.processes.is_free:
                self._shared.close()
            if self._states is not None:
                self._states.is_in_epoch = False

    def step(self, epoch: int) -> None:
        super().step(epoch)
        self.processes.tell({"do": "end_epoch", "value": self._goodness_after(epoch)})

    def evaluate(self, prefix: str = "valid") -> None:
        if self._is_scoring_test and self.divided is None:
            self._tell_state(("model",))
        averaged = self.steps.average is not None and not self._is_scoring_test
        self.processes.tell({"do": "evaluate", "split": prefix, "averaged": averaged})
        self._is_evaluating = True
        super().evaluate(prefix)
        self._is_evaluating = False
        if self.divided is not None and not self._is_scoring_test:
            self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        # While they rank, the others cannot send their rows of a state that is to be saved.
        if self.divided is None or not self._is_evaluating:
            super()._stop_if_asked()

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

    def _tell_state(self, names: Sequence[str]) -> None:
        """Have the other processes restore parts of the run as they are here."""
        parts = self.parts
        with parts.as_evaluated() if "average" in names else nullcontext():
            states = {name: getattr(parts, name).state_dict() for name in names if getattr(parts, name) is not None}
            self.processes.tell({"do": "restore", **states})


class _LedStates(TableStates):
    """Tells the other processes what is about to be put together or dealt out.

    Attributes:
        is_in_epoch: whether they are training, so that they look for signals.
    """

    is_in_epoch = False

    def whole(self, state: Mapping[str, Any]) -> dict[str, Any]:
        if self.is_in_epoch:
            self._processes.signal(SAVE)
        else:
            self._processes.tell({"do": "send", "state": "last" if "optimizer" in state else "best"})
        return super().whole(state)

    def dealt(self, state: Mapping[str, Any]) -> dict[str, Any]:
        told = self.without_rows({name: state[name] for name in RESTORED if state.get(name) is not None})
        self._processes.tell({"do": "restore", **told})
        return super().dealt(state)
