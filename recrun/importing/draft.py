"""Collect the settings that a config of another program becomes, and what happened to each of its keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from recrun.config.suggestions.keys import REMARKS, bare
from recrun.config.yaml_writer import dump_value
from recrun.importing.yaml_tree import Entry

Rule = Callable[["Draft", Entry], None]
"""What is done about a key: a rule sets settings, or refuses the entry with a reason, or skips it."""

SEARCHES: Final = frozenset(
    f"{before}{name}"
    for name in ("uniform", "loguniform", "normal", "lognormal", "randint", "uniformint", "lograndint", "randn")
    for before in ("", "q")
)
"""The first word of a list that stands for a range of values to draw from, in Elliot and WarpRec."""
_SECRET: Final = re.compile(r"api_?key|token|passw|secret|credential", re.IGNORECASE)
MOST_VALUES: Final = 100
"""The most values of a setting that are imported for a sweep."""


class Unmapped(Exception):
    """A value that no setting can have; its text says why."""


@dataclass(frozen=True)
class Line:
    """What happened to one key of the other program's config.

    Args:
        entry: the key; one without a place is a default of that program, or a key that another line stands for.
        settings: the settings that it became.
        why: why it became none, or what differs although it became some.
        item: the number of the element of its value that is meant; None for the whole.
    """

    entry: Entry
    settings: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    item: int | None = None

    def document(self) -> dict[str, Any]:
        """Return the line for JSON, without what looks like a password."""
        place = self.entry.place
        value = self.entry.value
        if self.item is not None and isinstance(value, list):
            value = value[self.item]
        return {
            "file": place.file if place else None,
            "line": place.line if place else None,
            "column": place.column if place else None,
            "key": self.entry.name,
            "value": _without_secrets(self.entry.key, value),
            "settings": dict(self.settings),
            "why": self.why,
        }


@dataclass
class Draft:
    """A config in the making.

    Args:
        program: the program that the keys are of, as it is written.
        searches: whether a list is a list of values to try.
        settings: the settings so far.
        origins: the entry that each setting is from.
        axes: the values to try of settings that have several.
        mapped: the lines of keys that became settings.
        not_mapped: the lines of keys that have no counterpart.
        no_effect: the lines of keys that do not change results, or that say what is so anyway.
        differences: what differs beyond any key.
        entries: the keys of the part that is being mapped, and their entries.
        defaults: the other program's defaults in that part.
        reads_histories: whether the model is one of sequences.
    """

    program: str
    searches: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Entry] = field(default_factory=dict)
    axes: dict[str, list[Any]] = field(default_factory=dict)
    mapped: list[Line] = field(default_factory=list)
    not_mapped: list[Line] = field(default_factory=list)
    no_effect: list[Line] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    reads_histories: bool = False

    def put(self, entry: Entry, settings: Mapping[str, Any], why: str = "", item: int | None = None) -> None:
        """Set settings because of an entry."""
        self.settings |= settings
        self.origins |= dict.fromkeys(settings, entry)
        self.mapped.append(Line(entry, settings, why, item))

    def refuse(self, entry: Entry, why: str, item: int | None = None) -> None:
        """Note that an entry, or one element of its value, has no counterpart."""
        self.not_mapped.append(Line(entry, {}, why, item))

    def refuse_others(self, section: Entry, known: Collection[str]) -> None:
        """Note the keys of a section that nothing reads, or the section itself if it is no mapping."""
        if section.value is not None and not isinstance(section.value, dict):
            self.refuse(section, "expected a mapping")
        for each in section:
            if each.key not in known:
                _unknown(self, each)

    def take_back(self, setting: str, why: str) -> None:
        """Take out a setting that the others leave no room for, and note why."""
        value = self.settings.pop(setting)
        self.axes.pop(setting, None)
        entry = self.origins.pop(setting, None) or Entry((setting,), value)
        lines = []
        for line in self.mapped:
            left = {key: each for key, each in line.settings.items() if key != setting}
            lines += [replace(line, settings=left)] if left or not line.settings else []
        self.mapped = lines
        self.refuse(entry, f"{setting}: {dump_value(value)} {why}")

    def skip(self, entry: Entry, why: str) -> None:
        """Note that an entry does not change results, or says what is so anyway."""
        self.no_effect.append(Line(entry, {}, why))

    def value(self, key: str, otherwise: Any = None) -> Any:
        """Return the value of a key of the current part: as written, else the other program's default."""
        entry = self.entries.get(key)
        return entry.value if entry is not None else self.defaults.get(key, otherwise)

    def follow_section(self, section: Entry, rules: Mapping[str, Rule]) -> None:
        """Apply the rule of each entry of a section; one that is no mapping has no counterpart."""
        self.refuse_others(section, [entry.key for entry in section])
        self.follow(section.entries, rules)

    def follow(
        self, entries: Iterable[Entry], rules: Mapping[str, Rule], defaults: Mapping[str, Any] | None = None
    ) -> None:
        """Apply the rule of each entry, then those of the defaults of keys that are not there."""
        self.entries = {entry.key: entry for entry in entries}
        self.defaults = dict(defaults or {})
        for entry in self.entries.values():
            rules.get(entry.key, _unknown)(self, entry)
        for key, value in self.defaults.items():
            if key not in self.entries:
                rules.get(key, _unknown)(self, Entry((key,), value))


