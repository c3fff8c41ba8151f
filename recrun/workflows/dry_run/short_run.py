"""Run the beginning of a run in a folder that is removed, and measure what the whole of it takes."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from types import FrameType
from typing import Any, Final

import torch

from recrun.metrics.per_user import PerUser
from recrun.runs.peak_memory import peak_memory
from recrun.training.coach import Coach
from recrun.training.loop_state import Best
from recrun.training.run_record import locked
from recrun.training.stop_signals import Interrupted, Interrupts
from recrun.training.stopwatch import timed_batches

SECONDS: Final = 8.0
"""No further batch or block of users begins after so long; the rest is extrapolated."""
FIT_SECONDS: Final = 60.0
"""After so long a model in closed form is not fitted to the end."""
_STEPS: Final = 3
"""How many optimizer steps are timed at least."""
_GROWING: Final = ("metrics.jsonl", "log.txt")
"""The files of a run that each epoch makes longer; and so do event files."""


@dataclass(frozen=True)
class Measured:
    """What the beginning of a run took.

    Args:
        epoch: the seconds of an epoch, without evaluation; None if none was trained, or its batches are not counted.
        batches: how many batches of an epoch were timed.
        n_batches: how many an epoch has; None if that is not known.
        evaluation: the seconds of an evaluation; None if there was none.
        share: how much of the evaluation was timed, as a share.
        checkpoint: the seconds in which a checkpoint is written.
        fit: the seconds in which a model in closed form was fitted; None for others, and if that takes too long.
        rest: the seconds to build and begin the run, and to end it.
        memory: the largest memory of the process, in bytes.
        gpu_memory: the largest memory on the GPU, in bytes; None without one.
        files: the size of each file of the run's folder, by path within.
    """

    epoch: float | None
    batches: int
    n_batches: int | None
    evaluation: float | None
    share: float
    checkpoint: float
    fit: float | None
    rest: float
    memory: int
    gpu_memory: int | None
    files: dict[str, int]

    def folder_size(self, epochs: int) -> int:
        """Return the bytes of the run's folder after some epochs; logs grow with each."""
        trained = max(1, min(2, epochs))
        return sum(
            size * max(1, epochs) // trained if name in _GROWING or ".tfevents." in name else size
            for name, size in self.files.items()
        )

    @property
    def largest_file(self) -> int:
        """The bytes of the largest file, which is there twice while it is replaced."""
        return max(self.files.values(), default=0)

    @property
    def best_checkpoint(self) -> int:
        """The bytes of the best checkpoint, of which the last but one stays until the last checkpoint is written."""
        return sum(size for name, size in self.files.items() if Path(name).parts[:2] == ("checkpoints", "best"))


class _EnoughError(Exception):
    """It has taken long enough to know how long the whole of it takes."""


