"""Decide what becomes of settings that a config inherits from another file, or that the command line overrides.

A setting that had a meaning where it was written, and that a later choice made meaningless, is dropped with a note:
`n_negatives` of the file with `loss=cross_entropy` on the command line. A null takes back an inherited setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

from recrun.config.draft import Choice, Facts, choose, default_of, parser_of, unsets
from recrun.config.monitor_names import LOSS, parse_monitor
from recrun.config.reading import Given, Reading
from recrun.config.rules.of_evaluation import why_unfit
from recrun.config.rules.of_models import OF_A_MODEL
from recrun.config.settings import OF_SEQUENCES
from recrun.config.yaml_writer import dump_value
from recrun.errors import Fault, RegistryError
from recrun.registry.component import REQUIRED, Parameter
from recrun.registry.conditions import inapplicable
from recrun.registry.user_files import is_file_reference

_OF_A_MODEL: Final = ("loss", "sampler", "optimizer", "logq_correction")
"""What a model may be unable to have; in this order, since a loss decides about samplers."""


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


def drop_unfit_choices(reading: Reading) -> tuple[Reading, list[str]]:
    """Replace what a later model cannot have of an inherited loss, sampler and optimizer by the defaults, with notes.

    What did not fit already where it was written is kept: it is a fault.
    """
    model, notes, given = reading.given.get("model"), [], dict(reading.given)
    older = [key for key in _OF_A_MODEL if model is not None and key in given and given[key].layer < model.layer]
    for key in older:
        chosen = given[key]
        fault = _misfit(key, given, reading)
        if model is None or chosen.value is None or fault is None:
            continue
        if _misfit(key, as_of(reading.given, chosen.layer), reading) is None:
            given[key] = Given(default_of(key), model.place, layer=model.layer, overrides=chosen)
            reason = fault.message.partition(";")[0]
            notes.append(f"{_written(key, chosen)}{_of(chosen)} does not fit: {reason}; it is dropped")
    return replace(reading, given=given), notes


def _misfit(key: str, given: Mapping[str, Given], reading: Reading) -> Fault | None:
    """Return the first fault of a setting among those of what a model can have, or None."""
    facts = _facts(given, reading)
    return next((fault for rule in OF_A_MODEL for fault in rule(facts) if fault.key == key), None)


def drop_inapplicable(values: dict[str, Any], facts: Facts, reading: Reading) -> tuple[list[Fault], list[str]]:
    """Give settings that other settings leave without a meaning their defaults: inherited ones, with a note on each.

    Those of the last layer, and those without a meaning already where they were written, are faults.

    Args:
        values: the settings with a valid value; changed in place.
        facts: what is known of the config, with the same `values`.
        reading: what was written.
    """
    latest, notes = max((each.layer for each in reading.given.values()), default=0), list[str]()
    while True:  # What is dropped may leave another setting without a meaning, wherever that is declared.
        dropped, faults = {}, []
        for key, parameter in facts.parameters.items():
            given = facts.given.get(key)
            if given is None or key not in values or values[key] == parameter.default:
                continue
            try:
                reason = inapplicable(parameter, facts.settings)
                if reason is None:
                    continue
                if given.layer < latest and _applied(key, given.layer, reading):
                    dropped[key] = f"{_written(key, given)}{_of(given)} does not apply: {reason}; it is dropped"
                else:
                    faults.append(facts.with_origin(given.fault(f"does not apply: {reason}; remove it", key)))
            except RegistryError as error:
                faults.append(given.key_fault(f"{parameter.owner} has a faulty condition on it: {error}", key))
        if not dropped:
            return faults, notes
        values |= {key: facts.parameters[key].default for key in dropped}
        notes += dropped.values()


def _applied(key: str, layer: int, reading: Reading) -> bool:
    """Return whether a setting had a meaning as of a layer."""
    facts = _facts_as_of(layer, reading)
    return key not in facts.parameters or inapplicable(facts.parameters[key], facts.settings) is None


def _facts_as_of(layer: int, reading: Reading) -> Facts:
    return _facts(as_of(reading.given, layer), reading)


def _facts(given: Mapping[str, Given], reading: Reading) -> Facts:
    given = dict(given)
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


def drop_validation(values: dict[str, Any], facts: Facts) -> list[str]:
    """Leave the evaluation on valid out where that part is trained on, and return a note if an earlier setting asked.

    Args:
        values: the settings with a valid value; changed in place.
        facts: what is known of the config, with the same `values`.
    """
    train_on, asked = facts.given.get("train_on"), facts.given.get("eval_valid")
    if values.get("train_on") != "train_valid" or values.get("eval_valid") is not True:
        return []
    if asked is None:
        values["eval_valid"] = False
    if asked is None or train_on is None or asked.layer >= train_on.layer:
        return []
    values["eval_valid"] = False
    written = f"{_written('eval_valid', asked)}{_of(asked)}"
    return [f"{written} does not apply: train_on: train_valid leaves nothing to validate on; it is dropped"]


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


def overruled_defaults(choice: Choice, known: Mapping[str, Parameter], given: Mapping[str, Given]) -> list[str]:
    """Return a note for each default of a user's own component that another declaration of the setting overrules."""
    notes = []
    for component in choice.components.values():
        for own in component.parameters if is_file_reference(component.name) else ():
            first = known.get(own.name, own)
            if own.name not in given and own.default is not REQUIRED and own.default != first.default:
                its = "it has none" if first.default is REQUIRED else f"its default {dump_value(first.default)} holds"
                notes.append(f"{own.name} is a setting of {first.owner} too: {its}, not {dump_value(own.default)}")
    return notes


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
    if key in OF_SEQUENCES:
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
