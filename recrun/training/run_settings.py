"""Hold the settings of a run and the parts it consists of, and check that they fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch

from recrun.config.family import Family, family_of_class
from recrun.config.monitor_names import LOSS, MetricName, parse_monitor, smaller_is_better
from recrun.data.groupings import make_groupings
from recrun.errors import ConfigError, Fault
from recrun.metrics.groups import Grouping
from recrun.training.schedulers import Plateau
from recrun.training.steps.weight_average import WeightAverage

if TYPE_CHECKING:
    from recrun.data.postprocessing.base import Pipe

T = TypeVar("T")


class DividedState(Protocol):
    """What saving and restoring need where other processes have a part of the state."""

    def whole(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a state of this process with what the others have of it."""

    def dealt(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Have the others restore their parts of a whole state, and return that of this process."""


@dataclass(frozen=True)
class RunParts:
    """The parts of a run: model, data, loss, optimizer and device.

    Args:
        model: an `nn.Module`.
        dataset: the pipe that yields batches; its `base` is the data set.
        criterion: the loss; None for a closed-form model.
        optimizer: None for a closed-form model.
        lr_scheduler: None to keep the learning rate.
        device: the device of the model.
        average: the average of the model's weights, which is what is evaluated; None if there is none.
        n_processes: how many processes train it.
        divided: saves and restores what is divided among them; None if each has the whole model.
    """

    model: Any
    dataset: Pipe
    criterion: Any
    optimizer: Any
    lr_scheduler: Any
    device: torch.device
    average: WeightAverage | None = None
    n_processes: int = 1
    divided: DividedState | None = None

    def as_evaluated(self) -> AbstractContextManager[None]:
        """Return a context within which the model is as it is evaluated: with the average of its weights, if any."""
        return nullcontext() if self.average is None else self.average.in_use()


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run.

    Args:
        cfg: every setting by its key.
        metrics: the monitored metrics, without the loss.
        which4best: the metric that chooses the best epoch.
        family: the family of the model.
        validates: whether there is a validation part to be evaluated.
        groupings: the groups that final metrics are broken down by.
    """

    cfg: Mapping[str, Any]
    metrics: tuple[MetricName, ...]
    which4best: MetricName
    family: Family
    validates: bool = False
    groupings: tuple[Grouping, ...] = ()

    @classmethod
    def read(cls, cfg: Any, monitors: Sequence[str], model: Any, base: Any = None) -> RunSettings:
        """Read a config and monitors, for evaluating a model outside a run.

        Args:
            cfg: a compiled Parser or Config; settings that were read before are returned as they are.
            monitors: metrics to compute, such as "recall@20".
            model: the model to evaluate.
            base: the data set, for its groups; None where none are needed yet.

        Raises:
            ConfigError: a monitor is unknown, or there is none besides the loss; or groups cannot be made.
            DataError: a table of users or items cannot be read.
        """
        if isinstance(cfg, RunSettings):
            return cfg
        settings: Mapping[str, Any] = getattr(cfg, "config", cfg)
        metrics = tuple(name for name in dict.fromkeys(map(parse_monitor, monitors)) if name.name != LOSS)
        if not metrics:
            raise ConfigError("monitors lists no metric besides the loss; add one, such as ndcg@20")
        wanted = settings.get("which4best")
        which4best = metrics[-1] if wanted is None else parse_monitor(wanted)
        read = cls(settings, metrics, which4best, family_of_class(type(model)))
        return read if base is None else read._grouped(base)

    def for_training(self, parts: RunParts) -> RunSettings:
        """Return the settings of a run that trains these parts.

        Raises:
            DataError: the model reads histories, and the parts do not follow each other in time.
            ConfigError: `which4best` is not monitored, or a setting needs a validation or test part that the data does
                not have.
        """
        base = parts.dataset.base
        if self.family.histories and not self.cfg.get("shuffled_time", False):
            base.refuse_torn_histories()
        if self.which4best not in self.metrics:
            monitored = ", ".join(map(str, self.metrics))
            raise ConfigError(f"which4best is {self.cfg['which4best']}, which is not among the monitors: {monitored}")
        if (self.cfg.get("train_on") == "train_valid") != base.trains_on_valid:
            message = (
                "the data is not made for it; a script calls train_on_valid() of its data set first, and sets this"
            )
            raise ConfigError(Fault(message, key="train_on"))
        validates: bool = self.cfg["eval_valid"] and not base.trains_on_valid and len(base.interactions("valid")) > 0
        faults = list(self._without_validation(parts)) if not validates else []
        if self.cfg["eval_test"] and not base.describe()["test"]:
            faults.append(Fault("the data has no test part to evaluate; set eval_test=false", key="eval_test"))
        if faults:
            raise ConfigError(faults)
        return replace(self, validates=validates)._grouped(base)

    def _grouped(self, base: Any) -> RunSettings:
        """Return the settings with the groups of a data set."""
        names = self.cfg.get("groups") or ()
        if self.family.evaluation != "ranking":
            self.refuse_groups("only rankings are broken down, and this model predicts labels")
        return replace(self, groupings=tuple(make_groupings(names, base, self.cfg)))

    def how_to_group(self, result: Mapping[str, Any]) -> str:
        """Return how to have the groups that a finished run has not, to be added to a message; "" if it has all."""
        has = {name for found in (result.get("groups") or {}).values() for name in found}
        lacking = [grouping.name for grouping in self.groupings if grouping.name not in has]
        if not lacking:
            return ""
        groups = quote(f"groups=[{','.join(lacking)}]")
        command = f"recrun eval --checkpoint {quote(str(result.get('run')))} {groups}"
        return f", and its metrics stay as they are; to break them down: {command}"

    def done_text(self, path: Path, result: Mapping[str, Any]) -> str:
        """Return that a run is done, and how to have the groups that it lacks."""
        early = " (it stopped early)" if result.get("stopped_early") else ""
        return f"the run {path} is done{early}; nothing is left to train{self.how_to_group(result)}"

    def require_origin(self, origin: Mapping[str, Any] | None) -> None:
        """Check that a model that is to start from a trained run does.

        Raises:
            ConfigError: it does not, as in a script that builds its model itself.
        """
        if self.cfg.get("init_from") and origin is None:
            message = "the model does not start from it; a script calls recrun.workflows.warm_start.start_from first"
            raise ConfigError(Fault(message, key="init_from"))

    def refuse_groups(self, reason: str) -> None:
        """Refuse groups, if there are any.

        Raises:
            ConfigError: there are.
        """
        if self.cfg.get("groups"):
            raise ConfigError(Fault(f"{reason}; remove them", key="groups"))

    def _without_validation(self, parts: RunParts) -> Iterator[Fault]:
        """Yield the settings that need a validation part, where there is none."""
        if self.cfg.get("early_stop_patience") is not None:
            message = "there is no validation part to stop by; set early_stop_patience=null and the number of epochs"
            yield Fault(message, key="early_stop_patience")
        if isinstance(parts.lr_scheduler, Plateau):
            name = self.cfg.get("lr_scheduler")
            message = f"{name} follows the validation metric, but there is no validation part; set lr_scheduler=none"
            yield Fault(message, key="lr_scheduler")

    @property
    def epochs(self) -> int:
        """Epochs to train; a closed-form model has one."""
        stop = self.cfg.get("stop_epoch")
        return 1 if self.closed_form else self.cfg["epochs"] if stop is None else min(stop, self.cfg["epochs"])

    @property
    def closed_form(self) -> bool:
        """Whether the model is fitted once, without gradients."""
        return not self.family.trains

    def evaluates_after(self, epoch: int) -> bool:
        """Return whether an evaluation is due after `epoch` epochs."""
        return epoch % int(self.cfg.get("eval_freq", 1)) == 0

    def goodness(self, value: float) -> float:
        """Return a value of `which4best`, negated if smaller is better."""
        return -value if smaller_is_better(self.which4best) else value


def opened(part: T | None, what: str) -> T:
    """Return what a Coach has once it is compiled.

    Raises:
        ConfigError: it is not compiled yet.
    """
    if part is None:
        raise ConfigError(f"the Coach has no {what} yet; call compile(cfg, monitors=[...]) first")
    return part
