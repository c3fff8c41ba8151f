"""Choose the trackers of a run: reporters besides the usual ones, by name or from a file."""

from __future__ import annotations

from collections.abc import Sequence

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
    """Return the reporters that `trackers` names, what is wrong with the names, and whether all could be told."""
    chosen: dict[str, Component] = {}
    faults: list[Fault] = []
    all_known = True
    for position, name in enumerate(given.value if isinstance(given.value, list) else []):
        if not isinstance(name, str):
            continue  # the check of types says so
        item = Given(name, given.items[position] if position < len(given.items) else given.place)
        if name in USUAL_REPORTERS:
            faults.append(item.fault(f"every run has the reporter {name}; remove it", "trackers"))
            continue
        try:
            component = REPORTERS.describe(from_here(name, item))
            chosen[component.name] = component
        except RegistryError as error:
            all_known = False
            faults.append(_explain(name, item, error))
    return list(chosen.values()), faults, all_known


def _explain(name: str, item: Given, error: RegistryError) -> Fault:
    """Say why a tracker's name is not taken."""
    if is_file_reference(name) or name in REPORTERS:
        return item.fault(str(error), "trackers")
    available = further_reporters()
    message = f"unknown tracker {name!r} (available: {', '.join([*available, './file.py:Name'])})"
    return item.fault(message, "trackers", nearest(name, available))


def declare_trackers(parser: Parser, trackers: Sequence[Component]) -> list[Fault]:
    """Declare the settings of trackers, and return what is wrong with them.

    They decide no number, so none may have the name of a setting of the run or of another component.
    """
    taken = set(parser.parameters)
    faults = []
    for tracker in trackers:
        for parameter in tracker.parameters:
            if parameter.name in taken:
                owner = parser.parameters[parameter.name].owner
                message = f"{parameter.owner} cannot have a setting of this name: {owner} has it"
                faults.append(Fault(message, parameter.name))
        try:
            parser.declare(each for each in tracker.parameters if each.name not in taken)
        except ConfigError as error:
            faults += error.faults
    return faults
