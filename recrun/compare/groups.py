"""Group runs by what they compute, and name the groups by what differs between them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from recrun.compare.entry import Entry
from recrun.config.settings import PROTOCOL
from recrun.errors import ConfigError, nearest
from recrun.registry.user_files import code_named_in, is_file_reference, short_name
from recrun.runs.provenance import SPLIT
from recrun.sweep.points import settings_of_data

_REPEATS: Final = ("seed",)
_WITHOUT_EFFECT: Final = ("monitors", "eval_test")
"""Settings that say what is reported. A metric is the same whichever others are computed; what chooses the epoch is
`which4best`."""

_LONGEST: Final = 30
"""Characters of a value in the name of a group, where these tell the groups apart."""

_DIGITS: Final = 8
"""Digits of a SHA-256 in the name of a group."""


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seeds alone.

    Args:
        name: what distinguishes it from the other groups.
        entries: its runs, by seed.
    """

    name: str
    entries: tuple[Entry, ...]

    @property
    def seeds(self) -> tuple[str, ...]:
        """The seeds of the runs."""
        return tuple(entry.seed for entry in self.entries)


def grouped(entries: Iterable[Entry]) -> tuple[list[Group], list[str]]:
    """Return the groups of runs, in the order of their first runs, and notes on runs that repeat others.

    Runs of a group have the same settings, code of the user's own and data. Of those with the same seed, the newest
    counts.
    """
    found: dict[tuple[tuple[str, str], ...], dict[str, Entry]] = {}
    notes = []
    for entry in entries:
        of_data = [(SPLIT, entry.data.get(SPLIT, "")), *protocol_of(entry)]
        seeds = found.setdefault((*of_data, *sorted(_identity(entry).items())), {})
        other = seeds.get(entry.seed)
        if other is None:
            seeds[entry.seed] = entry
            continue
        older, newer = sorted((other, entry), key=lambda each: each.started)
        seeds[entry.seed] = newer
        shared = older.values.keys() & newer.values.keys()
        differ = any(str(older.values[name]) != str(newer.values[name]) for name in shared)
        but = ", though their numbers differ" if differ else ""
        notes.append(f"{older.path} has the settings and the seed of {newer.path}, which counts{but}")
    groups = [Group("", tuple(seeds[seed] for seed in sorted(seeds))) for seeds in found.values()]
    names = _names([group.entries[0] for group in groups])
    return [replace(group, name=name) for group, name in zip(groups, names, strict=True)], notes


def find_group(groups: Sequence[Group], text: str) -> Group:
    """Return the group that a text means: its name, the beginning of its name, or the path of one of its runs.

    Raises:
        ConfigError: there is none, or there are several.
    """
    exact = [group for group in groups if group.name == text]
    real = os.path.realpath(text)
    holding = [group for group in groups if any(os.path.realpath(entry.path) == real for entry in group.entries)]
    beginning = [group for group in groups if text and group.name.startswith(text)]
    found = exact or holding or beginning
    if len(found) == 1:
        return found[0]
    names = [group.name for group in groups]
    if found:
        raise ConfigError(f"the baseline {text!r} may be {' or '.join(map(repr, (each.name for each in found)))}")
    guess = nearest(text, names)
    hint = f"; did you mean {guess!r}?" if guess else "."
    raise ConfigError(f"no group is called {text!r}, and no run of one is there{hint} Groups: {', '.join(names)}")


def _identity(entry: Entry) -> dict[str, str]:
    """Return what a run computes: its settings, and by their names the digests of the files of code in them."""
    left_out = (*_REPEATS, *_WITHOUT_EFFECT, *PROTOCOL)
    settings = {key: value for key, value in entry.identity.items() if key not in left_out}
    return settings | code_of(entry, settings)


