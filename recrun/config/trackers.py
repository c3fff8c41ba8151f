"""Find the trackers of a run: additional reporters, by name or from a user's file, and their settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Final

from recrun.config.check_value import misdeclared, without_mistakes
from recrun.config.config import Config
from recrun.config.find import from_here
from recrun.config.parser import Parser
from recrun.config.reading import Given, Reading
from recrun.config.same_settings import FORMERLY, settings_of_trackers
from recrun.config.settings import USUAL_REPORTERS
from recrun.errors import ConfigError, Fault, RegistryError, nearest, unknown
from recrun.registry import REPORTERS
from recrun.registry.component import Component
from recrun.registry.user_files import is_file_reference

TENSORBOARD: Final = "tensorboard"
"""The tracker that is a file in the run folder."""


def further_reporters() -> list[str]:
    """Return the registered reporters that a run has only if its `track` names them."""
    return [name for name in REPORTERS.names() if name not in USUAL_REPORTERS]


def by_todays_name(reading: Reading) -> Reading:
    """Return a config with `track` for `trackers`, which it was called in the configs of earlier runs."""
    given = reading.given
    if FORMERLY not in given or "track" in given:
        return reading
    return replace(reading, given={"track" if key == FORMERLY else key: value for key, value in given.items()})


def choose_trackers(given: Given) -> tuple[list[Component], list[Fault], bool]:
    """Return the reporters that `track` names, the faults of the names, and whether all were found."""
    chosen: dict[str, Component] = {}
    faults: list[Fault] = []
    all_known = True
    for position, name in enumerate(given.value if isinstance(given.value, list) else []):
        if not isinstance(name, str):
            continue  # reported when the list's type is checked
        item = Given(name, given.items[position] if position < len(given.items) else given.place)
        if name in USUAL_REPORTERS:
            faults.append(item.fault(f"{name} is already a reporter of every run; remove it", "track"))
            continue
        try:
            component = REPORTERS.describe(from_here(name, item))
            component.check_call(("run", "settings", "resumed_from"))
            if component.name in chosen:
                faults.append(item.fault(f"{name} is given twice; remove one", "track"))
                continue
            mistakes = misdeclared(component)
            faults += [item.fault(message, key) for key, message in mistakes.items()]
            chosen[component.name] = without_mistakes(component, mistakes)
        except RegistryError as error:
            all_known = False
            faults.append(_explain(name, item, error))
    return list(chosen.values()), faults, all_known


def known_tracker(name: str) -> str:
    """Return the name of a tracker that a finished run can be delivered to.

    Raises:
        ConfigError: there is none of this name; the message suggests the nearest one.
    """
    if name == TENSORBOARD:
        raise ConfigError("tensorboard reads the run folder itself: there is nothing to deliver to it")
    if not is_file_reference(name) and (name not in REPORTERS or name in USUAL_REPORTERS):
        names = [each for each in further_reporters() if each != TENSORBOARD]
        raise ConfigError(unknown("tracker", name, names))
    return name


def require_packages(trackers: Iterable[str]) -> None:
    """Refuse trackers whose packages are not installed; nothing is imported.

    A config is valid without them, so that a run can be evaluated where they are not installed.

    Raises:
        ConfigError: with a fault for each of them.
    """
    faults = []
    for name in trackers:
        package = REPORTERS.describe(name).traits.package
        if package is not None and not is_installed(package):
            message = f"{name} needs the package {package}, which is not installed: pip install 'recrun[{package}]'"
            faults.append(Fault(message, key="track"))
    if faults:
        raise ConfigError(faults)


def untracked(config: Config) -> Config:
    """Return a config without trackers and their settings, for a run that repeats another one."""
    left_out = settings_of_trackers(config)
    return Config({**{key: value for key, value in config.items() if key not in left_out}, "track": []})


def is_installed(package: str) -> bool:
    """Return whether a package can be imported; a folder of its name without code, as wandb makes one, is none."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None


def _explain(name: str, item: Given, error: RegistryError) -> Fault:
    """Return the fault of a tracker's name."""
    if is_file_reference(name) or name in REPORTERS:
        return item.fault(str(error), "track")
    available = further_reporters()
    message = f"unknown tracker {name!r} (available: {', '.join([*available, './file.py:Name'])})"
    return item.fault(message, "track", nearest(name, available))


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
