"""Collect what is known about a config while it is being checked: its components, and its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from recrun.config.check_value import Misfit, find_registered, fit, misdeclared, without_mistakes
from recrun.config.family import Family, family_of
from recrun.config.find import from_here, located
from recrun.config.parser import Parser
from recrun.config.reading import Given, Reading
from recrun.config.settings import COMPONENTS, OF_SEQUENCES, RUN, TRAINING
from recrun.config.suggestions.own_files import explain_file
from recrun.config.trackers import choose_trackers, declare_trackers
from recrun.errors import ConfigError, Fault, RegistryError, nearest
from recrun.registry import REGISTRIES, REPORTERS
from recrun.registry.component import Component, Parameter
from recrun.registry.conditions import Settings, check_declared, strange_names
from recrun.registry.other_names import meant_name
from recrun.registry.registry import Registry
from recrun.registry.traits import LossTraits, ModelTraits, OptimizerTraits, SamplerTraits, SchedulerTraits
from recrun.registry.user_files import is_file_reference

T = TypeVar("T")

_BY_POSITION: Final = {
    "model": ("data",),
    "dataset": ("root",),
    "loss": (),
    "optimizer": ("params",),
    "lr_scheduler": ("optimizer", "epochs"),
    "sampler": ("data",),
}
_BASES: Final = {"model": "RecSysArch", "dataset": "RecDataSet", "loss": "BaseCriterion"}

OF_ANY_MODEL: Final = ("model", "dataset")
_DEFAULTS: Final = {parameter.name: parameter.default for parameter in (*RUN, *TRAINING)}
_ANNOTATIONS: Final = {parameter.name: parameter.annotation for parameter in (*RUN, *TRAINING)}


@dataclass
class Choice:
    """The components that a config names.

    Args:
        components: those that were found, by the setting that chooses them.
        trackers: the additional reporters that were found.
        unknown: the settings whose component could not be determined, so that keys of any component of that kind may
            be meant.
        faults: what is wrong with the names.
        chosen: how each of these components was named.
    """

    components: dict[str, Component] = field(default_factory=dict)
    trackers: list[Component] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    chosen: dict[str, Given] = field(default_factory=dict)

    @property
    def family(self) -> Family:
        """The family of the model; that of sampled items if the model is unknown."""
        return family_of(self.components.get("model"))

    @property
    def samples(self) -> bool:
        """Whether training draws negative items."""
        loss = self.components.get("loss")
        return self.family.samples and (loss is None or bool(loss.traits.takes_negatives))

    def settings(self) -> list[Parameter]:
        """Return the settings of the run itself, without those of its components."""
        reads = self.family.histories or "model" in self.unknown
        absent = {*self.family.without, *(() if self.samples else ("sampler",)), *(() if reads else OF_SEQUENCES)}
        defaults: dict[str, Any] = {"monitors": list(self.family.monitors)} if self.family.monitors else {}
        if "model" in self.components and self.components["model"].traits.states == "last":
            defaults["sequence_rows"] = "prefixes"
        own = (each for each in (*RUN, *(TRAINING if self.family.trains else ())) if each.name not in absent)
        return [replace(each, default=defaults[each.name]) if each.name in defaults else each for each in own]

    def candidates(self) -> list[Component]:
        """Return every component that the unknown settings might mean, in the same order in every process."""
        registries = {**COMPONENTS, "track": REPORTERS}
        return [known for setting, registry in registries.items() if setting in self.unknown for known in registry]

    def declared(self) -> set[str]:
        """Return the names of all settings that the run has, or may have where a component is unknown."""
        own = [each for component in (*self.components.values(), *self.trackers) for each in component.parameters]
        return {parameter.name for parameter in (*self.settings(), *own, *self.possible())}

    def owner(self, key: str) -> str | None:
        """Return the setting that chooses the component which declares a key, or None."""
        owners = (name for name, known in self.components.items() if key in {each.name for each in known.parameters})
        return next(owners, None)

    def possible(self) -> list[Parameter]:
        """Return the settings of every component that might be meant; where their types differ, any of them fits."""
        merged: dict[str, Parameter] = {}
        for each in (each for known in self.candidates() for each in known.parameters):
            known_type = merged.setdefault(each.name, each).annotation
            if known_type != each.annotation:
                merged[each.name] = replace(merged[each.name], annotation=known_type | each.annotation)
        return list(merged.values())


def choose(reading: Reading) -> Choice:
    """Return the components that a config names, and what is wrong with the names."""
    choice = Choice()
    for setting, registry in COMPONENTS.items():
        if setting not in (*OF_ANY_MODEL, *(each.name for each in choice.settings())):
            continue
        chosen = reading.given.get(setting)
        if chosen is not None and unsets(chosen, _ANNOTATIONS[setting]):
            chosen = None
        if chosen is None and not reading.complete:
            choice.unknown.add(setting)
            continue
        chosen = chosen or Given(_DEFAULTS[setting])
        name = chosen.value if chosen.value is None or chosen.text is None else chosen.text
        if name is None and setting == "loss" and "model" in choice.components:
            name = choice.components["model"].traits.loss
        if not isinstance(name, str):
            choice.unknown.add(setting)
            if setting == "model" and name is None:
                choice.faults.append(chosen.fault(f"must be set (available: {', '.join(registry.names())})", setting))
            continue
        try:
            component = registry.describe(from_here(name, chosen))
            if setting == "model":
                family_of(component)  # A family declared in the user's own file may be wrong.
            check_declared(getattr(component.traits, "conditions", None))
            component.check_call(_BY_POSITION[setting])
            if component.bases == ("object",) and setting in _BASES:
                raise RegistryError(f"{name} is no {registry.kind}: the class must derive from {_BASES[setting]}")
            choice.components[setting], choice.chosen[setting] = component, chosen
        except RegistryError as error:
            choice.unknown.add(setting)
            choice.faults.append(_explain_name(registry, name, chosen, setting, error))
    if "track" in reading.given:
        choice.chosen["track"] = reading.given["track"]
        choice.trackers, faults, all_known = choose_trackers(reading.given["track"])
        choice.faults += faults
        choice.unknown |= set() if all_known else {"track"}
    return choice


def parser_of(choice: Choice) -> tuple[Parser, dict[str, Parameter], list[Fault]]:
    """Return a parser of all settings that a run may have, those that it has, and the faults of declaring them."""
    faults: list[Fault] = []
    parser = Parser(choice.settings())
    for setting, component in choice.components.items():
        chosen, mistakes = choice.chosen[setting], misdeclared(component)
        faults += [chosen.fault(message, key) for key, message in mistakes.items()]
        try:
            parser.declare(without_mistakes(component, mistakes).parameters)
        except ConfigError as error:
            faults += [chosen.fault(each.message, each.key) for each in error.faults]
    faults += declare_trackers(parser, choice.trackers)
    known = dict(parser.parameters)
    faults += _strangers(choice, known)
    parser.declare(each for each in choice.possible() if each.name not in known)
    return parser, known, faults


def _strangers(choice: Choice, known: Mapping[str, Parameter]) -> Iterator[Fault]:
    """Yield a fault for each name in a condition of a user's own component that is no setting of anything."""
    chosen = [(choice.chosen[setting], component) for setting, component in choice.components.items()]
    for given, component in [*chosen, *((choice.chosen["track"], tracker) for tracker in choice.trackers)]:
        names = strange_names(component, known) if is_file_reference(component.name) else {}
        every = {each.name for each in _everything()} if names else set()
        for name, key in names.items():
            if name not in every:
                message = f"{component.kind} {component.name} has a condition that names {name!r}, which is no setting"
                yield given.fault(message, key, nearest(name, known))


