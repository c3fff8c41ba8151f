"""From a config's text to a checked Config: which components it names, which keys they take, what cannot work.

Nothing here imports torch or touches data: components are known from their sources (`recrun.registry`), so a config is
checked in a fraction of a second, and every fault is reported together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recrun import devices
from recrun.dict2obj import Config
from recrun.errors import ConfigError, Fault, RegistryError, nearest, unknown
from recrun.monitors import LOSS, parse_monitor
from recrun.parser import Parser, read_config, read_overrides
from recrun.registry import DATASETS, LOSSES, MODELS, OPTIMIZERS, REGISTRIES, SAMPLERS, SCHEDULERS, Registry
from recrun.settings import RUN, TRAINING
from recrun.signature import Component
from recrun.yamlfile import Given

CONFIG_IN_FOLDER: Final = "recrun.yaml"
DEFAULT_CONFIG: Final = "bprmf"

COMPONENTS: Final[dict[str, Registry]] = {
    "model": MODELS,
    "dataset": DATASETS,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "lr_scheduler": SCHEDULERS,
    "sampler": SAMPLERS,
}
"""The settings that choose a component, in the order in which their own settings are declared."""


@dataclass(frozen=True)
class Resolved:
    """A config that can be run.

    Args:
        config: every setting of this run and of its components, and no other.
        components: the chosen components by the setting that chooses them; a closed-form model has no loss.
        path: the file the config came from.
        given: the keys that the file or the overrides set.
    """

    config: Config
    components: Mapping[str, Component]
    path: str
    given: frozenset[str]

    @property
    def trains(self) -> bool:
        """Whether the model is trained by gradient descent (else it is fitted once)."""
        return "optimizer" in self.components

    def arguments(self, setting: str) -> dict[str, Any]:
        """Return the keyword arguments of the component that a setting chooses."""
        return {parameter.name: self.config[parameter.name] for parameter in self.components[setting].parameters}


def resolve(config: str | Path | None, overrides: Sequence[str] = ()) -> Resolved:
    """Find, read and check a config.

    Args:
        config: an existing path, else the stem of a bundled config (`bprmf`, `gowalla/bprmf`); None for `recrun.yaml`
            in the working folder, else the bundled `bprmf`.
        overrides: `KEY=VALUE` arguments, stronger than the file.

    Raises:
        ConfigError: with every fault found.
    """
    path = find_config(config)
    faults: list[Fault] = []
    given: dict[str, Given] = {}
    for read, source in ((read_config, path), (read_overrides, overrides)):
        try:
            given |= read(source)  # type: ignore[operator]
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults)
    return resolve_given(given, str(path))


def resolve_given(given: Mapping[str, Given], path: str) -> Resolved:
    """Check settings that were already read.

    Raises:
        ConfigError: with every fault found.
    """
    components, faults = _choose_components(given)
    trains = "optimizer" in components
    parser = Parser((*RUN, *TRAINING) if trains or "model" not in components else RUN)
    for component in components.values():
        try:
            parser.declare(component.parameters)
        except ConfigError as error:
            faults += error.faults
    applicable = {key: value for key, value in given.items() if key in parser.parameters}
    for key in given.keys() - applicable.keys():
        faults.append(_explain_unknown(key, given[key], parser, components))
    try:
        values = parser.resolve(applicable)
    except ConfigError as error:
        faults += error.faults
        values = {}
    if values:
        _fill_in(values, components)
        faults += list(_contradictions(values, components, given))
    if faults:
        raise ConfigError(sorted(faults, key=lambda f: (f.file or "", f.line or 0, f.column or 0)))
    return Resolved(Config(values), components, path, frozenset(given))


def find_config(config: str | Path | None) -> Path:
    """Return the path of a config: an existing path wins, else the bundled config of that stem.

    Raises:
        ConfigError: there is neither.
    """
    if config is None:
        here = Path(CONFIG_IN_FOLDER)
        return here if here.exists() else bundled_configs()[DEFAULT_CONFIG]
    if Path(config).exists():
        return Path(config)
    bundled = bundled_configs()
    name = str(config).removesuffix(".yaml").removeprefix("configs/")
    if name in bundled:
        return bundled[name]
    message = f"there is no file {str(config)!r}, and no bundled config of that name. Bundled: {', '.join(bundled)}"
    raise ConfigError(Fault(message, suggestion=nearest(name, bundled)))


def bundled_configs() -> dict[str, Path]:
    """Return the configs that come with recrun, by name (`bprmf`, `gowalla/bprmf`)."""
    import recrun.configs

    folder = Path(next(iter(recrun.configs.__path__)))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}


def _choose_components(given: Mapping[str, Given]) -> tuple[dict[str, Component], list[Fault]]:
    """Return the components that a config names, and what is wrong with the names."""
    defaults = {parameter.name: parameter.default for parameter in (*RUN, *TRAINING)}
    components: dict[str, Component] = {}
    faults: list[Fault] = []
    for setting, registry in COMPONENTS.items():
        model = components.get("model")
        if setting not in ("model", "dataset") and (model is None or "ClosedFormArch" in model.bases):
            continue
        chosen = given.get(setting, Given(defaults[setting]))
        name = chosen.value
        if name is None and setting == "loss" and model is not None:
            name = model.traits.get("loss", "bpr")
        if name is None:
            faults.append(chosen.fault(f"must be set. Available: {', '.join(registry.names())}", setting))
        elif isinstance(name, str):
            try:
                components[setting] = registry.describe(name)
            except RegistryError:
                components_fault = chosen.fault(unknown(registry.kind, name, registry.names()), setting)
                faults.append(components_fault if ".py:" not in name else _file_fault(registry, name, chosen, setting))
    loss = components.get("loss")
    if loss is not None and loss.traits.get("negatives") == "none":
        components.pop("sampler", None)
    return components, faults


def _file_fault(registry: Registry, name: str, chosen: Given, setting: str) -> Fault:
    try:
        registry.describe(name)
    except RegistryError as error:
        return chosen.fault(str(error), setting)
    return chosen.fault("cannot be read", setting)


def _explain_unknown(key: str, given: Given, parser: Parser, components: Mapping[str, Component]) -> Fault:
    """Say why a key is not taken: it is nobody's, or it belongs to something this run does not use."""
    model = components.get("model")
    if model is not None and key in {parameter.name for parameter in TRAINING}:
        return given.fault(f"model {model.name} is fitted in closed form and takes no training settings; remove it", key)
    owners = [
        f"{component.kind} {component.name}"
        for setting, registry in COMPONENTS.items()
        for component in registry
        if key in {parameter.name for parameter in component.parameters}
    ]
    if owners:
        using = ", ".join(f"{setting}: {component.name}" for setting, component in components.items())
        return given.fault(f"is a setting of {', '.join(owners[:4])}, which this run does not use ({using})", key)
    return given.fault("unknown setting", key, nearest(key, parser.parameters))