def _unknown(draft: Draft, entry: Entry) -> None:
    remark = REMARKS.get(bare(entry.key))
    draft.refuse(entry, remark or f"no counterpart of this key of {draft.program} is known")


def to(setting: str, convert: Callable[[Any], Any] | None = None, why: str = "", *, is_list: bool = False) -> Rule:
    """Return the rule for a key that is a single setting here.

    Args:
        setting: the name here.
        convert: turns a value there into one here; it raises `Unmapped` for one that has none.
        why: what differs although the value is carried over.
        is_list: whether a value is a list, so that values to try are a list of lists.
    """

    def rule(draft: Draft, entry: Entry) -> None:
        value = entry.value
        several = draft.searches and isinstance(value, list) and not (is_list and not _is_nested(value))
        if several and value and isinstance(value[0], str) and value[0] in SEARCHES:
            draft.refuse(entry, f"a range to draw from; give values to a sweep, as in {setting}=V1,V2")
            return
        if several and len(value) > MOST_VALUES:
            draft.refuse(entry, f"has {len(value)} values; at most {MOST_VALUES} are imported")
            return
        found: list[Any] = []
        for number, each in enumerate(value if several else [value]):
            try:
                here = convert(each) if convert is not None else each
            except Unmapped as error:
                draft.refuse(entry, str(error), number if several else None)
                continue
            found += [here] if here not in found else []
        if found:
            draft.put(entry, {setting: found[0]}, why)
            if len(found) > 1:
                draft.axes[setting] = found

    return rule


def device(cpu: Any) -> Rule:
    """Return the rule of a device, of which one value means the CPU; others are chosen here by what there is."""

    def rule(draft: Draft, entry: Entry) -> None:
        if entry.value == cpu:
            draft.put(entry, {"device": "cpu"})
        else:
            draft.skip(entry, "the device with the most free memory is taken, or the one that device names")

    return rule


def along_with(key: str) -> Rule:
    """Return the rule for a key that the rule of another key reads too."""
    return lambda draft, entry: draft.mapped.append(Line(entry, {}, f"together with {key}"))


def no(why: str) -> Rule:
    """Return the rule for a key that has no counterpart."""
    return lambda draft, entry: draft.refuse(entry, why)


def no_effect(why: str = "") -> Rule:
    """Return the rule for a key that does not change results."""
    return lambda draft, entry: draft.skip(entry, why)


def only(*allowed: Any, why: str) -> Rule:
    """Return the rule for a key whose value is fixed here.

    Args:
        *allowed: the values that say what is so anyway; text is compared in small letters.
        why: why there are no others.
    """

    def rule(draft: Draft, entry: Entry) -> None:
        values = entry.value if draft.searches and isinstance(entry.value, list) else [entry.value]
        if all(any(_equal(value, each) for each in allowed) for value in values):
            draft.skip(entry, "as it is here")
        else:
            draft.refuse(entry, why)

    return rule


def _equal(value: Any, other: Any) -> bool:
    if isinstance(value, str) and isinstance(other, str):
        return value.lower() == other.lower()
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _is_nested(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(each, (list, str)) for each in value)


def _without_secrets(key: str, value: Any) -> Any:
    if _SECRET.search(key) and value not in (None, ""):
        return "(not shown)"
    if isinstance(value, dict):
        return {each: _without_secrets(each, inner) for each, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets("", each) for each in value]
    return value