def default_of(setting: str) -> Any:
    """Return the default of a setting that chooses a component; False for one of a component, a switch."""
    return _DEFAULTS.get(setting, False)


def _everything() -> Iterator[Parameter]:
    components = (known for registry in (*COMPONENTS.values(), REPORTERS) for known in registry)
    yield from (*RUN, *TRAINING, *(each for known in components for each in known.parameters))


def _explain_name(registry: Registry, name: str, chosen: Given, setting: str, error: RegistryError) -> Fault:
    """Return the fault of a component's name."""
    if is_file_reference(name) or name in registry:
        return chosen.fault(str(error), setting)
    told = explain_file(setting, name, chosen, located(name, chosen))
    if told is not None:
        return chosen.fault(told, setting)
    available = registry.names()
    message = f"unknown {registry.kind} {name!r} (available: {', '.join(available)})"
    return chosen.fault(message, setting, meant_name(registry.plural, name, available))


def unsets(given: Given, annotation: Any) -> bool:
    """Return whether a null takes back the inherited value that it overrides: where null is no value of the type."""
    if given.value is not None or given.overrides is None:
        return False
    try:
        fit(annotation, None)
    except Misfit:
        return True
    return False


@dataclass(frozen=True)
class Facts:
    """What is known about a config.

    Args:
        values: the settings with a valid value; those with faults of their own are missing.
        components: the chosen components that were found, by the setting that chooses them.
        given: the settings in the file and the arguments, as written.
        parameters: the settings that the run has, without those of components that are not known.
    """

    values: Mapping[str, Any]
    components: Mapping[str, Component]
    given: Mapping[str, Given]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The settings, for conditions on them."""
        values = {key: value for key, value in self.values.items() if key in self.parameters}
        return Settings(values, self.parameters, self._traits_of)

    def _traits_of(self, key: str) -> Any:
        """Return the traits of what a setting names, or None."""
        if key in self.components:
            return self.components[key].traits
        registered = find_registered(self.parameters[key].annotation) if key in self.parameters else None
        if registered is None or key not in self.values:
            return None
        try:
            return REGISTRIES[registered.kinds].describe(str(self.values[key])).traits
        except RegistryError:
            return None

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

    def with_origin(self, fault: Fault) -> Fault:
        """Return a fault that says, if its setting is inherited, from where, and how to be rid of it."""
        given = self.given.get(fault.key)
        if given is None or given.place is None or given.place.file != fault.file:
            return fault
        return replace(fault, message=fault.message + given.origin(fault.key, self.given))

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
        traits: T = default if component is None else component.traits
        return traits

    @property
    def without_validation(self) -> str | None:
        """The setting that leaves the run without validation metrics, or None if it has them."""
        if self.values.get("train_on") == "train_valid":
            return "train_on: train_valid"
        if self.values.get("eval_valid") is False:
            return "eval_valid: false"
        if self.values.get("valid_ratio") == 0 and not self.values.get("valid_path"):
            return "valid_ratio: 0"
        return None
