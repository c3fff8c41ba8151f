"""The Coach: the loop that trains, evaluates and keeps the best model.

    resume
    for each epoch:  save_checkpoint -> evaluate -> train -> step
    summary

It knows a model, a data pipe, a loss, an optimizer and a device. It does not know YAML, the command line, or sweeps.
An epoch number is the number of epochs the model has been trained, so the evaluation labelled 0 is of the untrained
model, and the numbers beside one label belong to one state of the model.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.prediction import PredictingArch
from recrun.architectures.sequence import SequenceArch
from recrun.config.monitor_names import LOSS, parse_monitor, smaller_is_better
from recrun.data.postprocessing.mode import check_mode
from recrun.errors import CheckpointError, ConfigError, Fault, TrainingError
from recrun.randomness import undisturbed_random_state
from recrun.registry import REPORTERS
from recrun.runs.checkpoint import load_checkpoint, save_checkpoint
from recrun.runs.find import run_for
from recrun.runs.folder import RunFolder
from recrun.runs.resume import finished_result
from recrun.training import checkpoint_state, devices
from recrun.training.finite_checks import Guard
from recrun.training.loader import Loader, n_rows
from recrun.training.loop_state import Best, Meters, Progress, require_all
from recrun.training.reporter import Reporter, Reporters
from recrun.training.run_record import close_reporters, describe_run, record_end, result_of
from recrun.training.schedulers import Plateau, Schedule
from recrun.training.stop_signals import Interrupted, Interrupts
from recrun.training.stopwatch import Stopwatch

if TYPE_CHECKING:
    from recrun.data.postprocessing.base import Pipe

_REPORT_SECONDS: Final = 0.1

ReporterFactory = Callable[[RunFolder, "int | None"], Sequence[Reporter]]


class Coach:
    """Trains a model on a pipe and evaluates it.

    Subclasses may write their own `train_per_epoch` and `evaluate`; what stands here serves every registered model.

    Args:
        model: what is trained.
        dataset: the pipe that yields batches; its `base` is the data set.
        criterion: the loss; None for a closed-form model.
        optimizer: None for a closed-form model.
        lr_scheduler: stepped after each epoch; None to keep the learning rate.
        device: "auto", "cpu", "cuda:0" ..., or a torch device.
    """

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
        self.dataset = dataset
        self.criterion = criterion
        self.optimizer: Any = optimizer
        self.lr_scheduler = lr_scheduler
        self.fields = dataset.fields
        self.dataloader: Any = ()
        self.progress = Progress()
        self.stopwatch = Stopwatch(self.device)
        self.reporters = Reporter()
        self.stopped_early = False
        self._guard = Guard(self.model)
        self._interrupts = Interrupts()
        self._closed_form = isinstance(model, ClosedFormArch)
        self._has_begun = self._is_scoring_test = False
        self._checkpoint_time = self._report_time = time.monotonic()

    def compile(
        self,
        cfg: Any,
        monitors: Sequence[str],
        *,
        run: RunFolder | None = None,
        runs: str | Path = "runs",
        reporters: ReporterFactory | None = None,
    ) -> None:
        """Take the settings of the run, check that they can work with the data, and open the run's folder.

        Args:
            cfg: a compiled Parser or Config.
            monitors: metrics to compute, such as "recall@20"; "loss" is always kept for training.
            run: the run folder; made (or reopened, with `resume: true`) when None.
            runs: the folder in which it is made.
            reporters: makes those who are told of the run; the usual ones when None.

        Raises:
            ConfigError: a monitor is not known, `which4best` is not monitored, or a run cannot be opened.
        """
        self._take_settings(cfg, monitors)
        names = self.meters.names
        wanted = self.cfg.get("which4best")
        self.which4best = names[-1] if wanted is None else parse_monitor(wanted)
        if self.which4best not in names:
            raise ConfigError(f"which4best is {wanted}, which is not among the monitors: {', '.join(map(str, names))}")
        self.epochs: int = 1 if self._closed_form else self.cfg["epochs"]
        self.validates: bool = self.cfg["eval_valid"] and len(self.dataset.base.interactions("valid")) > 0
        if self.cfg.get("early_stop_patience") is not None and not self.validates:
            raise ConfigError("early_stop_patience is set, and there is no validation part to stop by")
        if isinstance(self.lr_scheduler, Plateau) and not self.validates:
            message = "follows the validation metric, and there is no validation part"
            raise ConfigError(Fault(f"{self.cfg.get('lr_scheduler')} {message}", key="lr_scheduler"))
        if self.cfg["eval_test"] and not self.dataset.base.describe()["test"]:
            raise ConfigError(Fault("the data has no test part to score; set it to false", key="eval_test"))
        self.run = run or run_for(self.cfg, runs)
        self._guard = Guard(self.model, self.run)
        self._make_reporters = reporters or self._default_reporters

    def score(
        self, split: str, cfg: Any, monitors: Sequence[str], reporters: Sequence[Reporter] = ()
    ) -> dict[str, float]:
        """Evaluate the model as it is on one split, outside any run.

        Args:
            split: "valid" or "test".
            cfg: a compiled Parser or Config.
            monitors: metrics to compute.
            reporters: who is told of the progress.
        """
        self._take_settings(cfg, monitors)
        self.reporters = Reporters(reporters)
        try:
            return self._evaluate_split(split, self.progress.epoch)[0]
        finally:
            self.reporters.close()

    def fit(self) -> dict[str, Any]:
        """Train to the end, and return the final numbers (the content of metrics.json).

        Raises:
            TrainingError: the loss stopped being finite, or a monitor was never given a value.
            Interrupted: the run was asked to stop; its state is saved.
        """
        with self.run.lock(), Interrupts(self._say_interrupted) as self._interrupts:
            finished = finished_result(self.run, self.epochs)
            if finished is not None:
                logging.getLogger(__name__).warning("the run %s is done; nothing is left to train", self.run.path)
                return finished
            try:
                self.resume()
                for epoch in range(self.progress.epoch, self.epochs):
                    self.save_checkpoint(epoch)
                    self.validate(epoch)
                    if self._is_stale():
                        break
                    self.train(epoch)
                    self.step(epoch)
                self.save_checkpoint(self.progress.epoch, force=True)
                self.validate(self.progress.epoch, force=True)
                if self._is_due(self.progress.epoch):  # else a run that is given more epochs goes on without it
                    self.save_checkpoint(self.progress.epoch, force=True)
                result = self.summary()
                record_end(self, "done")
            except BaseException as error:
                failure = self._guard.explain(error)
                if self._has_begun:
                    record_end(self, "interrupted" if isinstance(error, KeyboardInterrupt) else "failed", failure)
                close_reporters(self)
                if failure is error:
                    raise
                raise failure from error
            close_reporters(self)
            return result

    def resume(self) -> None:
        """Continue from the run's last checkpoint, if it has one, and tell the reporters that the run begins.

        Raises:
            CheckpointError: the checkpoint is damaged, or is not of this model and these settings.
            DataError: the data is not what it was.
        """
        saved = checkpoint_state.saved_state(self)
        if saved is not None:
            checkpoint_state.restore(self, saved)
        self._has_begun = True
        self.run.clean()
        if saved is None:  # what an attempt without a checkpoint left is measured again
            self.run.metrics_lines_file.unlink(missing_ok=True)
        elif self.run.read_settings().get("epochs") != self.cfg["epochs"]:
            self.run.write_config({**self.run.read_settings(), "epochs": self.cfg["epochs"]})
        resumed_from = None if saved is None else self.progress.epoch
        with undisturbed_random_state(self.device):
            self.reporters = Reporters(self._make_reporters(self.run, resumed_from))
            self.reporters.start(describe_run(self, resumed_from))
        self.stopwatch.book("start")

    def save_checkpoint(self, epoch: int, *, force: bool = False) -> None:
        """Write the last checkpoint when it is due: every `checkpoint_freq` epochs, or when forced."""
        if self._closed_form or not (force or epoch % self.cfg["checkpoint_freq"] == 0):
            return
        self._guard.check(self.progress)
        self._write("last", checkpoint_state.full_state(self))
        checkpoint_state.forget_superseded(self.run)
        self._checkpoint_time = time.monotonic()
        self.stopwatch.book("checkpoint")

    def validate(self, epoch: int, *, force: bool = False) -> None:
        """Evaluate on the validation part when it is due, and keep the model if it is the best so far."""
        due = force or self._is_due(epoch)
        untrained = self._closed_form and epoch == 0
        if not due or untrained or self.progress.evaluated == epoch:
            return
        if not self.validates:
            if force:  # with nothing to choose by, the last model is the one to keep
                self._keep_best(Best(epoch, math.nan, {}))
            return
        values, seconds = self._score("valid", epoch)
        value, best = values[str(self.which4best)], self.progress.best
        is_best = best is None or self._goodness(value) > self._goodness(best.value)
        self.progress.stale = 0 if is_best else self.progress.stale + 1
        if is_best:
            self._keep_best(Best(epoch, value, values))
        self.progress.evaluated = epoch
        self.progress.history.append("valid", epoch, values)
        self.reporters.evaluated(epoch, "valid", values, is_best, seconds)
        self.stopwatch.book("report")

    def train(self, epoch: int) -> None:
        """Train one epoch, or what is left of it."""
        start = time.perf_counter()
        self.model.train()
        if self._closed_form:
            self._interrupts.at_once = True  # there is nothing to save before it is done
            self.model.fit(self.dataset.base.training_data())
            self._interrupts.at_once = False
            self._guard.check_fit()
            self.stopwatch.book("fit")
        else:
            self._n_steps = self.dataset.n_batches("train")
            self.dataloader = self._loader("train", epoch)
            self.train_per_epoch()
        self._guard.check(self.progress)
        loss = {LOSS: self.progress.loss.average} if self.progress.loss.count else {}
        values = loss | self.meters.take("train")
        self.progress.loss.reset()
        self.progress.epoch, self.progress.step = epoch + 1, 0
        self.progress.history.append("train", epoch + 1, values)
        self.stopwatch.book("looking after")
        self.reporters.trained(epoch + 1, values, self._spend("train", start))
        self.stopwatch.book("report")

    def step(self, epoch: int) -> None:
        """Step the schedule of the learning rate after an epoch."""
        if self.lr_scheduler is None:
            return
        if isinstance(self.lr_scheduler, Schedule):
            evaluated = self.validates and self.progress.evaluated == epoch
            self.lr_scheduler.step(self._goodness(self._last_valid()) if evaluated else None)
        else:  # a script's own scheduler of torch
            self.lr_scheduler.step()

    def summary(self) -> dict[str, Any]:
        """Score test once with the best model, and write the final numbers and the summary."""
        best = self.progress.best
        if best is None:
            raise TrainingError("the run ended without an evaluation")
        self._is_scoring_test = True  # from here on the model is not the one to go on from
        self.model.load_state_dict(load_checkpoint(self.run.checkpoint_file("best"))["model"])
        test: dict[str, float] | None = None
        if self.cfg["eval_test"]:
            place = self.run.begin_test_evaluation("best", by="train")
            test, seconds = self._score("test", best.epoch)
            self.run.end_test_evaluation(place, test)
            self.progress.history.append("test", best.epoch, test)
            self.reporters.evaluated(best.epoch, "test", test, False, seconds)
        result = result_of(self, best, test)
        self.run.write_json(self.run.metrics_file, result)
        self.reporters.finish(result)
        self.stopwatch.book("report")
        return result

    def _default_reporters(self, run: RunFolder, resumed_from: int | None) -> Sequence[Reporter]:
        reporters: Sequence[Reporter] = REPORTERS.get("default")(run, self.cfg, resumed_from)
        return reporters

    # --- what a subclass may write -----------------------------------------------------------------------------------

    def train_per_epoch(self) -> None:
        """Train on every batch of `self.dataloader`."""
        low_precision = self.cfg.get("precision", "float32") == "bf16"
        for batch in self.dataloader:
            self.stopwatch.book("data")
            with torch.autocast(self.device.type, torch.bfloat16, enabled=low_precision):
                loss = self.model.training_loss(batch, self.criterion)
            self.stopwatch.book("forward")
            self.optimizer.zero_grad()
            loss.backward()
            self.stopwatch.book("backward")
            self.optimizer.step()
            self.stopwatch.book("optimizer")
            self.monitor(loss, n=n_rows(batch), mode="mean", prefix="train", pool=[LOSS])

    def evaluate(self, prefix: str = "valid") -> None:
        """Rank all items for every user of a split (or predict all of its labels), and monitor every metric."""
        if isinstance(self.model, PredictingArch):
            self._evaluate_predictions(prefix)
            return
        from recrun.evaluation.ranking import evaluate_ranking

        base, split = self.dataset.base, check_mode(prefix)
        result = evaluate_ranking(
            self.model,
            seen=base.seen(split),
            relevant=base.csr(split),
            n_items=base.n_items,
            metrics=self.meters.names,
            device=self.device,
            memory_mb=self.cfg.get("eval_memory", 512),
            progress=lambda done, total: self._after_block(prefix, done, total),
        )
        self.progress.users[prefix] = (result.n_users, result.n_skipped)
        for name, value in result.values.items():
            self.monitor(value, n=result.n_users, mode="mean", prefix=prefix, pool=[name])

    def _evaluate_predictions(self, prefix: str) -> None:
        from recrun.evaluation.predictions import measure, predict

        chances, labels, users = predict(
            self.model,
            self.dataset.base,
            prefix,
            self.device,
            progress=lambda done, total: self._after_block(prefix, done, total),
        )
        self.progress.users[prefix] = (len(set(users.tolist())), 0)
        for name, value in measure(chances, labels, users, self.meters.names).items():
            self.monitor(value, n=len(labels), mode="mean", prefix=prefix, pool=[name])

    def monitor(
        self, *values: Any, n: int = 1, mode: str = "mean", prefix: str = "train", pool: Sequence[str] | None = None
    ) -> None:
        """Add to the running means of some monitors.

        Args:
            values: one number (or scalar tensor), or dense predictions (B, N) and targets (B, N).
            n: how many rows a single number stands for.
            mode: "mean" or "sum": which of the two a single number is.
            prefix: "train", "valid" or "test".
            pool: the monitors: "LOSS", a metric at all its monitored cutoffs ("NDCG"), or one of them ("ndcg@20");
                all of them when None.

        Raises:
            RegistryError: the pool names something that is no metric.
        """
        names = self.meters.select(pool)
        if len(values) == 2:
            self.meters.add_predictions(*values, prefix, names)
            return
        for name in names:
            if name.name == LOSS and prefix == "train":
                self._guard.losses.add(values[0], n, mode)
            else:
                self.meters.add_value(float(values[0]), n, mode, prefix, name)

    # --- between the steps -------------------------------------------------------------------------------------------

    def _take_settings(self, cfg: Any, monitors: Sequence[str]) -> None:
        self.cfg: Mapping[str, Any] = getattr(cfg, "config", cfg)
        names = [name for name in dict.fromkeys(map(parse_monitor, monitors)) if name.name != LOSS]
        if not names:
            raise ConfigError("monitors lists no metric besides the loss; add one, such as ndcg@20")
        self.meters = Meters(names)

    def _loader(self, mode: str, epoch: int) -> Loader:
        training = mode == "train"
        return Loader(
            self.dataset,
            mode=mode,
            seed=self.cfg["seed"],
            epoch=epoch,
            device=self.device,
            skip=self.progress.step if training else 0,
            ahead=training and self.cfg.get("num_workers", 0) > 0,
            on_step=self._after_step if training else lambda step: self._stop_if_asked(),
        )

    def _score(self, split: str, epoch: int) -> tuple[dict[str, float], float]:
        """Evaluate a split within the run, and stop the run at what is no number."""
        try:
            values, seconds = self._evaluate_split(split, epoch)
        except TrainingError as error:
            reason = f"{error} (evaluating {split} after epoch {epoch}). {self._guard.last_good()}"
            raise TrainingError(reason) from error
        self._guard.check_metrics(values, f"{split} after epoch {epoch}")
        return values, seconds

    def _evaluate_split(self, split: str, epoch: int) -> tuple[dict[str, float], float]:
        """Return every monitored value of a split, and the seconds it took."""
        start = time.perf_counter()
        self.meters.take(split)
        self.progress.users.pop(split, None)
        self.dataloader = self._loader(split, epoch)
        self.model.eval()
        if isinstance(self.model, SequenceArch):
            self.model.take_histories(self.dataset.base.histories(check_mode(split)))
        with torch.no_grad():
            self.evaluate(prefix=split)
        self.progress.users.setdefault(split, (self.meters.count(split), 0))
        values = self.meters.take(split)
        require_all(values, self.meters.names, split)
        self.stopwatch.book("evaluation")
        return {str(name): values[str(name)] for name in self.meters.names}, self._spend("evaluate", start)

    def _after_step(self, step: int) -> None:
        """Look after the run between two steps: the numbers, the reporters, a due checkpoint, a wish to stop."""
        self.progress.step = step
        self._guard.look(self.progress)
        if self._is_time_to_report():
            loss = self.progress.loss.average if self.progress.loss.count else None
            self.reporters.step(self.progress.epoch, step, self._n_steps, loss)
        self._stop_if_asked()
        self.stopwatch.book("looking after")
        if time.monotonic() - self._checkpoint_time > 60 * self.cfg.get("checkpoint_minutes", math.inf):
            self.save_checkpoint(self.progress.epoch, force=True)

    def _after_block(self, split: str, done: int, total: int) -> None:
        self._stop_if_asked()
        if self._is_time_to_report():
            self.reporters.evaluating(self.progress.epoch, split, done, total)

    def _is_time_to_report(self) -> bool:
        now = time.monotonic()
        if now - self._report_time < _REPORT_SECONDS:
            return False
        self._report_time = now
        return True

    def _stop_if_asked(self) -> None:
        if not self._interrupts.requested:
            return
        if not self._is_scoring_test:
            self.save_checkpoint(self.progress.epoch, force=True)
        by_command = self.cfg.get("model") is not None
        how = f"recrun train --resume {self.run.path}" if by_command else f"resume: true, id: {self.run.path.name}"
        raise Interrupted(f"interrupted; continue with: {how}")

    def _say_interrupted(self, signal_name: str) -> None:
        with suppress(ValueError, OSError):  # they may be closed by now, and the run about to end
            self.reporters.message(f"{signal_name}: saving and stopping; once more stops at once", "warning")

    def _is_due(self, epoch: int) -> bool:
        frequency: int = self.cfg.get("eval_freq", 1)
        return epoch % frequency == 0

    def _is_stale(self) -> bool:
        patience = self.cfg.get("early_stop_patience")
        if patience is None or self.progress.stale < patience:
            return False
        self.stopped_early = True
        self.reporters.message(f"stopped early: no better {self.which4best} in {self.progress.stale} evaluations")
        return True

    def _goodness(self, value: float) -> float:
        """Return the criterion's value with the sign that makes larger better."""
        return -value if smaller_is_better(self.which4best) else value

    def _last_valid(self) -> float:
        return self.progress.history.values["valid"][str(self.which4best)][-1][1]

    def _keep_best(self, best: Best) -> None:
        self.progress.best = best
        if not self._closed_form:
            checkpoint_state.keep_superseded(self.run)
        self._write("best", {**checkpoint_state.model_state(self), "epoch": best.epoch})
        self.stopwatch.book("checkpoint")

    def _write(self, which: str, content: Mapping[str, Any]) -> None:
        try:
            save_checkpoint(self.run.checkpoint_file(which), content)
        except CheckpointError as error:
            raise TrainingError(f"{error}. {self._guard.last_good()}") from error

    def _spend(self, activity: str, start: float) -> float:
        seconds = time.perf_counter() - start
        self.progress.seconds[activity] += seconds
        return seconds
