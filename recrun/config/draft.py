"""What is known of a config before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from recrun.config.family import Family, family_of
from recrun.config.yaml_reader import Given
from recrun.errors import Fault
from recrun.registry.component import Component
from recrun.registry.traits import LossTraits, ModelTraits, OptimizerTraits, SamplerTraits, SchedulerTraits

T = TypeVar("T")


@dataclass(frozen=True)
class Facts:
    """What is known of a config.

    Args:
        values: the settings that have a good value; those with a fault of their own are missing.
        components: the chosen components that are known, by the setting that chooses them.
        given: what the file and the arguments set.
    """

    values: Mapping[str, Any]
    components: Mapping[str, Component]
    given: Mapping[str, Given]

    def has(self, *keys: str) -> bool:
        """Return whether all these settings have a good value."""
        return all(key in self.values for key in keys)

    def fault(
        self, message: str, key: str, *others: str, suggestion: str | None = None, item: int | None = None
    ) -> Fault:
        """Return a fault of a key, at the place where it was given, or else the first of the others was."""
        for each in (key, *others):
            if each in self.given:
                return self.given[each].fault(message, key, suggestion, item)
        return Fault(message, key, suggestion=suggestion)

    @property
    def family(self) -> Family:
        """The family of the model; that of sampled items while the model is not known."""
        return family_of(self.components.get("model"))

    @property
    def model(self) -> ModelTraits:
        """The traits of the model; like those of the others, as nobody gives them while it is not known."""
        return self._traits("model", ModelTraits())

    @property
    def loss(self) -> LossTraits:
        """The traits of the loss."""
        return self._traits("loss", LossTraits())

    @property
    def optimizer(self) -> OptimizerTraits:
        """The traits of the optimizer."""
        return self._traits("optimizer", OptimizerTraits())

    @property
    def scheduler(self) -> SchedulerTraits:
        """The traits of the schedule of the learning rate."""
        return self._traits("lr_scheduler", SchedulerTraits())

    @property
    def sampler(self) -> SamplerTraits:
        """The traits of the sampler."""
        return self._traits("sampler", SamplerTraits())

    def _traits(self, setting: str, default: T) -> T:
        component = self.components.get(setting)
        if component is None:
            return default
        traits: T = component.traits
        return traits

    @property
    def without_validation(self) -> str | None:
        """Say what leaves the run without a validation metric, or None when it has one."""
        if self.values.get("eval_valid") is False:
            return "eval_valid: false"
        if self.values.get("valid_ratio") == 0 and not self.values.get("valid_path"):
            return "valid_ratio: 0"
        return None
