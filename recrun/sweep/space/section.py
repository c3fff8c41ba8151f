"""Read the section `sweep:` of a config: what it varies, and how it searches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from recrun.config.check_value import Misfit, fit, shown, type_name
from recrun.config.find import from_here
from recrun.config.reading import Given, Place
from recrun.config.settings import COMPONENTS
from recrun.config.sweep_section import BUDGET, BUDGET_KEYS, KEY, KEYS, RANGE_KEYS, SPACE
from recrun.config.yaml_writer import dump_value
from recrun.errors import Fault, nearest
from recrun.registry.component import Parameter
from recrun.registry.user_files import is_file_reference
from recrun.sweep.space.arguments import Setting, in_a_list, listed
from recrun.sweep.space.asked import Asked, Zip
from recrun.sweep.space.ranges import Range, Value, read_range

_POINTS: Final = "points"
_ZIP: Final = "zip"
_SEEDS: Final = "seeds"
_BOUNDS: Final = tuple(each.name for each in RANGE_KEYS)


@dataclass(frozen=True)
class Budget:
    """What a sweep may take; None for no limit.

    Args:
        max_hours: hours after which no further trial starts.
        max_epochs: epochs that all trials may train together.
        timeout: seconds after which a trial is ended as failed.
        retries: how often a trial that failed is repeated.
    """

    max_hours: float | None = None
    max_epochs: int | None = None
    timeout: float | None = None
    retries: int | None = None


@dataclass(frozen=True)
class Section:
    """The section of a config; None for what it does not say.

    Args:
        asked: what varies.
        search: how points are chosen.
        trials: how many points are tried.
        seeds: how many seeds each point has, or which.
        prune: how points that do badly are ended early.
        race: whether seeds are added only to points that are not significantly worse.
        generation: how many points are drawn before the first of them has a result.
        search_seed: the seed of the search.
        budget: what the sweep may take.
        places: where each key was written.
    """

    asked: Asked = field(default_factory=Asked)
    search: str | None = None
    trials: int | None = None
    seeds: int | tuple[int, ...] | None = None
    prune: str | None = None
    race: bool | None = None
    generation: int | None = None
    search_seed: int | None = None
    budget: Budget = field(default_factory=Budget)
    places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def is_grid(self) -> bool:
        """Whether it asks for every value: by its search, or because it names none."""
        return self.search == "grid" or "search" not in self.places

    @property
    def decides(self) -> bool:
        """Whether results decide how far trials are trained."""
        return self.prune is not None or bool(self.race) or self.budget.max_epochs is not None


def read_section(given: Given | None) -> tuple[Section, list[Fault]]:
    """Read the section of a config, and return every fault of its form.

    Args:
        given: `Reading.sweep`, or None for a config without a section.
    """
    if given is None:
        return Section(), []
    faults: list[Fault] = []
    if not isinstance(given.value, Mapping):
        message = f"expected a mapping ({', '.join(each.name for each in KEYS)}), found {_found(given)}"
        return Section(), [given.fault(message, KEY)]
    values = _plain_values(given, KEYS, KEY, faults, besides=(SPACE, _POINTS, _ZIP, _SEEDS, BUDGET))
    settings: list[Setting] = []
    if SPACE in given.parts:
        settings = _Space(faults).level(given.parts[SPACE], SPACE)
    points = list(_points(given.parts.get(_POINTS), faults))
    zips = list(_zips(given.parts.get(_ZIP), faults))
    budget = given.parts.get(BUDGET)
    limits = {} if budget is None else _plain_values(budget, BUDGET_KEYS, BUDGET, faults)
    places = {key: part.place for key, part in given.parts.items() if isinstance(key, str) and part.place is not None}
    asked = Asked(tuple(settings), tuple(zips), tuple(points))
    seeds = _seeds(given.parts.get(_SEEDS), faults)
    return Section(asked, seeds=seeds, budget=Budget(**limits), places=places, **values), faults


def _plain_values(
    given: Given, keys: Sequence[Parameter], name: str, faults: list[Fault], besides: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the valid values of a mapping with known keys."""
    names = [each.name for each in keys]
    if not isinstance(given.value, Mapping):
        faults.append(given.fault(f"expected a mapping ({', '.join(names)}), found {_found(given)}", name))
        return {}
    values = {}
    for key, part in given.parts.items():
        parameter = next((each for each in keys if each.name == key), None)
        if parameter is None:
            message = f"unknown key in {name!r} (available: {', '.join(names)})"
            faults.append(part.key_fault(message, str(key), nearest(str(key), names)))
        elif key not in besides:
            try:
                values[str(key)] = fit(parameter.annotation, part.value)
            except Misfit:
                message = f"expected {type_name(parameter.annotation)}, found {_found(part)}"
                guess = (
                    nearest(part.value, type_name(parameter.annotation).removeprefix("one of ").split(", "))
                    if (isinstance(part.value, str))
                    else None
                )
                faults.append(part.fault(message, str(key), guess))
    return values


