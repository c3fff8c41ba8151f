"""Decide what becomes of settings that a config inherits from another file, or that the command line overrides.

A setting that had a meaning where it was written, and that a later choice made meaningless, is dropped with a note:
`n_negatives` of the file with `loss=cross_entropy` on the command line. A null takes back an inherited setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

from recrun.config.draft import Choice, Facts, choose, parser_of, unsets
from recrun.config.find import TUNED_FOR, bundled_configs, from_here, read_config
from recrun.config.monitor_names import LOSS, parse_monitor
from recrun.config.rules import why_unfit
from recrun.config.yaml_reader import Given, Reading
from recrun.config.yaml_writer import dump_value
from recrun.errors import Fault, RegistryError, nearest
from recrun.registry import DATASETS
from recrun.registry.component import REQUIRED, Component, Parameter
from recrun.registry.conditions import inapplicable
from recrun.registry.user_files import is_file_reference

_SHOWN_CONFIGS: Final = 3


def as_of(given: Mapping[str, Given], layer: int) -> dict[str, Given]:
    """Return the settings as they were before the layers above overrode them."""
    found = {}
    for key, each in given.items():
        below: Given | None = each
        while below is not None and below.layer > layer:
            below = below.overrides
        if below is not None:
            found[key] = below
    return found


def drop_meaningless(reading: Reading, choice: Choice) -> tuple[Reading, list[str]]:
    """Return the settings without the inherited ones that a later choice made meaningless, and notes on those.

    Those that were meaningless already where they were written, and those of the last layer, are kept: they are faults.
    """
    latest = max((each.layer for each in reading.given.values()), default=0)
    declared, kept = choice.declared(), {}
    dropped: dict[tuple[str, str], list[tuple[str, Given]]] = {}

    @cache
    def before(layer: int) -> Choice:
        return choose(replace(reading, given=as_of(reading.given, layer)))

    for key, given in reading.given.items():
        if key in declared or (given.layer == latest and given.value is not None):
            kept[key] = given
        elif given.value is None and given.overrides is not None:
            continue
        elif given.layer < latest and key in before(given.layer).declared():
            reason = _reason(key, choice, before(given.layer).owner(key))
            dropped.setdefault((given.place.file if given.place else "", reason), []).append((key, given))
        else:
            kept[key] = given
    notes = [_note(file, reason, settings) for (file, reason), settings in dropped.items()]
    return replace(reading, given=kept), notes


def drop_inapplicable(values: dict[str, Any], facts: Facts, reading: Reading) -> tuple[list[Fault], list[str]]:
    """Give settings that other settings leave without a meaning their defaults: inherited ones, with a note on each.

    Those of the last layer, and those without a meaning already where they were written, are faults.

    Args:
        values: the settings with a valid value; changed in place.
        facts: what is known of the config, with the same `values`.
        reading: what was written.
    """
    faults, notes = [], []
    for key, parameter in facts.parameters.items():
        given = facts.given.get(key)
        if given is None or key not in values or values[key] == parameter.default:
            continue
        try:
            reason = inapplicable(parameter, facts.settings)
        except RegistryError as error:
            faults.append(given.key_fault(f"{parameter.owner} has a faulty condition on it: {error}", key))
            continue
        if reason is None:
            continue
        if given.layer < max(each.layer for each in reading.given.values()) and _applied(key, given.layer, reading):
            values[key] = parameter.default
            notes.append(f"{_written(key, given)}{_of(given)} does not apply: {reason}; it is dropped")
        else:
            faults.append(facts.with_origin(given.fault(f"does not apply: {reason}; remove it", key)))
    return faults, notes


def _applied(key: str, layer: int, reading: Reading) -> bool:
    """Return whether a setting had a meaning as of a layer."""
    facts = _facts_as_of(layer, reading)
    return key not in facts.parameters or inapplicable(facts.parameters[key], facts.settings) is None


def _facts_as_of(layer: int, reading: Reading) -> Facts:
    given = as_of(reading.given, layer)
    choice = choose(replace(reading, given=given))
    parser, known, _ = parser_of(choice)
    return Facts(parser.check(given)[0], choice.components, given, known)


def drop_unfit_monitors(values: dict[str, Any], facts: Facts, reading: Reading) -> list[str]:
    """Drop the inherited monitors that this run cannot have, and return a note on each.

    Where none is left, the default ones are taken. Monitors that did not fit already where they were written are kept:
    they are faults.

    Args:
        values: the settings with a valid value, the monitors in one spelling; changed in place.
        facts: what is known of the config, with the same `values`.
        reading: what was written.
    """
    given, latest = facts.given.get("monitors"), max((each.layer for each in facts.given.values()), default=0)
    if given is None or given.layer == latest or "monitors" not in values:
        return []
    before, reasons = _facts_as_of(given.layer, reading), {}
    for monitor in map(parse_monitor, values["monitors"]):
        reason = why_unfit(facts, monitor)
        if reason is not None and why_unfit(before, monitor) is None:
            reasons[str(monitor)] = reason.partition(";")[0]
    kept = [monitor for monitor in values["monitors"] if monitor not in reasons]
    left = [monitor for monitor in kept if monitor != LOSS] or list(facts.parameters["monitors"].default)
    values["monitors"] = kept if set(left) <= set(kept) else [*kept, *left]
    criterion = facts.given.get("which4best", Given(None))
    if values.get("which4best") in reasons and (criterion.value is None or criterion.layer < latest):
        values["which4best"] = left[-1]
    return [f"monitors{_of(given)}: {reason}; it is dropped" for reason in reasons.values()]


def drop_unmonitored_criterion(values: dict[str, Any], facts: Facts) -> list[str]:
    """Let the last monitor choose where later monitors leave out an inherited criterion, and return a note on that.

    Args:
        values: the settings with a valid value, in one spelling; changed in place.
        facts: what is known of the config, with the same `values`.
    """
    criterion, monitors = facts.given.get("which4best"), facts.given.get("monitors")
    choices = [monitor for monitor in values.get("monitors", ()) if monitor != LOSS]
    if criterion is None or monitors is None or not choices or values.get("which4best") in (None, *choices):
        return []
    if criterion.value is None or criterion.layer >= monitors.layer:
        return []
    values["which4best"] = choices[-1]
    written = f"{_written('which4best', criterion)}{_of(criterion)}"
    return [f"{written} is not among the monitors; it is dropped, and {choices[-1]} chooses the best epoch"]


def drop_early_stop(values: dict[str, Any], facts: Facts) -> list[str]:
    """Drop an inherited patience where later settings leave no validation to stop by, and return a note on that.

    Args:
        values: the settings with a valid value; changed in place.
        facts: what is known of the config, with the same `values`.
    """
    patience, reason = facts.given.get("early_stop_patience"), facts.without_validation
    cause = facts.given.get((reason or "").partition(":")[0])
    if patience is None or cause is None or cause.layer <= patience.layer or values.get("early_stop_patience") is None:
        return []
    values["early_stop_patience"] = None
    written = f"{_written('early_stop_patience', patience)}{_of(patience)}"
    return [f"{written} does not apply: {reason} leaves no validation metric; it is dropped"]


def explain_misfits(faults: Sequence[Fault], reading: Reading) -> list[Fault]:
    """Return faults of values; one of a value that fitted where it was written says where it is from."""
    latest = max((each.layer for each in reading.given.values()), default=0)
    explained = []
    for fault in faults:
        given = reading.given.get(fault.key)
        if given is not None and given.layer < latest:
            before = as_of(reading.given, given.layer)
            parser, _, _ = parser_of(choose(replace(reading, given=before)))
            if fault.key not in {each.key for each in parser.check(before)[1]}:
                fault = replace(fault, message=fault.message + given.origin(fault.key, reading.given))
        explained.append(fault)
    return explained


def take_back(given: Mapping[str, Given], parameters: Mapping[str, Parameter]) -> tuple[dict[str, Given], list[str]]:
    """Return the settings without those that a null unsets, and a note on each of these."""
    kept, notes = {}, []
    for key, each in given.items():
        if key not in parameters or not unsets(each, parameters[key].annotation) or each.overrides is None:
            kept[key] = each
            continue
        default = parameters[key].default
        now = "" if default is REQUIRED else f"; the default is {dump_value(default)}"
        notes.append(f"{_written(key, each.overrides)}{_of(each.overrides)} is unset{now}")
    return kept, notes


def _reason(key: str, choice: Choice, owner: str | None) -> str:
    """Return what leaves a setting without a meaning.

    Args:
        key: the setting.
        choice: the components of the run.
        owner: the setting that chose the component which declared it; None for a setting of the run.
    """
    family, names = choice.family, {setting: known.name for setting, known in choice.components.items()}
    model = f"model {names.get('model')}"
    if owner in names:
        return f"{owner} {names[owner]}"
    if not family.trains:
        return f"{model}, which is fitted in closed form"
    if key in family.without or owner in family.without:
        return f"{model}, which is trained on {family.rows}"
    if key == "shuffled_time":
        return f"{model}, which reads no histories"
    if key == "sampler" or owner == "sampler":
        return f"loss {names.get('loss')}, which uses no sampled negatives"
    return model


def _note(file: str, reason: str, settings: Sequence[tuple[str, Given]]) -> str:
    written = ", ".join(_written(key, given) for key, given in settings)
    verb, dropped = ("do", "they are dropped") if len(settings) > 1 else ("does", "it is dropped")
    return f"{written}{f' of {file}' if file else ''} {verb} not apply to {reason}; {dropped}"


def _written(key: str, given: Given) -> str:
    return f"{key}={given.text if given.text is not None else dump_value(given.value)}"


def _of(given: Given) -> str:
    return f" of {given.place.file}" if given.place is not None else ""


def read_tuned_for(given: Given) -> tuple[tuple[str, ...], list[Fault]]:
    """Return the data sets that a config's `tuned_for` names, and the faults of the others."""
    written = [given.value] if isinstance(given.value, str) else given.value
    if not isinstance(written, list) or not written:
        return (), [given.fault("expected a data set, or a list of them", TUNED_FOR)]
    names, faults = [], []
    for position, name in enumerate(written):
        if not isinstance(name, str):
            faults.append(given.fault(f"expected a data set, found {name!r}", TUNED_FOR, item=position))
        elif is_file_reference(name):
            names.append(from_here(name, given))
        elif name in DATASETS:
            names.append(name)
        else:
            known = DATASETS.names()
            message = f"unknown dataset {name!r} (available: {', '.join(known)})"
            faults.append(given.fault(message, TUNED_FOR, nearest(name, known), position))
    return tuple(dict.fromkeys(names)), faults


