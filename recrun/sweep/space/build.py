"""Build the space of a sweep on one config from the settings that are to vary, and report their faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from recrun.config.reading import Place
from recrun.config.settings import COMPONENTS
from recrun.errors import Fault, nearest
from recrun.sweep.points import DATA, REPEATS
from recrun.sweep.space.arguments import Setting, unlisted
from recrun.sweep.space.asked import Asked, Zip, every_setting
from recrun.sweep.space.declared import Base, Declared, declared_settings
from recrun.sweep.space.dimensions import Dimension, Interval, Options, Space
from recrun.sweep.space.ranges import Range, Value
from recrun.sweep.space.variation import CHOICE, OF_DATA, REPEAT, Variation

_POINTS: Final = "points"


def space_of(config: Base, asked: Asked, *, is_grid: bool = True) -> tuple[Variation, list[Fault]]:
    """Build the space of a sweep on one config.

    Whether values are valid, and names known, is left to `resolve` and `recrun.sweep.space.check`.

    Args:
        config: the base config.
        asked: what the sweep is asked to vary.
        is_grid: whether every value is tried, so that all must be known; if not, values are drawn.

    Returns:
        What varies, as far as it is right, and every fault.
    """
    builder = _Builder(declared_settings(config, asked), is_grid, list(asked.zips))
    builder.add_points(asked.points)
    builder.add_level(asked.settings, ())
    builder.refuse_unused_zips(asked.settings)
    names = _names(builder.nodes)
    dimensions = [
        Dimension(
            names[id(node)], node.values, (names[id(node.under[-1][0])], node.under[-1][1]) if node.under else None
        )
        for node in builder.nodes
    ]
    written: dict[str, tuple[Setting, ...]] = {}
    for each in every_setting(asked.settings):
        written[each.key] = (*written.get(each.key, ()), each)
    kinds = {names[id(node)]: node.kind for node in builder.nodes}
    return Variation(Space(tuple(dimensions)), kinds, builder.fixed, written, asked.points), builder.faults


@dataclass(eq=False)
class _Node:
    """A dimension that is being built.

    Args:
        keys: the settings that vary in it.
        values: what they vary over.
        kind: what is done with its values.
        under: the condition under which it applies: dimensions, and the position and text of their options.
        place: where it was written.
    """

    keys: tuple[str, ...]
    values: Options | Interval
    kind: str
    under: tuple[tuple[_Node, int, str], ...]
    place: Place

    def excludes(self, other: _Node) -> bool:
        """Return whether this dimension never applies together with another one."""
        conditions = {id(node): position for node, position, _ in self.under}
        return any(conditions.get(id(node), position) != position for node, position, _ in other.under)


_Under = tuple[tuple[_Node, int, str], ...]


@dataclass
class _Builder:
    """Collects the dimensions of a space, and the faults."""

    declared: Declared
    is_grid: bool
    zips: list[Zip]
    nodes: list[_Node] = field(default_factory=list)
    fixed: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def add_points(self, points: Sequence[Mapping[str, Value]]) -> None:
        """Add the dimension of settings that are tried together."""
        options: list[dict[str, str]] = []
        for point in points:
            option = {key: value.text for key, value in point.items()}
            if option in options:
                first = next(iter(point.values()))
                message = f"the point {_shown(option)} is given twice; remove one of them"
                self.faults.append(first.place.fault(message, _POINTS))
            else:
                options.append(option)
        keys = tuple(dict.fromkeys(key for option in options for key in option))
        if keys:
            place = next(iter(points[0].values())).place
            kind = self._kind(keys, (), place)
            if kind == OF_DATA:
                self._refuse_choices_beside_data(points)
            self._add(_Node(keys, Options(tuple(options)), kind, (), place))

    def _refuse_choices_beside_data(self, points: Sequence[Mapping[str, Value]]) -> None:
        """Add a fault for each point on the data of an earlier one: the two would be compared, without a ranking."""
        seen: list[dict[str, str]] = []
        for point in points:
            data = {key: value.text for key, value in point.items() if self._kind_of(key) == OF_DATA}
            chosen = next((key for key in point if key not in data), None)
            if data in seen and chosen is not None:
                message = "is compared on the same data as in an earlier point; give it in the space, not in points"
                self.faults.append(point[chosen].place.fault(message, chosen))
            seen.append(data)

    def add_level(self, settings: Sequence[Setting], under: _Under) -> None:
        """Add the dimensions of settings, and of their branches, that apply under one condition."""
        by_key = {each.key: each for each in settings}
        zipped = [each for each in self.zips if all(key.text in by_key for key in each.keys)]
        self.zips = [each for each in self.zips if each not in zipped]
        together: dict[str, Zip] = {}
        for each in zipped:
            for key in each.keys:
                if key.text in together or [other.text for other in each.keys].count(key.text) > 1:
                    message = f"{key.text} varies together with other settings already; name it once"
                    self.faults.append(key.place.fault(message))
                together.setdefault(key.text, each)
        for setting in settings:
            group = together.get(setting.key)
            if group is None:
                self._add_setting(setting, under)
            elif group.keys[0].text == setting.key:
                self._add_zip(group, [by_key[key.text] for key in group.keys], under)

    def refuse_unused_zips(self, settings: Sequence[Setting]) -> None:
        """Add a fault for each of the settings that vary together and are not all given beside each other."""
        known = {each.key for each in every_setting(settings)}
        for group in self.zips:
            strangers = [key for key in group.keys if key.text not in known]
            for key in strangers:
                message = f"{key.text} has no values that could vary together with others; give it as many as they have"
                self.faults.append(key.place.fault(message, suggestion=nearest(key.text, known)))
            if not strangers:
                message = f"{group.name} vary under different conditions, so they cannot vary together"
                self.faults.append(group.keys[0].place.fault(message))

    def _add_setting(self, setting: Setting, under: _Under) -> None:
        if setting.branches and not self.declared.chooses(setting.key) and setting.key in self.declared.types:
            chosen = ", ".join(COMPONENTS)
            message = f"nothing can depend on it, since it chooses nothing (these do: {chosen}); list its values"
            self.faults.append(setting.fault(message))
            return
        if not under and len(setting.values) == 1 and setting.range is None:
            only = setting.values[0].text
            self.fixed[setting.key] = only
            self._refuse_again(setting.key, _Node((setting.key,), Options(()), CHOICE, (), setting.where))
            self.add_level(setting.branches.get(only, ()), under)
            return
        kind = self._kind((setting.key,), under, setting.where)
        values = self._values(setting, must_list=kind != CHOICE)
        if values is None:
            return
        if under and under[-1][0].kind == OF_DATA and len(setting.values) == 1 and setting.range is None:
            kind = OF_DATA  # it belongs to that value of the data: there is nothing to compare
        node = _Node((setting.key,), values, kind, under, setting.where)
        is_added = self._add(node)
        for position, value in enumerate(setting.values if is_added else ()):
            if setting.branches.get(value.text):
                self.add_level(setting.branches[value.text], (*under, (node, position, value.text)))

    def _add_zip(self, group: Zip, settings: Sequence[Setting], under: _Under) -> None:
        """Add the dimension of settings that vary together."""
        counts = {each.key: len(each.values) for each in settings}
        for key, setting in zip(group.keys, settings, strict=True):
            if setting.range is not None and not setting.values:
                message = f"{key.text} is a range without a step, whose values cannot be paired; write its values"
                self.faults.append(key.place.fault(message))
            elif len(setting.values) == 1:
                message = f"{key.text} has one value, so it does not vary together with others; remove it here"
                self.faults.append(key.place.fault(message))
            elif any(setting.branches.values()):
                self.faults.append(
                    key.place.fault(f"others depend on {key.text}, so it varies by itself; remove it here")
                )
        if len(set(counts.values())) > 1 and min(counts.values()) > 1:
            numbers = ", ".join(f"{key} has {count}" for key, count in counts.items())
            message = f"expected as many values of each, but {numbers}"
            self.faults.append(group.keys[0].place.fault(message))
        rows = zip(*(each.values for each in settings), strict=False)
        keys = tuple(counts)
        options = tuple({key: value.text for key, value in zip(keys, row, strict=False)} for row in rows)
        place = group.keys[0].place
        self._add(_Node(keys, Options(options), self._kind(keys, under, place), under, place))

    def _values(self, setting: Setting, *, must_list: bool) -> Options | Interval | None:
        """Return what a setting varies over, or None where its fault was added."""
        key, found = setting.key, setting.range
        listed = Options(tuple({key: value.text} for value in setting.values))
        if found is None:
            return listed
        if not self.declared.takes_numbers(key):
            message = "a range needs a setting that is a number; list its values, KEY=V1,V2"
            self.faults.append(setting.fault(message, found.whole))
            return None
        number = self.declared.number(key)
        if number is None:  # an unknown setting, or one of a few numbers
            return listed if setting.values else Options(({key: found.low.text},))
        if number is int and not found.is_integral:
            at = next(
                each for each in (found.low, found.high, found.step) if each and not each.text.lstrip("+-").isdigit()
            )
            self.faults.append(setting.fault(f"takes integers, found {at.text} in the range {found.text}", at))
            return None
        if self.is_grid or must_list:
            fault = unlisted(setting)
            self.faults += [] if fault is None else [fault]
            return listed if fault is None else None
        return _interval(key, found, is_integer=number is int)

    def _kind(self, keys: Sequence[str], under: _Under, place: Place) -> str:
        """Return what is done with the values of settings; where these do not go together, add a fault."""
        kinds = {self._kind_of(key) for key in keys}
        if REPEAT in kinds and (len(kinds) > 1 or under):
            key = next(key for key in keys if self._kind_of(key) == REPEAT)
            message = "is averaged, so it must have the same values at every point; let it vary by itself"
            self.faults.append(place.fault(message, key))
        above = under[-1][0].kind if under else None
        if above == CHOICE and OF_DATA in kinds:
            key = next(key for key in keys if self._kind_of(key) == OF_DATA)
            message = "changes the data, so it cannot depend on what is compared; let it vary by itself"
            self.faults.append(place.fault(message, key))
        return OF_DATA if OF_DATA in kinds else REPEAT if REPEAT in kinds else CHOICE

    def _kind_of(self, key: str) -> str:
        return REPEAT if key in REPEATS else OF_DATA if key in DATA or key in self.declared.data else CHOICE

    def _add(self, node: _Node) -> bool:
        """Add a dimension, unless one of its settings varies already; return whether it was added."""
        n_before = len(self.faults)
        for key in node.keys:
            self._refuse_again(key, node)
            if key in self.fixed:
                self.faults.append(node.place.fault("varies, but also has one value for all trials; remove one", key))
        is_empty = isinstance(node.values, Options) and not node.values.options
        if len(self.faults) > n_before or is_empty:
            return False
        self.nodes.append(node)
        return True

    def _refuse_again(self, key: str, node: _Node) -> None:
        """Add a fault if a setting of a dimension varies already in one that applies together with it."""
        for other in (each for each in self.nodes if key in each.keys and not node.excludes(each)):
            where = ":".join(str(part) for part in (other.place.file, other.place.line) if part is not None)
            self.faults.append(node.place.fault(f"varies already, at {where}; remove one of them", key))
            return


def _interval(key: str, found: Range, *, is_integer: bool) -> Interval:
    step = None if found.step is None else float(found.step.text)
    if is_integer:
        low, high = int(found.low.text), int(found.high.text)
        whole = None if found.log else int(found.step.text) if found.step is not None else 1
        return Interval(key, low, high, whole, found.log, is_integer=True)
    return Interval(key, float(found.low.text), float(found.high.text), step, found.log)


def _names(nodes: Sequence[_Node]) -> dict[int, str]:
    """Return a name for each dimension: its keys, behind the options that it depends on where these are not unique."""
    short = {id(node): ",".join(node.keys) for node in nodes}
    counts = Counter(short.values())
    return {
        id(node): short[id(node)]
        if counts[short[id(node)]] == 1
        else ".".join([*(text for _, _, text in node.under), short[id(node)]])
        for node in nodes
    }


def _shown(option: Mapping[str, str]) -> str:
    return " ".join(f"{key}={text}" for key, text in option.items())
