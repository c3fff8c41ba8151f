"""Gather what a sweep is asked to vary on one config: by its section `sweep:`, and by arguments, which come first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from recrun.errors import Fault
from recrun.sweep.space.arguments import Setting
from recrun.sweep.space.ranges import Value

ZIP: Final = "--zip"


@dataclass(frozen=True)
class Zip:
    """Settings that vary together: the first value of each, then the second of each, and so on."""

    keys: tuple[Value, ...]

    @property
    def name(self) -> str:
        """The keys, with commas between them."""
        return ",".join(key.text for key in self.keys)


@dataclass(frozen=True)
class Asked:
    """What a sweep is asked to vary on one config, unchecked.

    Args:
        settings: the settings with their values or ranges; one with a single value is the same in all trials.
        zips: the settings that vary together.
        points: settings that are tried together, each with everything else that varies.
    """

    settings: tuple[Setting, ...] = ()
    zips: tuple[Zip, ...] = ()
    points: tuple[Mapping[str, Value], ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All settings that are asked for, those of branches included."""
        points = (key for point in self.points for key in point)
        return tuple(dict.fromkeys([*points, *(each.key for each in every_setting(self.settings))]))


def every_setting(settings: Sequence[Setting]) -> list[Setting]:
    """Return settings together with those of all their branches."""
    found = []
    for each in settings:
        found += [each, *every_setting([inner for branch in each.branches.values() for inner in branch])]
    return found


def parse_zips(texts: Sequence[str]) -> tuple[list[Zip], list[Fault]]:
    """Read the values of the option `--zip`, `lr,batch_size`, and return what is wrong with them."""
    zips, faults = [], []
    for text in texts:
        keys, column = [], 1
        for piece in text.split(","):
            keys.append(Value(piece.strip(), column + len(piece) - len(piece.lstrip()), ZIP))
            column += len(piece) + 1
        empty = next((key for key in keys if not key.text), None)
        if empty is not None or len(keys) < 2:
            message = f"expected two settings or more with commas between them, found {text!r}"
            faults.append((empty or keys[0]).place.fault(message))
        else:
            zips.append(Zip(tuple(keys)))
    return zips, faults


def overridden(asked: Asked, settings: Sequence[Setting], zips: Sequence[Zip] = ()) -> Asked:
    """Return what a config's section asks for with the arguments of the command line, which win.

    An argument takes the place of everything that the section says of its key, in branches and points too. `--zip`
    takes the place of all that the section varies together.

    Args:
        asked: what the section asks for.
        settings: the settings of the arguments.
        zips: the values of `--zip`.
    """
    given = {each.key: each for each in settings}
    own = {each.key: each for each in _settings_without(asked.settings, given)}
    merged = {each.key: given.get(each.key) or own[each.key] for each in asked.settings} | given
    fixed = {each.key for each in settings if not each.is_axis}
    kept = (Zip(tuple(key for key in each.keys if key.text not in fixed)) for each in asked.zips)
    rest = tuple(zips) or tuple(each for each in kept if len(each.keys) > 1)
    return Asked(tuple(merged.values()), rest, points_without(asked.points, given))


def points_without(points: Sequence[Mapping[str, Value]], keys: Collection[str]) -> tuple[Mapping[str, Value], ...]:
    """Return points without some settings: those that are left, each once."""
    if not any(key in keys for point in points for key in point):
        return tuple(points)
    kept = [{key: value for key, value in point.items() if key not in keys} for point in points]
    return tuple({tuple((key, value.text) for key, value in point.items()): point for point in kept if point}.values())


def without(asked: Asked, keys: Collection[str]) -> Asked:
    """Return what is asked for without some settings, in branches, points and zips too."""
    zips = (replace(each, keys=tuple(key for key in each.keys if key.text not in keys)) for each in asked.zips)
    return Asked(
        tuple(_settings_without(asked.settings, keys)),
        tuple(each for each in zips if len(each.keys) > 1),
        points_without(asked.points, keys),
    )


def _settings_without(settings: Sequence[Setting], keys: Collection[str]) -> list[Setting]:
    """Return settings without some of them, likewise in their branches."""
    return [
        replace(
            each,
            branches={name: tuple(_settings_without(branch, keys)) for name, branch in each.branches.items()},
        )
        for each in settings
        if each.key not in keys
    ]