@dataclass
class _Space:
    """Reads what varies, and collects the faults."""

    faults: list[Fault]

    def level(self, given: Given, name: str) -> list[Setting]:
        """Return the settings of a mapping: the space itself, or what depends on one choice."""
        if not isinstance(given.value, Mapping):
            self.faults.append(given.fault(f"expected a mapping of settings, found {_found(given)}", name))
            return []
        found = [self._setting(str(key), part) for key, part in given.parts.items()]
        return [each for each in found if each is not None]

    def _setting(self, key: str, given: Given) -> Setting | None:
        setting = Setting(key, (), 0, place=given.key_place)
        if key == KEY or not key.isidentifier():
            self.faults.append(given.key_fault("is no setting", key))
            return None
        if isinstance(given.value, list):
            return self._list(setting, given)
        if not isinstance(given.value, Mapping):
            n_before = len(self.faults)
            found = self._range(setting, given)
            if len(self.faults) > n_before:
                return None
            if found is not None:
                return listed(replace(setting, range=found))
            return replace(setting, values=(value_of(given),))
        if key in COMPONENTS or not set(given.value) & set(_BOUNDS):
            return self._branches(setting, given)
        return self._bounds(setting, given)

    def _list(self, setting: Setting, given: Given) -> Setting | None:
        """Return a setting with the values of a list; ranges in it stand for their values."""
        if not given.value:
            self.faults.append(given.fault("has no values: the list is empty", setting.key))
            return None
        values: dict[str, Value] = {}
        for part in given.parts.values():
            value = value_of(part)
            n_before = len(self.faults)
            found = self._range(setting, part)
            texts = [value.text] if len(self.faults) == n_before else []
            if found is not None:
                texts, message = in_a_list(found)
                self.faults += [setting.fault(message, value)] if message else []
            repeated = next((text for text in texts if text in values), None)
            if repeated is not None:
                self.faults.append(setting.fault(f"the value {repeated} is given twice", value))
            values |= {text: replace(value, text=text) for text in texts if text not in values}
        return replace(setting, values=tuple(values.values())) if values else None

    def _range(self, setting: Setting, given: Given) -> Range | None:
        """Return the range that a text is, or None; quotes make no difference to that in a file."""
        if not isinstance(given.value, str):
            return None
        value = value_of(given)
        inside = 0 if given.text is not None or value.column is None else 1
        found, problems = read_range(value.part(given.value, inside))
        self.faults += [setting.fault(message, at, suggestion) for message, at, suggestion in problems]
        return found

    def _bounds(self, setting: Setting, given: Given) -> Setting | None:
        """Return a setting with a range that is written as a mapping."""
        n_before = len(self.faults)
        _plain_values(given, RANGE_KEYS, setting.key, self.faults)
        missing = [each for each in ("from", "to") if each not in given.parts]
        self.faults += [given.fault(f"a range needs {each!r}", setting.key) for each in missing]
        if len(self.faults) > n_before:
            return None
        parts = {key: value_of(part) for key, part in given.parts.items()}
        whole = replace(value_of(given), text="")
        found = Range(whole, parts["from"], parts["to"], parts.get("step"), bool(given.value.get("log")))
        found = replace(found, whole=replace(whole, text=found.text))
        problem = found.problem()
        if problem is not None:
            message, at, suggestion = problem
            self.faults.append(setting.fault(message, at, suggestion))
            return None
        return listed(replace(setting, range=found))

    def _branches(self, setting: Setting, given: Given) -> Setting | None:
        """Return a setting with what depends on each of its values."""
        if not given.value:
            self.faults.append(given.fault("has no values: the mapping is empty", setting.key))
            return None
        values, branches = [], {}
        for name, part in given.parts.items():
            place = part.key_place or Place("")
            text = str(name)
            if is_file_reference(text):
                text = from_here(text, given)
            value = Value(dump_value(text), place.column, place.file, place.line)
            values.append(value)
            inner = [] if part.value is None else self.level(part, text)
            branches[value.text] = tuple(inner)
        return replace(setting, values=tuple(values), branches=branches)


