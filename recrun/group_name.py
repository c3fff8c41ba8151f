"""Parse the names of groups that metrics are broken down by, such as `activity:4` or `user.gender`.

name:       ("activity" | "popularity") ":" number
          | ["user." | "item."] column [":" number]
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

MAX_GROUPS: Final = 250
"""The most groups that users or items are divided into."""
Of = Literal["user", "item"]

COUNTED: Final[dict[str, Of]] = {"activity": "user", "popularity": "item"}
"""The names that count train interactions, and of what."""


class GroupNameError(ValueError):
    """A text names no groups; the message says what was expected."""


class GroupName(NamedTuple):
    """What users or items are grouped by.

    Args:
        text: as it is written in a config, which is also the name of the result.
        by: "activity", "popularity", or the name of a column.
        of: "user" or "item"; None for a column of whichever has it.
        n: the number of quantiles; None for the values of a column.
    """

    text: str
    by: str
    of: Of | None
    n: int | None

    @property
    def counts(self) -> bool:
        """Whether train interactions are counted, so that no column is read."""
        return self.by in COUNTED and not self.text.startswith(("user.", "item."))


def parse_group(text: str) -> GroupName:
    """Return what a name says.

    Raises:
        GroupNameError: it is not a name of groups.

    >>> parse_group("activity:4")
    GroupName(text='activity:4', by='activity', of='user', n=4)
    >>> parse_group("item.genre")
    GroupName(text='item.genre', by='genre', of='item', n=None)
    """
    name, colon, number = text.strip().partition(":")
    if "=" in name:
        raise GroupNameError(f"a group is called NAME=GROUP, so NAME cannot hold an equals sign: {text!r}")
    if not name or name != name.strip() or not name.isprintable():
        raise GroupNameError(f"expected activity:N, popularity:N or a column of users or items, found {text!r}")
    if colon and not (re.fullmatch("[0-9]{1,9}", number) and 2 <= int(number) <= MAX_GROUPS):
        raise GroupNameError(
            f"expected the number of groups, from 2 to {MAX_GROUPS}, after {name + ':'!r}, found {number!r}"
        )
    n = int(number) if colon else None
    if name in COUNTED:
        if n is None:
            raise GroupNameError(f"{name} needs a number of groups; write for example '{name}:4'")
        return GroupName(f"{name}:{n}", name, COUNTED[name], n)
    prefix, dot, column = name.partition(".")
    shown = name if n is None else f"{name}:{n}"
    if dot and column and prefix == "user":
        return GroupName(shown, column, "user", n)
    if dot and column and prefix == "item":
        return GroupName(shown, column, "item", n)
    return GroupName(shown, name, None, n)
