"""Keep a run: open it, resume it, checkpoint it, report on it, stop it when asked, and record how it ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from recrun.evaluation.evaluator import Evaluator
from recrun.randomness import undisturbed_random_state
from recrun.runs.find import resumable, run_for
from recrun.runs.folder import RunFolder
from recrun.runs.history import History
from recrun.runs.new_folder import have_latest_follow
from recrun.training import checkpoint_state, devices
from recrun.training.finite_checks import Guard
from recrun.training.loader import Loader
from recrun.training.loop_state import Best, Meters, TrainingState
from recrun.training.pause import Pause, Paused
from recrun.training.reporter import Reporter, Reporters, make_reporters
from recrun.training.run_record import cannot_start, describe_run, how_to_continue, record_end
from recrun.training.run_settings import DividedState, RunParts, RunSettings, opened
from recrun.training.steps.optimizer_steps import OptimizerSteps
from recrun.training.stop_signals import Interrupted, Interrupts
from recrun.training.stopwatch import Recurring, Stopwatch
from recrun.training.undefined_monitors import refuse_undefined

if TYPE_CHECKING:
    from recrun.data.postprocessing.base import Pipe

_REPORT_SECONDS: Final = 0.1

ReporterFactory = Callable[[RunFolder, "int | None"], Sequence[Reporter]]


class RunKeeper:
    """Holds the parts, settings, folder and state of a run, and does the bookkeeping between its steps.

    Args:
        model: what is trained.
        dataset: the pipe that yields batches; its `base` is the data set.
        criterion: the loss; None for a closed-form model.
        optimizer: None for a closed-form model.
        lr_scheduler: stepped after each epoch; None to keep the learning rate.
        device: "auto", "cpu", "cuda:0" ..., or a torch device.

    Attributes:
        notes: what a user should know about the settings; recorded with the run.
        origin: where the model's values come from, as `recrun.workflows.warm_start` records it; None if they are drawn.
        pause: when the run pauses; never, unless it is set.
    """

    n_processes = 1
    divided: DividedState | None = None

    def __init__(
        self,
        *,
        model: nn.Module,
        dataset: Pipe,
        criterion: Any = None,
        optimizer: torch.optim.Optimizer | None = None,
        lr_scheduler: Any = None,
        device: str | torch.device = "auto",
    ) -> None:
        self.device = devices.select(device) if isinstance(device, str) else device
        self.model: Any = model.to(self.device)
        self.dataset, self.fields = dataset, dataset.fields
        self.optimizer: Any = optimizer
        self.criterion, self.lr_scheduler = criterion, lr_scheduler
        self.dataloader: Any = ()
        self.state = TrainingState()
        self.steps = OptimizerSteps(optimizer, lr_scheduler)
        self.notes: list[str] = []
        self.origin: Mapping[str, Any] | None = None
        self.pause = Pause()
        self._is_saved = False
        self.stopwatch = Stopwatch(self.device)
        self.reporters: Reporter = Reporters()
        self._settings: RunSettings | None = None
        self._run: RunFolder | None = None
        self._history: History | None = None
        self._make_reporters: ReporterFactory = self._usual_reporters
        self._guard, self._interrupts = Guard(self.model, self.state), Interrupts()
        self._report, self._checkpoint = Recurring(_REPORT_SECONDS), Recurring(math.inf)
        self._n_steps: int | None = None
        self._has_begun = self._has_started = self._is_scoring_test = self._is_new = self._is_latest = False

    @property
    def parts(self) -> RunParts:
        """What is trained, on what, by what, and where."""
        trained_by = self.criterion, self.optimizer, self.lr_scheduler
        of_processes = self.n_processes, self.divided
        return RunParts(self.model, self.dataset, *trained_by, self.device, self.steps.average, *of_processes)

    @property
    def settings(self) -> RunSettings:
        """The settings of the run."""
        return opened(self._settings, "settings")

    @property
    def cfg(self) -> Mapping[str, Any]:
        """Every setting by its key."""
        return self.settings.cfg

    @property
    def run(self) -> RunFolder:
        """The folder of the run."""
        return opened(self._run, "run")

    @property
    def history(self) -> History:
        """The measured values of the run."""
        return opened(self._history, "run")

    def compile(
        self,
        cfg: Any,
        monitors: Sequence[str],
        *,
        run: RunFolder | None = None,
        runs: str | Path = "runs",
        reporters: ReporterFactory | None = None,
        repeats: bool = False,
        latest: bool = False,
    ) -> None:
        """Take the settings of the run, check that they can work with the data, and open the run's folder.

        Args:
            cfg: a compiled Parser or Config.
            monitors: metrics to compute, such as "recall@20"; "loss" is always kept for training.
            run: the run folder; made (or reopened, with `resume: true`) when None.
            runs: the folder in which it is made.
            reporters: makes the reporters that are notified of the run; the default ones when None.
            repeats: whether an earlier run is repeated, whose monitors may be undefined on the data.
            latest: whether `latest` is to point at the run.

        Raises:
            ConfigError: a monitor is not known, `which4best` is not monitored, the data leaves a monitor of a new run
                undefined, or a run cannot be opened.
        """
        settings: Mapping[str, Any] = getattr(cfg, "config", cfg)
        continued = run or (resumable(settings, runs) if settings.get("resume") else None)
        self.check(cfg, monitors, is_new=continued is None and not repeats)
        self._run = continued or run_for(self.cfg, runs)
        self._history = History(self._run.metrics_lines_file)
        self._is_new, self._is_latest = continued is None, latest
        self._guard, self._make_reporters = Guard(self.model, self.state, self._run), reporters or self._usual_reporters
        self._checkpoint = Recurring(60 * self.cfg.get("checkpoint_minutes", math.inf))

    def check(self, cfg: Any, monitors: Sequence[str], *, is_new: bool = True) -> None:
        """Take the settings of a run, and check that they can work with the data.

        Args:
            cfg: a compiled Parser or Config.
            monitors: metrics to compute.
            is_new: whether the run is new, so that no monitor may be undefined on the data.

        Raises:
            ConfigError: they cannot.
        """
        self._take(RunSettings.read(cfg, monitors, self.model).for_training(self.parts))
        self.steps = OptimizerSteps(self.optimizer, self.lr_scheduler, self.cfg, self.model)
        self.steps.plan(self.dataset)
        refuse_undefined(self.settings, self._undefined(), is_new=is_new)

    def _undefined(self) -> dict[str, dict[str, str]]:
        """Return, by split to be evaluated, the monitors that the data leaves undefined, with the reasons."""
        return {}

    def resume(self) -> None:
        """Continue from the run's last checkpoint, if it has one, and tell the reporters that the run begins.

        Raises:
            CheckpointError: the checkpoint is damaged, or is not of this model and these settings.
            DataError: the data is not what it was.
        """
        saved = checkpoint_state.saved_state(self.run, self.parts, self.settings)
        if saved is not None:
            checkpoint_state.restore(self.run, self.parts, self.state, saved)
        self._has_begun = True
        self.run.clean()
        # What an attempt without a checkpoint measured is measured again.
        position = None if saved is None else saved["progress"]["history"]
        has_history = self.history.go_back_to(position, self.state.epoch)
        if saved is not None and self.run.read_settings().get("epochs") != self.cfg["epochs"]:
            self.run.change_settings({**self.run.read_settings(), "epochs": self.cfg["epochs"]})
        self._begin_reports(None if saved is None else self.state.epoch)
        self._is_saved = saved is not None and has_history and saved["config"]["epochs"] == self.cfg["epochs"]
        if not has_history:
            changed = f"{self.run.metrics_lines_file} was changed or cut off since the checkpoint was written"
            self.reporters.message(f"{changed}; plots lack what cannot be read of it", "warning")
        self.stopwatch.book("start")

    def _begin_reports(self, resumed_from: int | None) -> None:
        """Create the reporters, tell them that the run begins, and let `latest` point at it."""
        with undisturbed_random_state(self.device):
            self.reporters = Reporters(self._make_reporters(self.run, resumed_from))
            self.reporters.start(
                describe_run(self.run, self.parts, self.settings, resumed_from, self.notes, self.origin)
            )
        self._has_started = True
        problem = have_latest_follow(self.run.path, is_new=self._is_new) if self._is_latest else None
        if problem is not None:
            self.reporters.message(problem, "warning")

    def save_checkpoint(self, epoch: int, *, force: bool = False) -> None:
        """Write the last checkpoint when it is due: every `checkpoint_freq` epochs, or when forced."""
        is_saved, self._is_saved = self._is_saved, False  # what was just read need not be written again
        if self.settings.closed_form or not (force or (epoch % self.cfg["checkpoint_freq"] == 0 and not is_saved)):
            return
        self._guard.check()
        self.run.require_own()
        checkpoint_state.save_last(self.run, self.parts, self.settings, self.state, self.history.position())
        self._checkpoint.done()
        self.stopwatch.book("checkpoint")

    def _keep_best(self, best: Best) -> None:
        self.state.best = best
        self.run.require_own()
        checkpoint_state.save_best(self.run, self.parts, self.settings, best.epoch)
        self.stopwatch.book("checkpoint")

    def _take(self, settings: RunSettings) -> None:
        self._settings, self.state.meters = settings, Meters(settings.metrics)
        parts = self.model, self.dataset.base, settings.metrics, settings.cfg, self.device
        self.evaluator = Evaluator(*parts, settings.groupings)

    def _usual_reporters(self, run: RunFolder, resumed_from: int | None) -> Sequence[Reporter]:
        return make_reporters(run, self.cfg, resumed_from)

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Record in run.json how the block ends, and close the reporters."""
        try:
            yield
            record_end(self.run, self.state, "done")
        except BaseException as error:
            failure = self._failure(error)
            status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            if self._is_new and not self._has_started:
                self._close_reporters()
                self.run.remove_new()
            elif self._has_begun and record_end(self.run, self.state, status, failure):
                with suppress(OSError):  # The caller shows the error; this is for the run's log.
                    self.reporters.message(f"{status}: {failure}", "debug")
            self._close_reporters()
            if failure is error:
                raise
            raise failure from error
        self._close_reporters()

    def _failure(self, error: BaseException) -> BaseException:
        """Return the error to raise: what fails before the start is refused, what fails after it has failed."""
        if self._has_started:
            return self._guard.explain(error, self.cfg)
        return cannot_start(self.run, error) if isinstance(error, OSError) else error

    def _close_reporters(self) -> None:
        with suppress(OSError):  # Reporters write at once, so one that cannot be closed has lost nothing.
            self.reporters.close()

    def _loader(self, mode: str, epoch: int) -> Loader:
        training = mode == "train"
        self._n_steps = self.dataset.n_batches("train") if training else None
        return Loader(
            self.dataset,
            mode=mode,
            seed=self.cfg["seed"],
            epoch=epoch,
            device=self.device,
            skip=self.state.step if training else 0,
            ahead=training and self.cfg.get("num_workers", 0) > 0,
            on_step=self._after_step if training else lambda step: self._stop_if_asked(),
        )

    def _after_step(self, step: int) -> None:
        """Do the bookkeeping after a batch: finite numbers, reports; between optimizer steps, checkpoints and stops."""
        self.state.step = step
        self._guard.look()
        if self._report.is_due():
            self.reporters.step(self.state.epoch, step, self._n_steps, self.state.mean_loss)
        if self.steps.is_between:
            self._stop_if_asked()
        self.stopwatch.book("bookkeeping")
        if self.steps.is_between and self._checkpoint.is_due():
            self.save_checkpoint(self.state.epoch, force=True)

    def _after_block(self, split: str, done: int, total: int) -> None:
        self._stop_if_asked()
        if self._report.is_due():
            self.reporters.evaluating(self.state.epoch, split, done, total)

    def _stop_if_asked(self) -> None:
        if not self._interrupts.requested:
            return
        if not self._is_scoring_test:
            self.save_checkpoint(self.state.epoch, force=True)
        raise Interrupted(f"interrupted; continue with: {how_to_continue(self.run, self.settings)}")

    def _pause_if_due(self, epoch: int) -> None:
        reason = self.pause.reason(epoch, self.settings, self.state)
        if reason is not None:
            self.save_checkpoint(epoch, force=True)
            raise Paused(self.run, self.settings, self.state, reason, how_to_continue(self.run, self.settings))

    def _say_interrupted(self, signal_name: str) -> None:
        with suppress(ValueError, OSError):  # They may be closed already, as the run ends.
            self.reporters.message(f"{signal_name}: saving and stopping; once more stops at once", "warning")

    def _spend(self, activity: str, start: float) -> float:
        seconds = time.perf_counter() - start
        self.state.seconds[activity] += seconds
        return seconds
