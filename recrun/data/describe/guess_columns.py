"""Guess which columns hold users, items, ratings and times from names, values and settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from recrun.data.describe.guess_layout import ROLES, STEMS, are_numbers, are_times
from recrun.data.describe.problems import Faults
from recrun.data.formats.column_names import COLUMN_KEYS, REQUIRED_ROLES, bare_name, match_columns, recognised
from recrun.data.formats.table import Layout
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER


def choose_roles(
    names: Sequence[str],
    columns: Sequence[Sequence[str]],
    layout: Layout,
    by_content: Mapping[str, int] | None,
    settings: dict[str, Any],
    faults: Faults,
) -> dict[str, int]:
    """Return the column of each role: the one that training takes, or the one that may be meant instead.

    Args:
        names: of the columns; their numbers in a file without a header row.
        columns: some values of each.
        layout: what the settings tell training about the file.
        by_content: the roles that values tell, in a file without a header row; None where there are names.
        settings: keys of `File`; takes those that say what is meant where training would take something else.
        faults: takes what is missing or doubtful.
    """
    roles, problems = match_columns(names, layout)
    free = [role for role, key in COLUMN_KEYS.items() if key not in settings]
    if by_content is None:
        wanted = [role for role in free if role not in roles and not recognised(role, names)]
        meant = guess_roles(names, columns, wanted, list(roles.values()))
        told = "no column has a usual name for the {role}; {name!r} may be meant"
    elif by_content:
        meant = {role: place for role, place in by_content.items() if role in free and roles.get(role) != place}
        for role in free:
            if role in roles and role not in by_content and role not in REQUIRED_ROLES:
                settings[COLUMN_KEYS[role]] = ""
                faults.add("column-name", f"no column holds a {role}, as far as their values tell")
                del roles[role]
        told = "column {name} holds the {role}, as far as its values tell"
    else:  # the format says which column is which
        meant, told = {}, ""
    for role, place in meant.items():
        if list(names).count(names[place]) == 1:
            settings[COLUMN_KEYS[role]] = names[place]
            faults.add("column-name", told.format(role=role, name=names[place]))
            roles[role] = place
            problems.pop(role, None)
    for problem in problems.values():
        faults.add("column", problem)
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