class ShortCoach(Coach):
    """A Coach that trains and evaluates no longer than it takes to know how long the whole of it takes."""

    stage = "building the model"

    def measure(self, build_seconds: float) -> Measured:
        """Run the beginning, and return what was measured.

        Args:
            build_seconds: how long it took to build.

        Raises:
            Interrupted: it was asked to stop.
            TrainingError: it fails, as the run would.
        """
        begun = time.perf_counter()
        with locked(self.run, True), Interrupts() as self._interrupts, self._closing():
            self.stage, self._batches = "writing a checkpoint", []
            if self.settings.validates:  # test is not read for this
                self._take(replace(self.settings, cfg={**self.cfg, "eval_test": False}))
            self.resume()
            self.save_checkpoint(0)
            self.validate(0)
            epoch = fit = None
            if self.settings.closed_form:
                fit = self._fit()
                if fit is None:
                    return self._measured(None, None, build_seconds, 0.0)
            elif self.settings.epochs:
                self._train(0, 1, 0.0)  # the first step is slower than the others
                epoch = self._train(1, 1 + _STEPS, SECONDS)
                self._settle_in_memory()
            saving = time.perf_counter()
            self.stage = "writing a checkpoint"
            self.save_checkpoint(self.state.epoch, force=True)
            checkpoint = time.perf_counter() - saving
            self.validate(self.state.epoch, force=True)
            self.stage = "ending the run"
            self.summary()
        rest = time.perf_counter() - begun - sum(self.state.seconds.values())
        return self._measured(epoch, fit, build_seconds + rest, checkpoint)

    def _measured(self, epoch: float | None, fit: float | None, rest: float, checkpoint: float) -> Measured:
        gpu = self.device.type == "cuda"
        folder = self.run.path
        trains = not self.settings.closed_form
        return Measured(
            epoch=epoch,
            batches=len(self._batches),
            n_batches=self.dataset.n_batches("train") if trains else None,
            evaluation=self._evaluation,
            share=self._share,
            checkpoint=checkpoint,
            fit=fit,
            rest=rest,
            memory=peak_memory(),
            gpu_memory=torch.cuda.max_memory_reserved(self.device) if gpu else None,
            files={str(file.relative_to(folder)): file.stat().st_size for file in _files(folder)},
        )

    _evaluation: float | None = None
    _share = 1.0
    _least = 1
    _budget = SECONDS
    _is_cut = False
    _begun = 0.0
    _total = 0
    _batches: list[float]
    _blocks: list[tuple[float, int]]

    def _train(self, epoch: int, n_steps: int, seconds: float) -> float | None:
        """Train an epoch, or its first steps, and return the seconds of all of it."""
        self.stage, self._batches = "training a step", []
        self._least, self._budget = n_steps * int(self.cfg.get("accumulate", 1)), seconds
        before = self.state.seconds["train"]
        self.train(epoch)
        taken, times = self.state.seconds["train"] - before, self._batches
        n_batches = self.dataset.n_batches("train")
        if not self._is_cut or not times:
            return taken
        if n_batches is None or len(times) < 2:
            return None
        # The first batch of an epoch also waits for what is drawn once for all of it.
        return taken - sum(times) + times[0] + (n_batches - 1) * fmean(times[1:])

    def _fit(self) -> float | None:
        """Fit a model in closed form and return the seconds; None if that takes too long."""
        self.stage, self._batches = "fitting the model", []
        begun = time.perf_counter()
        try:
            with _alarm(FIT_SECONDS):
                self.train(0)
        except _EnoughError:
            return None
        return time.perf_counter() - begun

    def _settle_in_memory(self) -> None:
        """Write to every number that the optimizer holds: memory is taken when it is first written to."""
        for state in getattr(self.optimizer, "state", {}).values():
            for value in state.values() if isinstance(state, dict) else ():
                if isinstance(value, torch.Tensor):
                    value.mul_(1)

    def _loader(self, mode: str, epoch: int) -> Any:
        loader = super()._loader(mode, epoch)
        if mode != "train":
            return loader
        self._is_cut, self._begun = False, time.perf_counter()
        return timed_batches(loader, self.device, self._after_batch)

    def _after_batch(self, seconds: float) -> bool:
        self._batches.append(seconds)
        self._is_cut = len(self._batches) >= self._least and time.perf_counter() - self._begun > self._budget
        return not self._is_cut

    def _evaluate_split(self, split: str, epoch: int) -> tuple[dict[str, float], float]:
        self.stage, self._blocks, self._begun = f"evaluating {split}", [], time.perf_counter()
        self._share = 1.0
        try:
            values, self._evaluation = super()._evaluate_split(split, epoch)
        except _EnoughError:
            (first, before), (last, done) = self._blocks[0], self._blocks[-1]
            self._evaluation = first + (last - first) / (done - before) * (self._total - before)
            self._share = done / self._total
            values = {str(name): 0.0 for name in self.settings.metrics}
            self._spend("evaluate", self._begun)
        return values, self._evaluation

    def _after_block(self, split: str, done: int, total: int) -> None:
        self._stop_if_asked()
        self._blocks.append((time.perf_counter() - self._begun, done))
        self._total = total
        is_late = self._blocks[-1][0] > SECONDS
        if is_late and self._blocks[0][1] < done < total:
            raise _EnoughError

    def _best_per_user(self, best: Best) -> PerUser | None:
        return self.evaluator.best_per_user

    def _stop_if_asked(self) -> None:
        if self._interrupts.requested:
            raise Interrupted("interrupted; nothing was kept")

    @contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._close_reporters()


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a run that stay in its folder."""
    return (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise `_EnoughError` in the block after some seconds, on systems that have alarms, in the main thread."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise _EnoughError

    try:
        before = signal.signal(signal.SIGALRM, ring)
    except (AttributeError, ValueError):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
