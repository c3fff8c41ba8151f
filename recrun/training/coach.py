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
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from recrun.config.monitor_names import LOSS
from recrun.errors import RegistryError, TrainingError
from recrun.evaluation.evaluate_split import undefined_metrics
from recrun.evaluation.trial import try_metrics
from recrun.metrics.per_user import PerUser
from recrun.metrics.undefined import Undefined
from recrun.registry.user_files import is_foreign
from recrun.runs.per_user import write_per_user
from recrun.runs.resume import final_result, is_recorded_as_done
from recrun.runs.user_groups import write_user_groups
from recrun.training.checkpoint_state import load_best
from recrun.training.finite_checks import last_good
from recrun.training.loader import n_rows
from recrun.training.loop_state import Best, require_all
from recrun.training.reporter import Reporter, Reporters
from recrun.training.run_keeper import RunKeeper
from recrun.training.run_record import end_test_evaluation, locked, result_of
from recrun.training.run_settings import RunSettings
from recrun.training.steps.batch_loss import batch_loss
from recrun.training.stop_signals import Interrupts


class Coach(RunKeeper):
    """Trains a model on a pipe and evaluates it.

    Subclasses may override `train_per_epoch` and `evaluate`; the methods here serve every registered model.
    """

    def score(
        self, split: str, cfg: Any, monitors: Sequence[str], reporters: Sequence[Reporter] = ()
    ) -> dict[str, float]:
        """Evaluate the model as it is on "valid" or "test", outside any run; the reporters see the progress.

        Raises:
            TrainingError: a metric is infinite.
        """
        self._take(RunSettings.read(cfg, monitors, self.model, self.dataset.base))
        self.reporters = Reporters(reporters)
        try:
            values = self._evaluate_split(split, self.state.epoch)[0]
            self._guard.check_metrics(values, split)
            return values
        finally:
            self.reporters.close()

    def show(self, verbose: int) -> None:
        """Show the run in another detail than its stored config says."""
        self._take(replace(self.settings, cfg={**self.cfg, "verbose": verbose}))

    def fit(self) -> dict[str, Any]:
        """Train to the end, and return the final numbers (the content of metrics.json).

        Raises:
            TrainingError: the loss stopped being finite, or a monitor was never given a value.
            Interrupted: the run was asked to stop; its state is saved.
            Paused: it has come to where `pause` has it pause; its state is saved.
            ConfigError: it is to pause, and is done.
        """
        with locked(self.run, self._is_new), Interrupts(self._say_interrupted) as self._interrupts:
            finished = final_result(self.run, self.settings.epochs)
            if finished is not None and is_recorded_as_done(self.run):
                self.pause.refuse_done(self.run, finished["epochs"])
                if self.cfg.get("verbose", True):
                    logging.getLogger(__name__).warning(self.settings.done_text(self.run.path, finished))
                return finished
            with self._recorded():
                if finished is not None:
                    return self.complete(finished)
                self.resume()
                for epoch in range(self.state.epoch, self.settings.epochs):
                    self.save_checkpoint(epoch)
                    self.validate(epoch)
                    if self._is_stale():
                        break
                    self._pause_if_due(epoch)
                    self.train(epoch)
                    self.step(epoch)
                self.save_checkpoint(self.state.epoch, force=True)
                self.validate(self.state.epoch, force=True)
                # A run that is given more epochs later goes on without an evaluation that is not due.
                if self.settings.evaluates_after(self.state.epoch):
                    self.save_checkpoint(self.state.epoch, force=True)
                return self.summary()

    def validate(self, epoch: int, *, force: bool = False) -> None:
        """Evaluate on the validation part when it is due, and keep the model if it is the best so far."""
        state, settings = self.state, self.settings
        untrained = settings.closed_form and epoch == 0
        if not (force or settings.evaluates_after(epoch)) or untrained or state.evaluated == epoch:
            return
        if not settings.validates:
            if force:  # There is nothing to choose by, so the last model is kept.
                self._keep_best(Best(epoch, None, {}))
            return
        with self.parts.as_evaluated():
            values, seconds = self._score("valid", epoch)
        value = values[str(settings.which4best)]
        if isinstance(value, Undefined):
            raise TrainingError(
                f"{settings.which4best} is undefined on valid: {value.reason}; it cannot choose the best epoch, so set "
                "another which4best"
            )
        before = None if state.best is None else state.best.value
        is_best = before is None or settings.goodness(value) > settings.goodness(before)
        state.stale = 0 if is_best else state.stale + 1
        if is_best:
            self._keep_best(Best(epoch, value, values))
            self.evaluator.keep_best()
        state.evaluated, state.last_value = epoch, value
        self.history.append(epoch, "valid", values, seconds, is_best)
        self.reporters.evaluated(epoch, "valid", values, is_best, seconds)
        self.stopwatch.book("report")

    def train(self, epoch: int) -> None:
        """Train one epoch, or what is left of it."""
        start = time.perf_counter()
        self.model.train()
        if self.settings.closed_form:
            self._interrupts.at_once = True  # There is nothing to save before the model is fitted.
            self.model.fit(self.dataset.base.training_data())
            self._interrupts.at_once = False
            self._guard.check_fit()
            for note in getattr(self.model, "notes", ()):
                self.reporters.message(note, "warning")
            self.stopwatch.book("fit")
        else:
            self.dataloader = self._loader("train", epoch)
            self.train_per_epoch()
        self._guard.check()
        values = self.state.end_epoch(epoch)
        self.stopwatch.book("bookkeeping")
        seconds = self._spend("train", start)
        self.run.require_own()
        self.history.append(epoch + 1, "train", values, seconds)
        self.reporters.trained(epoch + 1, values, seconds)
        self.stopwatch.book("report")

    def step(self, epoch: int) -> None:
        """Step the schedule of the learning rate after an epoch."""
        self.steps.end_epoch(self._goodness_after(epoch))

    def summary(self) -> dict[str, Any]:
        """Score test once with the best model, and write the final numbers and the summary."""
        best = self.state.best
        if best is None:
            raise TrainingError("the run ended without an evaluation")
        self._is_scoring_test = True  # From here on the model is not the one to resume from.
        if not (self.settings.closed_form and best.epoch == self.state.epoch):  # one just fitted is not held twice
            load_best(self.run, self.parts)
        of_valid = self._best_per_user(best)
        test = None
        if self.cfg["eval_test"]:
            self.run.begin_test_evaluation("best", by="train")
            test, seconds = self._score("test", best.epoch)
            self.history.append(best.epoch, "test", test, seconds)
            self.reporters.evaluated(best.epoch, "test", test, False, seconds)
        write_per_user(self.run, "valid", of_valid)
        write_per_user(self.run, "test", self.evaluator.per_user.get("test"))
        if self.evaluator.keeps_users:
            write_user_groups(self.run, self.settings.groupings, self.dataset.base)
        result = result_of(self.run, self.parts, self.settings, self.state, test, self.evaluator)
        self.run.write_json(self.run.metrics_file, result)
        end_test_evaluation(self.run, result)  # last: test is not scored again once its record has numbers
        self.reporters.finish(result)
        self.stopwatch.book("report")
        return result

    def complete(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """Write the summary of a run that was stopped after its final numbers were written, and return these.

        Nothing is trained, and test is not scored again.
        """
        self.state.epoch = result["epochs"]
        self._has_begun = True
        self.run.clean()
        end_test_evaluation(self.run, result)
        self._begin_reports(self.state.epoch)
        self.reporters.finish(result)
        return dict(result)

    def train_per_epoch(self) -> None:
        """Train on every batch of `self.dataloader`."""
        for batch in self.dataloader:
            self.stopwatch.book("data")
            loss = batch_loss(self.model, batch, self.criterion, self.cfg, self.device)
            self.stopwatch.book("forward")
            self.steps.backward(loss)
            self.stopwatch.book("backward")
            self.steps.step()
            self.stopwatch.book("optimizer")
            self.monitor(loss, n=n_rows(batch), mode="mean", prefix="train", pool=[LOSS])
        self.steps.finish()

    def evaluate(self, prefix: str = "valid") -> None:
        """Rank all items for every user of a split (or predict all of its labels), and record every metric."""
        is_final = self._is_scoring_test or self._run is None
        found = self.evaluator.evaluate(
            prefix, lambda done, total: self._after_block(prefix, done, total), in_groups=is_final
        )
        while self.evaluator.protocol.notes:
            self.reporters.message(self.evaluator.protocol.notes.pop(0), "warning")
        self.state.users[prefix] = (found.n_users, found.n_skipped)
        self.state.meters.record(prefix, found.values)

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
        names = self.state.meters.select(pool)
        if len(values) == 2:
            self.state.meters.add_predictions(*values, prefix, names)
            return
        for name in names:
            if name.name == LOSS and prefix == "train":
                self.state.pending.add(values[0], n, mode)
            else:
                self.state.meters.add_value(float(values[0]), n, mode, prefix, name)

    def _goodness_after(self, epoch: int) -> float | None:
        """Return how good the model of an epoch is on valid, larger is better; None if that was not evaluated."""
        value = self.state.last_value if self.settings.validates and self.state.evaluated == epoch else None
        return None if value is None else self.settings.goodness(value)

    def _score(self, split: str, epoch: int) -> tuple[dict[str, float], float]:
        """Evaluate a split within the run, and stop the run at a value that is not finite without being undefined."""
        try:
            values, seconds = self._evaluate_split(split, epoch)
        except (TrainingError, RegistryError) as error:  # a metric of the user's may return something else than numbers
            reason = f"{error} (evaluating {split} after epoch {epoch}). {last_good(self.run)}"
            raise TrainingError(reason) from error
        self._guard.check_metrics(values, f"{split} after epoch {epoch}")
        return values, seconds

    def _evaluate_split(self, split: str, epoch: int) -> tuple[dict[str, float], float]:
        """Return every monitored value of a split, and the seconds it took."""
        start = time.perf_counter()
        self.state.meters.take(split)
        self.state.users.pop(split, None)
        self.dataloader = self._loader(split, epoch)
        self.model.eval()
        self.evaluator.prepare(split)
        with torch.no_grad():
            self.evaluate(prefix=split)
        self.state.users.setdefault(split, (self.state.meters.count(split), 0))
        values = self.state.meters.take(split)
        require_all(values, self.settings.metrics, split)
        self.stopwatch.book("evaluation")
        return {str(name): values[str(name)] for name in self.settings.metrics}, self._spend("evaluate", start)

    def _best_per_user(self, best: Best) -> PerUser | None:
        """Return the metrics of each user at the best validation, repeated for groups or if it was before a resume."""
        found, settings = self.evaluator.best_per_user, self.settings
        is_wanted = settings.groupings or (found is None and self.evaluator.keeps_users)
        if not (is_wanted and settings.validates and settings.family.evaluation == "ranking"):
            return found
        values, _ = self._score("valid", best.epoch)
        if any(values[name] != value for name, value in best.values.items() if value == value):
            message = "the best model has other metrics on valid now than before the run was resumed"
            self.reporters.message(f"{message}; the metrics of each user on valid are not kept", "warning")
            return found
        return self.evaluator.per_user.get("valid")

    def _undefined(self) -> dict[str, dict[str, str]]:
        """Return, by split to be evaluated, the monitors that the data leaves undefined, with the reasons."""
        if is_foreign(type(self).train_per_epoch):
            self.steps.refuse_another_loop()
        if is_foreign(type(self).evaluate):  # What a script evaluates is not known beforehand.
            self.settings.refuse_groups("an evaluate() of your own does not break metrics down")
            return {}
        splits = [*(["valid"] if self.settings.validates else []), *(["test"] if self.cfg["eval_test"] else [])]
        base, metrics, protocol = self.dataset.base, self.settings.metrics, self.evaluator.protocol
        protocol.check(self.model, base, splits)
        try_metrics(metrics, self.settings.family.evaluation, base.n_items)
        about: dict[str, Any] = {"masks_seen": protocol.masks_seen, "sample": protocol.sample}
        return {split: undefined_metrics(self.model, base, split, metrics, **about) for split in splits}

    def _is_stale(self) -> bool:
        patience = self.cfg.get("early_stop_patience")
        if patience is None or self.state.stale < patience:
            return False
        self.state.stopped_early = True
        self.reporters.message(f"stopped early: no better {self.settings.which4best} in {self.state.stale} evaluations")
        return True
