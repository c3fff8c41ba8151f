"""Which column is which: names that are recognised, and the message when a column is not there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from recrun.data.formats.table import Layout, data_error
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER
from recrun.errors import nearest

_KNOWN = {
    USER: ("user", "userid", "uid", "useridx", "reviewerid", "customerid", "visitorid", "username"),
    ITEM: (
        "item",
        "itemid",
        "iid",
        "itemidx",
        "movieid",
        "asin",
        "productid",
        "artistid",
        "businessid",
        "bookid",
        "songid",
    ),
    RATING: ("rating", "score", "stars", "overall"),
    TIMESTAMP: ("timestamp", "time", "unixreviewtime", "unixtime", "datetime", "date"),
}
REQUIRED_ROLES = (USER, ITEM)


def find_columns(path: Path, found: Sequence[str], layout: Layout, hint: str = "") -> dict[str, int]:
    """Return the position of each role ("user", "item", "rating", "timestamp") among the columns of a file.

    A name in the layout must be there; otherwise well-known names are recognised, whatever their case and underscores.
    Rating and time may be missing when nobody named them, and are left out when they were named "".

    Args:
        path: the file, for messages.
        found: the names of its columns; a type after a colon ("user_id:token") does not count.
        layout: the names that the user gave.
        hint: what else to tell when a column is missing.

    Raises:
        DataError: a column is missing or there twice; the message lists those that were found.
    """
    asked = dict(
        zip(_KNOWN, (layout.user_column, layout.item_column, layout.rating_column, layout.time_column), strict=True)
    )
    bare = [bare_name(name) for name in found]
    positions: dict[str, int] = {}
    for role, name in asked.items():
        if name == "" and role not in REQUIRED_ROLES:
            continue
        if name is None:
            matches = recognised(role, found)
        else:
            matches = [i for i, column in enumerate(found) if name in (column, bare[i])]
        if len(matches) > 1:
            raise data_error(
                path, 1, f"there are {len(matches)} columns for {role}: {_listed(found, matches)}; {_set(role)}"
            )
        if matches:
            positions[role] = matches[0]
        elif name is not None:
            guess = nearest(name, bare)
            near = f"; did you mean {guess!r}?" if guess else ""
            raise data_error(path, 1, f"there is no column {name!r} for {role}{near} Found: {_listed(found)}{hint}")
        elif role in REQUIRED_ROLES:
            raise data_error(path, 1, f"which column holds the {role}? Found: {_listed(found)}; {_set(role)}{hint}")
    used = sorted(positions.values())
    if len(set(used)) < len(used):
        raise data_error(path, 1, f"one column cannot have two roles: {positions}")
    return positions


def recognised(role: str, found: Sequence[str]) -> list[int]:
    """Return the positions of the columns with the best-known name for a role; several when it is there twice."""
    plain = [re.sub(r"[\s_\-]", "", bare_name(name)).lower() for name in found]
    for known in _KNOWN[role]:
        matches = [i for i, name in enumerate(plain) if name == known]
        if matches:
            return matches
    return []


def bare_name(name: str) -> str:
    """Return a column's name without the type that RecBole writes behind it (`user_id:token`)."""
    return re.sub(r":\w+$", "", name)


def _listed(found: Sequence[str], positions: Sequence[int] | None = None) -> str:
    names = [found[i] for i in (range(len(found)) if positions is None else positions)]
    shown = ", ".join(repr(name if len(name) <= 60 else name[:60] + "...") for name in names[:30])
    return shown + (f" and {len(names) - 30} more" if len(names) > 30 else "")


def _set(role: str) -> str:
    key = {TIMESTAMP: "time_column"}.get(role, f"{role}_column")
    return f"name it with {key}"
