"""Resolve a config: find its components, check every setting, and return one complete Config.

Nothing here imports torch or reads data: components are described from their source code (`recrun.registry`), so a
config is checked in a fraction of a second, and all faults are reported together.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from recrun.config.config import Config
from recrun.config.draft import OF_ANY_MODEL, Choice, Facts, choose, parser_of
from recrun.config.expected import Expected, note_of_other_data, read_expected, read_tuned_for, unmeasured
from recrun.config.family import Family, family_of
from recrun.config.find import find_config, read_config, read_settings
from recrun.config.given.arguments import Overrides, read_arguments
from recrun.config.inherited import (
    drop_early_stop,
    drop_inapplicable,
    drop_meaningless,
    drop_unfit_choices,
    drop_unfit_monitors,
    drop_unmonitored_criterion,
    drop_validation,
    explain_misfits,
    overruled_defaults,
    take_back,
)
from recrun.config.monitor_names import kind_of, settle
from recrun.config.parser import Parser
from recrun.config.reading import Given, Reading, overlay
from recrun.config.rules.contradictions import contradictions
from recrun.config.rules.criteria import check_criteria, with_first_criterion
from recrun.config.same_settings import decides
from recrun.config.settings import COMPONENTS, OF_SEQUENCES, TRAINING
from recrun.config.suggestions.keys import REMARKS, RENAMED, TYPO, bare, meant_setting, renamed
from recrun.config.suggestions.own_files import explain_python
from recrun.config.suggestions.translations import monitor_of, remark_on
from recrun.config.trackers import by_todays_name
from recrun.errors import ConfigError, Fault, RegistryError, nearest, reading_order, unknown
from recrun.registry import DATASETS, ENGINES, LOSSES, METRICS, MODELS, REGISTRIES, REPORTERS, SAMPLERS, SPLITS
from recrun.registry.component import Component
from recrun.registry.modules import parse_file
from recrun.registry.read_source import registrations
from recrun.registry.registry import Registry
from recrun.registry.user_files import is_file_reference

OF_MAPPING: Final = "settings"
"""The path of a config that is a mapping, in no file."""

_PATHS: Final = ("path", "train_path", "valid_path", "test_path")
"""The settings that name files of data."""


@dataclass(frozen=True)
class Resolved:
    """A config that can be run.

    Args:
        config: every setting of the run and of its components, and no others.
        components: the chosen components by the setting that chooses them; a closed-form model has no loss.
        path: the file the config came from.
        given: what the file or the overrides set, as written.
        expected: the expected values that the file lists for these settings.
        tuned_for: the data sets for which the file says that its settings were chosen.
        notes: what a user should know about the settings.
        criteria: the metrics by which a sweep compares its points: `which4best`, or all of them where it is a list.
    """

    config: Config
    components: Mapping[str, Component]
    path: str
    given: Mapping[str, Given]
    expected: tuple[Expected, ...] = ()
    tuned_for: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ()

    @property
    def trains(self) -> bool:
        """Whether the model is trained by gradient descent; if not, it is fitted in closed form."""
        return "optimizer" in self.components

    @property
    def family(self) -> Family:
        """The family of the model, which says what kind of rows it is trained on."""
        return family_of(self.components.get("model"))

    def arguments(self, setting: str) -> dict[str, Any]:
        """Return the keyword arguments of the component that a setting chooses."""
        return {parameter.name: self.config[parameter.name] for parameter in self.components[setting].parameters}


def resolve(config: str | Path | Mapping[str, Any] | None, overrides: Overrides = ()) -> Resolved:
    """Find, read and check a config.

    Args:
        config: an existing path, else the stem of a bundled config (`bprmf`, `gowalla/bprmf`); None for `recrun.yaml`
            in the working folder, else the bundled `bprmf`. Or a mapping, in place of a file.
        overrides: `KEY=VALUE` arguments, or Python values by key, which override the file.

    Raises:
        ConfigError: with every fault found.
    """
    return _check(*read(config, overrides))


def resolve_given(given: Mapping[str, Given], path: str) -> Resolved:
    """Check settings that have already been read.

    Raises:
        ConfigError: with every fault found.
    """
    return _check(Reading(dict(given)), path)


def read(config: str | Path | Mapping[str, Any] | None, overrides: Overrides = ()) -> tuple[Reading, str]:
    """Read a config and overrides without checking them; return them and the path. Arguments as for `resolve`."""
    try:
        path = OF_MAPPING if isinstance(config, Mapping) else str(find_config(config))
        reading = read_settings(config) if isinstance(config, Mapping) else read_config(path)
    except ConfigError as error:
        path, reading = str(config), Reading({}, error.faults, complete=False)
    arguments = read_arguments(overrides)
    complete = reading.complete and not arguments.faults
    given = overlay(reading.given, arguments.given)
    as_written = not decides(arguments.given, {})
    faults = reading.faults + arguments.faults
    return Reading(given, faults, complete, reading.expected, reading.tuned_for, as_written, reading.sweep), path


def _check(reading: Reading, path: str) -> Resolved:
    """Check what was read; the file's expected values count only if no override changes what is computed."""
    reading, several = with_first_criterion(by_todays_name(reading))
    reading, notes = drop_unfit_choices(reading)
    choice = choose(reading)
    reading, dropped = drop_meaningless(reading, choice)
    notes += dropped
    parser, known, found = parser_of(choice)
    faults = [*reading.faults, *choice.faults, *found]
    notes += overruled_defaults(choice, known, reading.given)
    given, unset = take_back(reading.given, parser.parameters)
    reading, notes = replace(reading, given=given), [*notes, *unset]
    strangers = [key for key in reading.given if key not in parser.parameters]
    faults += [_explain_key(key, reading, parser, choice) for key in strangers]
    values, found = parser.check(reading.given, complete=reading.complete and not choice.unknown)
    faults += explain_misfits(found, reading)
    values |= {setting: component.name for setting, component in choice.components.items() if setting in values}
    if "track" in values:
        values["track"] = list(dict.fromkeys(tracker.name for tracker in choice.trackers))
    facts = Facts(values, choice.components, reading.given, known)
    found, dropped = drop_inapplicable(values, facts, reading)
    faults, notes = [*faults, *found], [*notes, *dropped]
    if "description" in values and values["description"] is None and "model" in facts.components:
        values["description"] = facts.components["model"].name.rpartition(":")[2]
    if choice.family.histories and values.get("train_path") is not None and values.get("valid_path") is None:
        # Validation must come after what is left in train.
        values |= {"valid_from": "end"} if "valid_from" in values and "valid_from" not in reading.given else {}
    if values.get("shuffled_time"):
        notes.append("shuffled_time: the histories that are read may hold items from after the held-out ones")
    faults += settle(values, reading.given)
    notes += drop_unfit_monitors(values, facts, reading)
    notes += drop_unmonitored_criterion(values, facts)
    notes += [*drop_validation(values, facts), *drop_early_stop(values, facts)]
    faults += contradictions(facts)
    criteria, found, dropped = check_criteria(several, facts)
    faults, notes = [*faults, *found], [*notes, *dropped]
    expected: dict[int, Expected] = {}
    if reading.expected is not None:
        expected, found = read_expected(reading.expected)
        faults += [*found, *(unmeasured(expected, facts, reading.expected) if reading.as_written else ())]
    tuned_for: tuple[str, ...] = ()
    if reading.tuned_for is not None:
        tuned_for, found = read_tuned_for(reading.tuned_for)
        faults += found
    if faults:
        placed = [fault if fault.file is not None else replace(fault, file=path) for fault in faults]
        raise ConfigError(sorted(dict.fromkeys(placed), key=reading_order))
    measured = tuple(expected.values()) if reading.as_written else ()
    if reading.tuned_for is not None:
        dataset, model = choice.components["dataset"], choice.components["model"]
        notes += note_of_other_data(reading.tuned_for, tuned_for, dataset, model)
    given = dict(reading.given)
    return Resolved(Config(values), choice.components, path, given, measured, tuned_for, tuple(notes), criteria)


