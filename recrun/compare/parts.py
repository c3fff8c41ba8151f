"""Compare runs group by group: for some of their users, or with only some items to be found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from shlex import quote
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from recrun.compare.entry import Entry, Split
from recrun.compare.select import listed
from recrun.errors import ConfigError, nearest
from recrun.metrics.per_user import mean_of_users
from recrun.runs.folder import RunFolder
from recrun.runs.per_user import read_per_user
from recrun.runs.user_groups import read_user_groups

Texts = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Part:
    """A group by which runs are compared.

    Args:
        name: the grouping and the group, as in "gender=F".
        of: whether it is a group of users or of items.
        users: the ids of its users, as text; None for a group of items.
    """

    name: str
    of: Literal["users", "items"]
    users: Texts | None = None


def find_parts(entries: Sequence[Entry], by: str) -> list[Part]:
    """Return the groups of a grouping, or one of them.

    Args:
        entries: the runs.
        by: the grouping, as "gender", or one of its groups, as "gender=F".

    Raises:
        ConfigError: a run does not have it, or other groups of it, or it is not of the same users in all runs.
        CheckpointError: a file of groups is damaged.
    """
    of_users = {entry.path: read_user_groups(RunFolder(entry.path)) for entry in entries}
    name, chooses, label = by.partition("=")
    if all(name in found for found in of_users.values()):
        parts = _of_users(name, of_users)
    elif all(_is_of_items(entry, name) for entry in entries):
        labels = [list(_of_items(entry, name)) for entry in entries]
        other = next((entry.path for entry, each in zip(entries, labels, strict=True) if each != labels[0]), None)
        if other is not None:
            raise ConfigError(f"the groups by {name} are not the same in {listed([entries[0].path])} and {other}")
        parts = [Part(f"{name}={each}", "items") for each in labels[0]]
    else:
        raise ConfigError(_unknown(name, entries, of_users))
    chosen = [part for part in parts if not chooses or part.name == by]
    if not chosen:
        labels_ = [part.name.partition("=")[2] for part in parts]
        guess = nearest(label, labels_)
        hint = f"; did you mean {name}={guess}?" if guess else ""
        raise ConfigError(f"{name} has no group {label!r}{hint} (groups: {', '.join(labels_)})")
    return chosen


def of_part(entry: Entry, part: Part, split: Split, metrics: Sequence[str]) -> Entry:
    """Return a run with its numbers of a group alone, of those metrics that have any.

    Raises:
        ConfigError: it has no values of users.
        CheckpointError: it is damaged.
    """
    if part.users is None:
        group = _of_items(entry, part.name.partition("=")[0])[part.name.partition("=")[2]]
        numbers = {name: math.nan if value is None else value for name, value in group["metrics"].items()}
        return replace(entry, values=numbers, n_users=group.get("users"))
    read = read_per_user(entry.path, split)
    if read is None:
        command = f"recrun eval --checkpoint {quote(entry.path)} --split {split}"
        raise ConfigError(f"no {split} values of users in {entry.path}; `{command}` writes them")
    is_member_U = np.isin(read.users_U.astype(str), part.users)
    means = {name: mean_of_users(read.values[name][is_member_U]) for name in metrics if name in read.values}
    values = {name: math.nan if mean is None else mean for name, mean in means.items()}
    return replace(entry, values=values, n_users=int(is_member_U.sum()))


def _of_users(name: str, of_users: Mapping[str, Mapping[str, Mapping[str, Texts]]]) -> list[Part]:
    paths = list(of_users)
    first = of_users[paths[0]][name]
    for path in paths[1:]:
        other = of_users[path][name]
        if list(first) != list(other) or not all(np.array_equal(first[label], other[label]) for label in first):
            raise ConfigError(f"the groups by {name} are not of the same users in {listed([paths[0]])} and {path}")
    return [Part(f"{name}={label}", "users", users) for label, users in first.items()]


def _is_of_items(entry: Entry, name: str) -> bool:
    return name in entry.groups and entry.groups[name].get("of") == "items"


def _of_items(entry: Entry, name: str) -> dict[str, Mapping[str, Any]]:
    """Return the groups of items of a run, by label."""
    return {group["group"]: group for group in entry.groups[name]["groups"]}


def _unknown(name: str, entries: Sequence[Entry], of_users: Mapping[str, Mapping[str, object]]) -> str:
    """Return the message on a grouping that some run does not have."""
    lost = [entry.path for entry in entries if name in entry.groups and not _is_of_items(entry, name)]
    lost = [path for path in lost if name not in of_users[path]]
    if lost:
        file = RunFolder(lost[0]).per_user_file("groups")
        return f"{file} does not say who is in the groups by {name}; `{_command(lost[0], name)}` writes it"
    has = {entry.path: {*of_users[entry.path], *entry.groups} for entry in entries}
    without = [path for path, names in has.items() if name not in names]
    if 0 < len(without) < len(has):
        return f"{listed(without)}: not broken down by {name}; `{_command(without[0], name)}` adds groups of users"
    known = sorted(set.intersection(*has.values())) if has else []
    guess = nearest(name, known)
    hint = f"; did you mean {guess}?" if guess else f"; `{_command(entries[0].path, name)}` adds groups of users"
    return f"the runs are not broken down by {name!r}{hint} (by: {', '.join(known) or 'nothing'})"


def _command(path: str, name: str) -> str:
    return f"recrun eval --checkpoint {quote(path)} {quote(f'groups=[{name}]')}"