def code_of(entry: Entry, settings: Iterable[str]) -> dict[str, str]:
    """Return digests of the user's own code that a run computes with, by the name of the file.

    Args:
        entry: the run.
        settings: the keys of the settings that count.
    """
    named = dict.fromkeys(code_named_in({key: entry.settings.get(key) for key in settings}))
    files = Counter(os.path.basename(file) for file in {file for _, file in named})
    found: dict[str, str] = {}
    for key, file in named:
        if file in entry.code:
            base = os.path.basename(file)
            name = base if files[base] == 1 else f"{base} of {key}"
            found[name] = found.get(name, "") + entry.code[file][:_DIGITS]
    return found


def _names(entries: Sequence[Entry]) -> list[str]:
    """Return a name for each group, given a run of each: its model, and what differs among groups of that model.

    Settings that choose the data are named wherever they differ, as they only may in a description of numbers.
    """
    identities = [_identity(entry) for entry in entries]
    of_data = _differing_parts(entries)
    parts = []
    for entry, identity in zip(entries, identities, strict=True):
        alike = [each for other, each in zip(entries, identities, strict=True) if other.model == entry.model]
        keys = [key for key in _all_keys(alike) if key != "model" and len({each.get(key) for each in alike}) > 1]
        keys = list(dict.fromkeys([*of_data, *keys]))
        parts.append([(key, _text(entry, {**entry.identity, **identity}.get(key), key)) for key in keys])
    for longest in (_LONGEST, None):
        names = [_name(entry.model, of_entry, longest) for entry, of_entry in zip(entries, parts, strict=True)]
        if len(set(names)) == len(names):
            return names
    # Two files may hold models of the same name, and two versions of data have the same settings.
    for key, values in (
        ("model", [str(entry.settings.get("model")) for entry in entries]),
        ("data", [entry.data.get(SPLIT, "")[:_DIGITS] for entry in entries]),
    ):
        longer = [
            f"{name} {key}={value}" if names.count(name) > 1 else name
            for name, value in zip(names, values, strict=True)
        ]
        names = longer if len(set(longer)) > len(set(names)) else names
    return names


def _name(model: str, parts: Iterable[tuple[str, str | None]], longest: int | None) -> str:
    texts = [f"{key} not set" if value is None else f"{key}={_shown(value, longest)}" for key, value in parts]
    return " ".join([model, *texts])


def _differing_parts(entries: Sequence[Entry]) -> list[str]:
    """Return the settings that differ between runs of different train, valid and test parts, or different rankings."""
    of_data = data_settings_that_differ(entries) if len({entry.data.get(SPLIT) for entry in entries}) > 1 else []
    of_protocol = PROTOCOL if len({protocol_of(entry) for entry in entries}) > 1 else ()
    return of_data + [key for key in of_protocol if len({entry.identity.get(key) for entry in entries}) > 1]


def protocol_of(entry: Entry) -> tuple[tuple[str, str], ...]:
    """Return what a run ranks, equal for runs that rank the same; a file of candidates counts by its content."""
    protocol = entry.protocol or {}
    without = ("candidates_path",) if "sha256" in protocol else ()
    return tuple(sorted((key, str(value)) for key, value in protocol.items() if key not in without))


def data_settings_that_differ(entries: Sequence[Entry]) -> list[str]:
    """Return which of the settings that choose and split the data differ between runs."""
    keys = ["dataset", *settings_of_data(str(entry.settings.get("dataset")) for entry in entries)]
    return [key for key in keys if len({entry.identity.get(key) for entry in entries}) > 1]


def _all_keys(identities: Iterable[Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(key for identity in identities for key in identity))


def _text(entry: Entry, value: str | None, key: str) -> str | None:
    """Return a setting as text, by its name if it is one of a user's own file; None if it is not set."""
    given = entry.settings.get(key)
    return short_name(given) if isinstance(given, str) and is_file_reference(given) else value


def _shown(text: str, longest: int | None) -> str:
    return text if longest is None or len(text) <= longest else f"{text[: longest - 3]}..."
