"""Which column holds users, items, ratings and times, as far as names, values and settings tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from recrun.data.describe.guess_layout import ROLES, STEMS, are_numbers, are_times
from recrun.data.describe.problems import Faults, shown
from recrun.data.formats.column_names import bare_name, recognised
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER

COLUMN_KEYS: Final = {
    USER: "user_column",
    ITEM: "item_column",
    RATING: "rating_column",
    TIMESTAMP: "time_column",
}
"""The setting that names the column of each role."""


def find_roles(
    names: Sequence[str], columns: Sequence[Sequence[str]], settings: dict[str, Any], faults: Faults
) -> dict[str, int]:
    """Return the column of each role in a file with names: the one set, or with a usual name, or that may be meant.

    Args:
        names: of the columns.
        columns: some values of each.
        settings: keys of `File`; takes the names of those that may be meant.
        faults: takes what is missing or doubtful.
    """
    roles: dict[str, int] = {}
    for role, key in COLUMN_KEYS.items():
        name = settings.get(key)
        if name == "" and role not in (USER, ITEM):
            continue
        places = recognised(role, names) if name is None else _places(name, names)
        if len(places) > 1:
            faults.add("column", f"{len(places)} columns could be the {role}: {_listed(names, places)}; set {key}")
        elif name is not None and not places:
            faults.add("column", f"there is no column {name!r}, which {key} names; found {_listed(names)}")
        if places:
            roles[role] = places[0]
    wanted = [role for role, key in COLUMN_KEYS.items() if role not in roles and key not in settings]
    for role, place in guess_roles(names, columns, wanted, list(roles.values())).items():
        if list(names).count(names[place]) == 1:
            settings[COLUMN_KEYS[role]] = names[place]
            faults.add("column-name", f"no column has a usual name for the {role}; {names[place]!r} may be meant")
            roles[role] = place
    for role in (USER, ITEM):
        if role not in roles and COLUMN_KEYS[role] not in settings:
            faults.add("column", f"which column holds the {role}? Found {_listed(names)}; set {COLUMN_KEYS[role]}")
    if len(set(roles.values())) < len(roles):
        faults.add("column", f"one column cannot have two roles: {listed(roles, names)}")
    return {role: roles[role] for role in ROLES if role in roles}


def place_roles(
    names: Sequence[str],
    usual: Mapping[str, int],
    meant: Mapping[str, int],
    settings: dict[str, Any],
    faults: Faults,
) -> dict[str, int]:
    """Return the column of each role in a file without names: the one set, or the usual one unless values differ.

    Args:
        names: the numbers of the columns.
        usual: the place that the format gives to each role.
        meant: the place that the values tell.
        settings: keys of `File`; takes those that say what is meant where that is not usual.
        faults: takes what is missing or doubtful.
    """
    roles: dict[str, int] = {}
    for role, key in COLUMN_KEYS.items():
        if key in settings:
            if settings[key] in names:
                roles[role] = names.index(settings[key])
            elif settings[key] != "" or role in (USER, ITEM):
                faults.add("column", f"there is no column {settings[key]!r}, which {key} names; found {_listed(names)}")
        elif role in meant and meant[role] == usual.get(role):
            roles[role] = meant[role]
        elif role in meant:
            settings[key] = names[meant[role]]
            faults.add("column-name", f"column {names[meant[role]]} holds the {role}, as far as its values tell")
            roles[role] = meant[role]
        elif role in usual and role not in (USER, ITEM):
            settings[key] = ""
            faults.add("column-name", f"no column holds a {role}, as far as their values tell")
    for role in (USER, ITEM):
        if role not in roles and COLUMN_KEYS[role] not in settings:
            faults.add("column", f"there is no column for the {role}: {len(names)} in all")
    return {role: roles[role] for role in ROLES if role in roles}


def roles_by_content(columns: Sequence[Sequence[str]]) -> dict[str, int]:
    """Return the roles of columns without names: user, item, and of the others the first rating and the first time."""
    roles = {role: place for place, role in enumerate((USER, ITEM)) if place < len(columns)}
    for place in range(2, len(columns)):
        role = TIMESTAMP if are_times(columns[place]) else RATING if are_numbers(columns[place]) else None
        if role is not None:
            roles.setdefault(role, place)
    return roles


def guess_roles(
    names: Sequence[str], columns: Sequence[Sequence[str]], roles: Collection[str], taken: Collection[int]
) -> dict[str, int]:
    """Return the position of the column that may have each role, as far as its name and its values hint at one.

    Args:
        names: of the columns.
        columns: some values of each.
        roles: those wanted.
        taken: positions of columns that have a role already.
    """
    found: dict[str, int] = {}
    for role in roles:
        for stem in STEMS[role]:
            free = [i for i in range(len(names)) if i not in taken and i not in found.values()]
            fits = [i for i in free if stem in bare_name(names[i]).lower() and fits_role(role, columns[i])]
            if fits:
                found[role] = fits[0]
                break
    return found


def fits_role(role: str, values: Sequence[str]) -> bool:
    """Return whether most values of a column are what a role asks for."""
    if role == RATING:
        return are_numbers(values) and not are_times(values)
    if role == TIMESTAMP:
        return are_times(values) or are_numbers(values)
    return bool(values)


def listed(roles: Mapping[str, int], names: Sequence[str]) -> str:
    """Return which column has which role, for people.

    >>> listed({"user": 0, "item": 2}, ["uid", "x", "sku"])
    'user = uid, item = sku'
    """
    return ", ".join(f"{role} = {names[place]}" for role, place in roles.items())


def _places(name: str, names: Sequence[str]) -> list[int]:
    return [place for place, found in enumerate(names) if name in (found, bare_name(found))]


def _listed(names: Sequence[str], places: Sequence[int] | None = None) -> str:
    chosen = [names[place] for place in (range(len(names)) if places is None else places)]
    return ", ".join(shown(name, 40) for name in chosen[:30]) + (" ..." if len(chosen) > 30 else "")
