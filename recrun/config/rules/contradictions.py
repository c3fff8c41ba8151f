"""Find all settings of a config that contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from recrun.config.draft import Facts
from recrun.config.rules.of_evaluation import OF_EVALUATION
from recrun.config.rules.of_models import OF_A_MODEL
from recrun.config.rules.of_training import OF_TRAINING
from recrun.config.settings import check_device_name
from recrun.errors import ConfigError, Fault, RegistryError
from recrun.registry.conditions import inapplicable, names
from recrun.row_filter import FilterError, parse_filter
from recrun.types import Where


def _device_is_written_as_one(facts: Facts) -> Iterator[Fault]:
    if facts.has("device"):
        try:
            check_device_name(facts.values["device"])
        except ConfigError as error:
            yield facts.fault(error.faults[0].message, "device", suggestion=error.faults[0].suggestion)


def _folder_names(facts: Facts) -> Iterator[Fault]:
    name = facts.values.get("id")
    if name is not None and (
        name == "" or name[0] == "." or "/" in name or "\\" in name or not name.isprintable() or len(name) > 100
    ):
        expected = "a name of up to 100 characters, no slash, no dot in front"
        yield facts.fault(f"expected {expected}, found {name!r}", "id")


def _conditions_of_components(facts: Facts) -> Iterator[Fault]:
    """Yield the conditions between settings that components declare and that do not hold."""
    settings = facts.settings
    for key, parameter in facts.parameters.items():
        setting = parameter.owner.partition(" ")[0]
        declared = (
            getattr(facts.components[setting].traits, "conditions", None) if setting in facts.components else None
        )
        wanted = [(each.condition, each.message) for each in parameter.conditions if isinstance(each, Where)]
        try:
            if key in facts.values and inapplicable(parameter, settings) is None:
                for condition, message in [*wanted, *(declared or {}).get(key, ())]:
                    if not settings.holds(condition):
                        yield facts.fault(settings.fill(message), key, *names(condition), setting)
        except RegistryError as error:
            yield facts.fault(f"{parameter.owner} has a faulty condition on it: {error}", key, setting)


def _a_filter_that_can_be_read(facts: Facts) -> Iterator[Fault]:
    text = facts.values.get("filter")
    if facts.has("filter") and isinstance(text, str):
        try:
            parse_filter(text)
        except FilterError as error:
            yield facts.fault(str(error), "filter")


RULES: Final[tuple[Callable[[Facts], Iterator[Fault]], ...]] = (
    *OF_A_MODEL,
    *OF_EVALUATION,
    *OF_TRAINING,
    _device_is_written_as_one,
    _folder_names,
    _conditions_of_components,
    _a_filter_that_can_be_read,
)


def contradictions(facts: Facts) -> Iterator[Fault]:
    """Yield a fault for each contradiction; a rule does not look at settings that have faults of their own."""
    for rule in RULES:
        yield from map(facts.with_origin, rule(facts))
