"""Recognise the columns of users, items, ratings and times by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Final

from recrun.data.formats.table import Layout, data_error, shown
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER
from recrun.errors import nearest

_KNOWN: Final[Mapping[str, Sequence[str]]] = {
    USER: (
        *("user", "userid", "uid", "useridx"),
        "reviewerid customerid visitorid memberid",
        *("username", "sessionid"),
    ),
    ITEM: (
        *("item", "itemid", "iid", "itemidx"),
        "movieid asin parentasin productid articleid artistid songid trackid businessid venueid bookid isbn videoid "
        "gameid newsid recipeid",
    ),
    RATING: ("rating", "ratings", "score", "stars", "overall", "bookrating", "rate"),
    TIMESTAMP: ("timestamp", "time", "unixreviewtime", "unixtime", "datetime", "date"),
}
"""Well-known names of each role, the best known first. Of names in one text none is better: two of them are refused."""
LABELS: Final = ("label", "click", "clicked", "is_click")
"""Usual names of a column of labels, in lower case."""
REQUIRED_ROLES = (USER, ITEM)
COLUMN_KEYS = {USER: "user_column", ITEM: "item_column", RATING: "rating_column", TIMESTAMP: "time_column"}
"""The setting that names the column of each role."""


def find_columns(path: Path, found: Sequence[str], layout: Layout, hint: str = "") -> dict[str, int]:
    """Return the position of each role ("user", "item", "rating", "timestamp") among the columns of a file.

    Args:
        path: the file, for messages.
        found: the names of its columns; a type after a colon ("user_id:token") does not count.
        layout: the names that the user gave.
        hint: what else to tell when a column is missing.

    Raises:
        DataError: a column is missing or there twice; the message lists those that were found.
    """
    positions, problems = match_columns(found, layout)
    for problem in problems.values():
        raise data_error(path, 1, problem + hint)
    return positions


def match_columns(found: Sequence[str], layout: Layout) -> tuple[dict[str, int], dict[str, str]]:
    """Return the position of each role whose column is known, and what is wrong by role.

    A name in the layout must be there; otherwise well-known names are recognised, whatever their case and underscores.
    Rating and time may be missing when nobody named them, and are left out when they were named "".
    """
    asked = dict(
        zip(_KNOWN, (layout.user_column, layout.item_column, layout.rating_column, layout.time_column), strict=True)
    )
    positions: dict[str, int] = {}
    problems: dict[str, str] = {}
    for role, name in asked.items():
        if name == "" and role not in REQUIRED_ROLES:
            continue
        matches = recognised(role, found) if name is None else _named(name, found)
        if len(matches) > 1:
            several = listed([found[i] for i in matches])
            problems[role] = f"there are {len(matches)} columns for {role}: {several}; name it with {COLUMN_KEYS[role]}"
        elif matches:
            positions[role] = matches[0]
        elif name is not None:
            guess = nearest(name, [bare_name(column) for column in found])
            near = f"; did you mean {guess!r}?" if guess else ""
            problems[role] = f"there is no column {name!r} for {role}{near or '.'} Found: {listed(found)}"
        elif role in REQUIRED_ROLES:
            problems[role] = f"which column holds the {role}? Found: {listed(found)}; name it with {COLUMN_KEYS[role]}"
    if len(set(positions.values())) < len(positions):
        problems["all"] = f"one column cannot have two roles: {positions}"
    return positions, problems


def recognised(role: str, found: Sequence[str]) -> list[int]:
    """Return the positions of the columns with the best-known name for a role; several when none is the best."""
    plain = [re.sub(r"[\s_\-]", "", bare_name(name)).lower() for name in found]
    for known in _KNOWN[role]:
        matches = [i for i, name in enumerate(plain) if name in known.split()]
        if matches:
            return matches
    return []


def bare_name(name: str) -> str:
    """Return a column's name without the type that RecBole writes behind it (`user_id:token`)."""
    return re.sub(r":\w+$", "", name)


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return names of columns, with a number behind one that was there before.

    >>> distinct_names(["a", "b", "a"])
    ['a', 'b', 'a_2']
    """
    taken, numbers = set(names), dict[str, Iterator[int]]()
    found: list[str] = []
    for name in names:
        if name not in numbers:
            numbers[name] = count(2)
            found.append(name)
            continue
        found.append(next(each for number in numbers[name] if (each := f"{name}_{number}") not in taken))
        taken.add(found[-1])
    return found


def _named(name: str, found: Sequence[str]) -> list[int]:
    return [i for i, column in enumerate(found) if name in (column, bare_name(column))]


def listed(names: Sequence[str]) -> str:
    """Return names for a message, quoted, the first thirty."""
    quoted = ", ".join(shown(name, 60) for name in names[:30])
    return quoted + (f" and {len(names) - 30} more" if len(names) > 30 else "")
