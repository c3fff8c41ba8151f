"""Collect what is known about a config while it is being checked."""

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
    """What is known about a config.

    Args:
        values: the settings with a valid value; those with faults of their own are missing.
        components: the chosen components that were found, by the setting that chooses them.
        given: the settings in the file and the arguments, as written.
    """

    values: Mapping[str, Any]
    components: Mapping[str, Component]
    given: Mapping[str, Given]

    def has(self, *keys: str) -> bool:
        """Return whether all these settings have a valid value."""
        return all(key in self.values for key in keys)

    def fault(
        self, message: str, key: str, *others: str, suggestion: str | None = None, item: int | None = None
    ) -> Fault:
        """Return a fault of `key`, placed where it was written, else where the first of `others` was."""
        for each in (key, *others):
            if each in self.given:
                return self.given[each].fault(message, key, suggestion, item)
        return Fault(message, key, suggestion=suggestion)

    @property
    def family(self) -> Family:
        """The family of the model; that of sampled items if the model is unknown."""
        return family_of(self.components.get("model"))

    @property
    def model(self) -> ModelTraits:
        """The traits of the model; the defaults if it is unknown, as for the other components."""
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
        """The traits of the learning-rate schedule."""
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
        """The setting that leaves the run without validation metrics, or None if it has them."""
        if self.values.get("eval_valid") is False:
            return "eval_valid: false"
        if self.values.get("valid_ratio") == 0 and not self.values.get("valid_path"):
            return "valid_ratio: 0"
        return None
