"""Find the trackers of a run: additional reporters, by name or from a user's file, and their settings."""

from __future__ import annotations

from collections.abc import Sequence

from recrun.config.check_value import misdeclared, without_mistakes
from recrun.config.find import from_here
from recrun.config.parser import Parser
from recrun.config.settings import USUAL_REPORTERS
from recrun.config.yaml_reader import Given
from recrun.errors import ConfigError, Fault, RegistryError, nearest
from recrun.registry import REPORTERS
from recrun.registry.component import Component
from recrun.registry.user_files import is_file_reference


def further_reporters() -> list[str]:
    """Return the registered reporters that a run has only if its `trackers` name them."""
    return [name for name in REPORTERS.names() if name not in USUAL_REPORTERS]


def choose_trackers(given: Given) -> tuple[list[Component], list[Fault], bool]:
    """Return the reporters that `trackers` names, the faults of the names, and whether all were found."""
    chosen: dict[str, Component] = {}
    faults: list[Fault] = []
    all_known = True
    for position, name in enumerate(given.value if isinstance(given.value, list) else []):
        if not isinstance(name, str):
            continue  # reported when the list's type is checked
        item = Given(name, given.items[position] if position < len(given.items) else given.place)
        if name in USUAL_REPORTERS:
            faults.append(item.fault(f"{name} is already a reporter of every run; remove it", "trackers"))
            continue
        try:
            component = REPORTERS.describe(from_here(name, item))
            component.check_call(("run", "settings", "resumed_from"))
            mistakes = misdeclared(component)
            faults += [item.fault(message, key) for key, message in mistakes.items()]
            chosen[component.name] = without_mistakes(component, mistakes)
        except RegistryError as error:
            all_known = False
            faults.append(_explain(name, item, error))
    return list(chosen.values()), faults, all_known


def _explain(name: str, item: Given, error: RegistryError) -> Fault:
    """Return the fault of a tracker's name."""
    if is_file_reference(name) or name in REPORTERS:
        return item.fault(str(error), "trackers")
    available = further_reporters()
    message = f"unknown tracker {name!r} (available: {', '.join([*available, './file.py:Name'])})"
    return item.fault(message, "trackers", nearest(name, available))


def declare_trackers(parser: Parser, trackers: Sequence[Component]) -> list[Fault]:
    """Declare the settings of trackers, and return their faults.

    Trackers do not affect results, so their settings must not share names with those of the run or its components.
    """
    taken = set(parser.parameters)
    faults = []
    for tracker in trackers:
        for parameter in tracker.parameters:
            if parameter.name in taken:
                owner = parser.parameters[parameter.name].owner
                message = f"{parameter.owner} cannot have a setting of this name: {owner} already has one"
                faults.append(Fault(message, parameter.name))
        try:
            parser.declare(each for each in tracker.parameters if each.name not in taken)
        except ConfigError as error:
            faults += error.faults
    return faults