def _fill_in(values: dict[str, Any], components: Mapping[str, Component]) -> None:
    """Write out the values that follow from others, so that the resolved config says everything."""
    values["description"] = values["description"] or components["model"].name.rpartition(":")[2]
    if "loss" in components:
        values["loss"] = components["loss"].name
    values["monitors"] = list(dict.fromkeys(monitor.strip().lower() for monitor in values["monitors"]))
    ranked = [monitor for monitor in values["monitors"] if monitor != LOSS]
    if values["which4best"] is None and ranked:
        values["which4best"] = ranked[-1]
    elif values["which4best"] is not None:
        values["which4best"] = values["which4best"].strip().lower()


def _contradictions(
    values: Mapping[str, Any], components: Mapping[str, Component], given: Mapping[str, Given]
) -> Iterator[Fault]:
    """Yield what is well typed, one by one, and cannot work together."""

    def fault(key: str, message: str, suggestion: str | None = None) -> Fault:
        return given.get(key, Given(None)).fault(message, key, suggestion)

    for monitor in values["monitors"]:
        try:
            parse_monitor(monitor)
        except ConfigError as error:
            yield fault("monitors", error.faults[0].message)
    which4best = values["which4best"]
    if which4best is None:
        yield fault("monitors", "lists no metric that can choose the best epoch; add one, such as ndcg@20")
    elif which4best not in values["monitors"] or which4best == LOSS:
        choices = [monitor for monitor in values["monitors"] if monitor != LOSS]
        yield fault("which4best", f"must be one of the monitors: {', '.join(choices)}", nearest(which4best, choices))
    try:
        devices.check_syntax(values["device"])
    except ConfigError as error:
        yield fault("device", error.faults[0].message)
    validates = values["eval_valid"] and values.get("valid_ratio") != 0
    if values.get("early_stop_patience") is not None and not validates:
        reason = "eval_valid: false" if not values["eval_valid"] else "valid_ratio: 0"
        yield fault("early_stop_patience", f"stops by the validation metric, and {reason} leaves none")
    if "lr_scheduler" in components and components["lr_scheduler"].traits.get("needs_value") and not validates:
        yield fault("lr_scheduler", f"{values['lr_scheduler']} follows the validation metric, and this run has none")
    loss = components.get("loss")
    needed = loss.traits.get("min_negatives", 1) if loss else 1
    if "n_negatives" in values and values["n_negatives"] < needed:
        yield fault("n_negatives", f"loss {values['loss']} needs at least {needed} negatives, found {values['n_negatives']}")
    if values["id"] is not None and not _is_file_name(values["id"]):
        yield fault("id", f"must be the name of a folder, found {values['id']!r}")


def _is_file_name(text: str) -> bool:
    return bool(text) and text not in (".", "..") and "/" not in text and "\\" not in text and text.isprintable()


def describe_anything(name: str) -> list[Component]:
    """Return everything registered under `name`, of whatever kind.

    Raises:
        RegistryError: nothing is.
    """
    matches = [registry.describe(name) for registry in REGISTRIES.values() if name in registry]
    if not matches and ".py:" in name:
        matches = [MODELS.describe(name)]
    if not matches:
        everything = [known for registry in REGISTRIES.values() for known in registry.names()]
        raise RegistryError(unknown("component", name, everything))
    return matches
