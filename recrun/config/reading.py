"""Keep settings as they were given, each with its place, until they are checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from recrun.errors import ConfigError, Fault


@dataclass(frozen=True)
class Place:
    """Where something was written: a file with 1-based line and column, or an argument of the command line."""

    file: str
    line: int | None = None
    column: int | None = None

    def fault(self, message: str, key: str = "", suggestion: str | None = None) -> Fault:
        """Return a fault at this place."""
        return Fault(message, key, self.file, self.line, self.column, suggestion)


@dataclass(frozen=True)
class Given:
    """A value as it was given in a file, in an argument or by a program.

    Args:
        value: the typed value.
        place: where it was written; None when a program set it.
        text: how a plain scalar was written (`1e-3`), for settings that are text; None for anything else.
        key_place: where its key was written.
        items: where the elements of a list were written.
        within: for mappings in a list, where each key and its value were written, by (element, key).
        layer: 0 for the config that extends no other, more for those that override it, most for the command line.
        overrides: the value of the layer below that it replaces.
        parts: the entries of a mapping by key, or the elements of a list by position, as given.
    """

    value: Any
    place: Place | None = None
    text: str | None = None
    key_place: Place | None = None
    items: tuple[Place, ...] = ()
    within: Mapping[tuple[int, str], tuple[Place, Place]] = field(default_factory=dict)
    layer: int = 0
    overrides: Given | None = None
    parts: Mapping[str | int, Given] = field(default_factory=dict)

    @property
    def is_bare_argument(self) -> bool:
        """Whether it is an argument with nothing behind the equals sign."""
        return self.text == "" and self.place is not None and self.place.line is None

    def fault(self, message: str, key: str = "", suggestion: str | None = None, item: int | None = None) -> Fault:
        """Return a fault at the position of the value, or of one of its elements."""
        place = self.items[item] if item is not None and item < len(self.items) else self.place
        return place.fault(message, key, suggestion) if place else Fault(message, key, suggestion=suggestion)

    def key_fault(self, message: str, key: str, suggestion: str | None = None) -> Fault:
        """Return a fault at the position of the key."""
        return (
            self.key_place.fault(message, key, suggestion) if self.key_place else self.fault(message, key, suggestion)
        )

    def origin(self, key: str, given: Mapping[str, Given]) -> str:
        """Return, for a fault of an inherited setting, where it is from and how to be rid of it; "" of any other.

        Args:
            key: the setting.
            given: all settings, this one included.
        """
        latest = max(given.values(), key=lambda each: each.layer, default=self)
        if self.layer >= latest.layer or self.place is None or latest.place is None:
            return ""
        written = "=" if latest.place.line is None else ": "
        # The default data suits no model that is refused other data for what it is trained on.
        unset = "" if key == "dataset" else f", or unset it with {key}{written}null"
        return f" (inherited from {self.place.file}:{self.place.line}; set {key} anew{unset})"


@dataclass
class Reading:
    """What could be read from a text, and the faults of the rest.

    Args:
        given: the values by key.
        faults: everything found wrong.
        complete: whether every key was read, so that a key missing from `given` was not written.
        expected: the expected values of a config, which are not settings.
        tuned_for: the data sets for which the settings of a config were chosen, which is not a setting.
        sweep: what a sweep of a config varies, which is not a setting.
        as_written: whether the settings compute the same as the config alone, so that `expected` holds for them.
    """

    given: dict[str, Given] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    complete: bool = True
    expected: Given | None = None
    tuned_for: Given | None = None
    as_written: bool = True
    sweep: Given | None = None

    def refuse(self, fault: Fault) -> None:
        """Add a fault that left keys unread."""
        self.faults.append(fault)
        self.complete = False

    def checked(self) -> dict[str, Given]:
        """Return the values.

        Raises:
            ConfigError: there are faults; it holds all of them.
        """
        if self.faults:
            raise ConfigError(self.faults)
        return self.given


def overlay(below: Mapping[str, Given], above: Mapping[str, Given]) -> dict[str, Given]:
    """Return settings above those of other layers; they override those below, layer by layer."""
    shift = 1 + max((each.layer for each in below.values()), default=-1)

    def lifted(key: str, each: Given) -> Given:
        overrides = below.get(key) if each.overrides is None else lifted(key, each.overrides)
        return replace(each, layer=each.layer + shift, overrides=overrides)

    return {**below, **{key: lifted(key, each) for key, each in above.items()}}


def given_of(value: Any, place: Place) -> Given:
    """Return a plain Python value as given, with the parts of lists and mappings, all at one place."""
    parts: dict[str | int, Given] = {}
    if isinstance(value, Mapping):
        parts = {str(key): given_of(each, place) for key, each in value.items()}
    elif isinstance(value, list):
        parts = {position: given_of(each, place) for position, each in enumerate(value)}
    return Given(value, place, key_place=place, parts=parts)
