"""Guess which columns hold users, items, ratings and times from names, values and settings."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Final

from recrun.data.describe.guess_layout import ROLES, STEMS, are_numbers, are_times
from recrun.data.describe.problems import Faults
from recrun.data.formats.columns.names import COLUMN_KEYS, REQUIRED_ROLES, bare_name, match_columns, recognised
from recrun.data.formats.columns.roles import RolesError
from recrun.data.formats.table import Layout
from recrun.data.interactions import RATING, TIMESTAMP

_NO_IDS: Final = {"rating", "ratings", "rate", "score", "stars", "time", "timestamp", "date", "price", "count", "type"}
"""Words in the names of columns that hold something about a user or an item, not its id."""


def choose_roles(
    names: Sequence[str],
    columns: Sequence[Sequence[str]],
    layout: Layout,
    settings: dict[str, Any],
    faults: Faults,
) -> dict[str, int]:
    """Return the column of each role: the one that training takes, or the one that may be meant instead.

    Args:
        names: of the columns; their numbers in a file without a header row.
        columns: some values of each.
        layout: what the settings tell training about the file.
        settings: keys of `File`; takes those that say what is meant where training would take something else.
        faults: takes what is missing or doubtful.
    """
    roles, problems = match_columns(names, layout)
    free = [role for role, key in COLUMN_KEYS.items() if getattr(layout, key) is None]
    wanted = [role for role in free if role not in roles and not recognised(role, names)]
    for role, place in guess_roles(names, columns, wanted, list(roles.values())).items():
        if list(names).count(names[place]) == 1:
            settings[COLUMN_KEYS[role]] = names[place]
            faults.add("column-name", f"no column has a usual name for the {role}; {names[place]!r} may be meant")
            roles[role] = place
            problems.pop(role, None)
    for problem in problems.values():
        faults.add("column", problem)
    return {role: roles[role] for role in ROLES if role in roles}


def take_roles(error: RolesError, settings: dict[str, Any], faults: Faults) -> None:
    """Take the columns that training proposes where it refuses those that positions give.

    Args:
        error: the refusal.
        settings: keys of `File`; takes the columns.
        faults: takes what was found, and the refusal itself where nothing is proposed.
    """
    if not error.settings:
        faults.add("column-role", error.message)
    for role, key in COLUMN_KEYS.items():
        name = error.settings.get(key)
        if name is not None:
            told = f"column {name} holds the {role}" if name else f"no column holds a {role}"
            faults.add("column-name", f"{told}, as far as {'its' if name else 'their'} values tell")
    settings |= error.settings


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
            if role in REQUIRED_ROLES:  # a "book_rating" is no book
                free = [i for i in free if _words(names[i]).isdisjoint(_NO_IDS)]
            fits = [i for i in free if stem in bare_name(names[i]).lower() and fits_role(role, columns[i])]
            if fits:
                found[role] = fits[0]
                break
    return found


def _words(name: str) -> set[str]:
    """Return the words of a name, in lower case.

    >>> sorted(_words("Book-Rating")), sorted(_words("watchTime"))
    (['book', 'rating'], ['time', 'watch'])
    """
    return set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))


def fits_role(role: str, values: Sequence[str]) -> bool:
    """Return whether most values of a column are what a role asks for."""
    if role == RATING:
        return are_numbers(values) and not are_times(values)
    if role == TIMESTAMP:
        return are_times(values) or are_numbers(values)
    return bool(values)
