"""What is known of a config before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recrun.config.yaml_reader import Given
from recrun.errors import Fault
from recrun.registry.component import Component


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

    def trait(self, setting: str, name: str, default: Any = None) -> Any:
        """Return a trait of the component that a setting chooses."""
        component = self.components.get(setting)
        return default if component is None else component.traits.get(name, default)

    @property
    def without_validation(self) -> str | None:
        """Say what leaves the run without a validation metric, or None when it has one."""
        if self.values.get("eval_valid") is False:
            return "eval_valid: false"
        ships_one = self.trait("dataset", "validation", False) or self.values.get("valid_path")
        if self.values.get("valid_ratio") == 0 and not ships_one:
            return "valid_ratio: 0"
        return None


def row_kind(model: Component | None) -> str:
    """Return what a row of training is to a model: one of the "interactions", "users", "sequences" or "labels".

    Those of "users" hold all items of theirs, "sequences" their latest ones in the order of time.

    A model says it by its base class, or by the trait `trains_on`.
    """
    if model is None:
        return "interactions"
    by_base = {"RowsArch": "users", "SequenceArch": "sequences", "PredictingArch": "labels"}
    found = (kind for base, kind in by_base.items() if base in model.bases)
    return next(found, str(model.traits.get("trains_on", "interactions")))