def _points(given: Given | None, faults: list[Fault]) -> Iterator[dict[str, Value]]:
    """Yield the points of a list of mappings."""
    if given is None:
        return
    if not isinstance(given.value, list) or not given.value:
        faults.append(given.fault(f"expected a list of mappings of settings, found {_found(given)}", _POINTS))
        return
    for part in given.parts.values():
        if isinstance(part.value, Mapping) and part.value:
            yield {str(key): value_of(value) for key, value in part.parts.items()}
        else:
            faults.append(part.fault(f"expected a mapping of settings, found {_found(part)}", _POINTS))


def _zips(given: Given | None, faults: list[Fault]) -> Iterator[Zip]:
    """Yield the settings that vary together: one list, or several."""
    if given is None:
        return
    is_list = isinstance(given.value, list) and bool(given.value)
    nested = is_list and all(isinstance(each, list) for each in given.value)
    for group in (given.parts.values() if nested else [given]) if is_list else ():
        if len(group.value) > 1 and all(isinstance(each, str) for each in group.value):
            yield Zip(tuple(replace(value_of(part), text=part.value) for part in group.parts.values()))
        else:
            faults.append(group.fault(f"expected two settings or more, found {_found(group)}", _ZIP))
    if not is_list:
        faults.append(given.fault(f"expected a list of settings, or several lists, found {_found(given)}", _ZIP))


def _seeds(given: Given | None, faults: list[Fault]) -> int | tuple[int, ...] | None:
    """Return how many seeds there are, or which: a list, or a range of integers."""
    if given is None:
        return None
    value = given.value
    if isinstance(value, str):
        found, problems = read_range(replace(value_of(given), text=value))
        if problems:
            faults += [at.place.fault(message, _SEEDS, suggestion) for message, at, suggestion in problems]
            return None
        if found is not None and found.is_integral and not found.log:
            texts, message = in_a_list(found)
            if message:
                faults.append(given.fault(message, _SEEDS))
                return None
            value = [int(each) for each in texts]
    is_integer = [type(each) is int and each >= 0 for each in value] if isinstance(value, list) else []
    if type(value) is int and value >= 1:
        return value
    if is_integer and all(is_integer) and len(set(value)) == len(value):
        return tuple(value)
    faults.append(
        given.fault(f"expected a number of seeds, or a list of different ones, found {_found(given)}", _SEEDS)
    )
    return None


def value_of(given: Given) -> Value:
    """Return a value of a file as the text that an argument has for it.

    The path of a user's file is relative to the config, so it is made absolute.
    """
    place = given.place or Place("")
    is_text = isinstance(given.value, str) or given.text is None
    text = dump_value(_from_here(given.value, given)) if is_text else str(given.text)
    return Value(text, place.column, place.file, place.line)


def _from_here(value: Any, given: Given) -> Any:
    if isinstance(value, str):
        return from_here(value, given)
    return [_from_here(each, given) for each in value] if isinstance(value, list) else value


def _found(given: Given) -> str:
    return shown(given.value, given.text)