def _explain_key(key: str, reading: Reading, parser: Parser, choice: Choice) -> Fault:
    """Return the fault of a key that this run does not have: unknown everywhere, or a setting of something else."""
    given = reading.given[key]
    remark = _of_other_programs(key, reading, parser)
    if remark is not None:
        return given.key_fault(f"unknown setting; {remark}", key)
    meant = renamed(key, parser.parameters)
    if meant is not None:
        return given.key_fault("unknown setting", key, meant)
    message = _of_something_else(key, parser, choice)
    if message is not None:
        return given.key_fault(message, key)
    slip = nearest(key, parser.parameters, cutoff=TYPO)
    for elsewhere in RENAMED.get(bare(key), ()) if slip is None else ():
        message = _of_something_else(elsewhere, parser, choice)
        if message is not None:
            return given.key_fault(f"unknown setting, called {elsewhere} here; {elsewhere}: {message}", key)
    return given.key_fault("unknown setting", key, meant_setting(key, parser.parameters))


def _of_other_programs(key: str, reading: Reading, parser: Parser) -> str | None:
    """Return what to write instead of a key of another program, where that is more than another key."""
    if bare(key) in REMARKS:
        return REMARKS[bare(key)]
    given, known = reading.given, parser.parameters
    if renamed(key, known) == "which4best" and isinstance(given[key].value, str):
        monitor = monitor_of(given[key].value, METRICS.names())
        return monitor and f"write which4best: {monitor}, which must be one of the monitors"
    cutoffs = {metric.name: bool(kind_of(metric).traits.cutoff) for metric in METRICS}
    return remark_on(key, {each: written.value for each, written in given.items()}, cutoffs, known)