def note_of_other_data(
    given: Given, tuned_for: Sequence[str], dataset: Component, model: Component | None
) -> Iterator[str]:
    """Yield a note if the settings were chosen for other data than the run's, with the bundled configs for this data.

    Args:
        given: the config's `tuned_for`, as written.
        tuned_for: the data sets that it names.
        dataset: that of the run.
        model: that of the run.
    """
    if not tuned_for or dataset.name in tuned_for:
        return
    file = given.place.file if given.place else "the config"
    note = f"the settings of {file} were chosen for {' and '.join(tuned_for)}, not for {dataset.name}"
    there = [] if model is None else configs_tuned_for(dataset.name, model.name)
    yield f"{note}; for {dataset.name} see {', '.join(there[:_SHOWN_CONFIGS])}" if there else note


def configs_tuned_for(dataset: str, model: str | None = None) -> list[str]:
    """Return the bundled configs whose settings were chosen for a data set, those of one model or of any."""
    found = []
    for name, path in bundled_configs().items():
        reading = read_config(path)
        chosen = reading.given.get("model")
        if reading.tuned_for is not None and dataset in read_tuned_for(reading.tuned_for)[0]:
            found += [name] if model is None or (chosen is not None and chosen.value == model) else []
    return found


def tuned_for_schema() -> dict[str, Any]:
    """Return the JSON Schema of `tuned_for`."""
    name = {"type": "string"}
    return {
        "anyOf": [name, {"type": "array", "items": name, "minItems": 1}],
        "description": "data sets for which the settings were chosen; a run on another one says so",
    }