def _of_something_else(key: str, parser: Parser, choice: Choice) -> str | None:
    """Return why this run does not have a setting that others have, or None if there is no such setting."""
    components = choice.components
    if not choice.family.trains and key in _training_keys():
        name = components["model"].name
        return f"model {name} is fitted in closed form and takes no training settings; remove it"
    if key in choice.family.without:
        return (
            f"does not apply to model {components['model'].name}, which is trained on {choice.family.rows}; remove it"
        )
    if key in OF_SEQUENCES and "model" in components:
        return f"does not apply to model {components['model'].name}, which reads no histories; remove it"
    if key == "sampler":
        return f"does not apply to loss {components['loss'].name}, which uses no sampled negatives; remove it"
    owners = [
        f"{component.kind} {component.name}"
        for registry in COMPONENTS.values()
        for component in registry
        if key in {parameter.name for parameter in component.parameters}
    ]
    near = nearest(key, parser.parameters, cutoff=TYPO)
    # `n_candidates` is a number of something else than `candidates`, and no slip of the pen.
    if not owners or (near is not None and key != f"n_{near}"):
        return None
    using = ", ".join(f"{setting} {component.name}" for setting, component in components.items())
    others = f"{', '.join(owners[:3])}{' and others' if len(owners) > 3 else ''}"
    hint = "; add dataset=File" if key in _PATHS and "dataset" in components else ""
    return f"is a setting of {others}; this run uses {using}{hint}"


def _training_keys() -> set[str]:
    """Return the keys that only models trained by gradient descent have: `TRAINING`, and those of their components."""
    registries = [registry for setting, registry in COMPONENTS.items() if setting not in OF_ANY_MODEL]
    own = [parameter for registry in registries for component in registry for parameter in component.parameters]
    return {parameter.name for parameter in (*TRAINING, *own)}


def describe_anything(name: str) -> list[Component]:
    """Return everything registered under `name`, of any kind.

    Raises:
        RegistryError: nothing is registered under that name.
    """
    if is_file_reference(name):
        return [_registry_of(name).describe(name)]
    if name.endswith(".py"):
        raise RegistryError(f"{name} is a file: {explain_python(name)}")
    matches = [registry.describe(name) for registry in REGISTRIES.values() if name in registry]
    if not matches:
        everything = {known for registry in REGISTRIES.values() for known in registry.names()}
        raise RegistryError(unknown("component", name, everything))
    return matches


def _registry_of(reference: str) -> Registry:
    """Return the registry that something in a user's own file belongs to.

    A decorator tells, or the base class of a class; of functions without a decorator, splits take one argument, metrics
    take three of which the last is k, and reporters are made of three.
    """
    path, _, attribute = reference.rpartition(":")
    node = parse_file(path).definitions.get(attribute)
    for registry in REGISTRIES.values():
        if node is not None and any(registrations(node, registry.constant)):
            return registry
    if isinstance(node, ast.FunctionDef):
        names = [argument.arg for argument in node.args.args]
        return SPLITS if len(names) == 1 else METRICS if names[-1:] == ["k"] else REPORTERS
    bases = MODELS.describe(reference).bases
    by_base = {
        "BaseCriterion": LOSSES,
        "RecDataSet": DATASETS,
        "NegativeSampler": SAMPLERS,
        "Reporter": REPORTERS,
        "Engine": ENGINES,
    }
    return next((registry for base, registry in by_base.items() if base in bases), MODELS)
