"""Divide users and items into the groups that the setting `groups` names.

Shapes: E users or items, V distinct values.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recrun.data.entities import Entities, find_entities
from recrun.errors import ConfigError, Fault, nearest
from recrun.group_name import COUNTED, MAX_GROUPS, GroupName, Of, parse_group
from recrun.metrics.groups import MISSING, Grouping

if TYPE_CHECKING:
    from recrun.data.datasets.base import RecDataSet

_INTEGERS: Final = 1e16
"""Larger numbers are shown as powers of ten."""
_BOTH: Final[tuple[Of, Of]] = ("user", "item")


def make_groupings(names: Sequence[str], dataset: RecDataSet, settings: Mapping[str, Any]) -> list[Grouping]:
    """Return the groups of each name, each name once.

    Only the train part and what is given of held-out users are looked at, so valid and test have the same groups.

    Args:
        names: the value of `groups`.
        dataset: the data set.
        settings: every setting by its key, for `user_file`, `item_file` and `root`.

    Raises:
        ConfigError: a column is not known, or cannot be divided into groups.
        DataError: a table of users or items cannot be read.
        GroupNameError: a name is none.
    """
    parsed = {name.text: name for name in map(parse_group, names)}
    tables: dict[Of, Entities] = {}
    if any(not name.counts for name in parsed.values()):
        for of in _BOTH:
            found = find_entities(dataset, of, settings.get(f"{of}_file"), settings.get("root", "."))
            if found is not None:
                tables[of] = found
    return [_counted(name, dataset) if name.counts else _of_column(name, dataset, tables) for name in parsed.values()]


def _counted(name: GroupName, dataset: RecDataSet) -> Grouping:
    """Divide users into equally many by their known interactions, or items so that groups hold as many interactions."""
    train = dataset.csr("train")
    assert name.of is not None
    if name.of == "user":
        given = dataset.given()
        counts_E = train.lengths if given is None else train.lengths + given.lengths
        weights_E = np.ones(dataset.n_users, dtype=np.int64)
    else:
        counts_E = weights_E = np.bincount(train.indices, minlength=dataset.n_items).astype(np.int64)
    labels, members = _quantiles(name, counts_E, weights_E, np.arange(len(counts_E)))
    return Grouping(name.text, name.of, labels, members)


def _of_column(name: GroupName, dataset: RecDataSet, tables: Mapping[Of, Entities]) -> Grouping:
    of = _side(name, dataset, tables)
    values_E = _values_of(dataset, of, tables[of], name.by)
    missing = np.array([each for each, values in enumerate(values_E) if not values], dtype=np.int64)
    if name.n is not None:
        labels, members = _quantiles_of_numbers(name, values_E)
    else:
        labels, members = _of_values(name, values_E)
    if len(missing):
        labels, members = (*labels, MISSING), (*members, missing)
    return Grouping(name.text, of, labels, members)


def _side(name: GroupName, dataset: RecDataSet, tables: Mapping[Of, Entities]) -> Of:
    """Return whether a column is one of users or of items.

    Raises:
        ConfigError: it is neither, or both.
    """
    sides = [of for of in _BOTH if name.of in (None, of) and of in tables and name.by in tables[of].columns]
    if len(sides) == 1:
        return sides[0]
    if sides:
        raise _fault(f"both users and items have a column {name.by!r}; write user.{name.by} or item.{name.by}")
    wanted = [of for of in _BOTH if name.of in (None, of)]
    unread = [of for of in wanted if of not in tables]
    known = {of: list(tables[of].columns) for of in wanted if of in tables}
    shown = [f"columns of {of}s: {', '.join(columns) or 'none'}" for of, columns in known.items()]
    shown += [f"{dataset.name} has no table of {of}s, name one with {of}_file=PATH" for of in unread]
    choices = [*(column for columns in known.values() for column in columns), *COUNTED]
    raise _fault(f"there is no column {name.by!r} to group by ({'; '.join(shown)})", nearest(name.by, choices))


def _values_of(dataset: RecDataSet, of: Of, table: Entities, column: str) -> list[tuple[str, ...]]:
    """Return the values of each user or item of the data set, by internal id."""
    ids = dataset.user_ids if of == "user" else dataset.item_ids
    row_of = {each: row for row, each in enumerate(table.ids)}
    rows = [row_of.get(str(each)) for each in ids.tolist()]
    if all(row is None for row in rows):
        examples = f"{', '.join(map(repr, table.ids[:3]))}, not {', '.join(repr(str(each)) for each in ids[:3])}"
        raise _fault(f"{table.path} has none of the {of}s of {dataset.name}: its ids are {examples}")
    values = table.columns[column]
    return [() if row is None else values[row] for row in rows]


def _of_values(name: GroupName, values_E: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], tuple[np.ndarray, ...]]:
    """Return a group for each distinct value; who has several values is in several groups."""
    by_value: dict[str, list[int]] = {}
    for each, values in enumerate(values_E):
        for value in values:
            by_value.setdefault(value, []).append(each)
    are_numbers = all(_number(value) is not None for value in by_value)
    if len(by_value) > MAX_GROUPS:
        remedy = f"divide its numbers, with {name.text}:4" if are_numbers else "choose a column with fewer"
        raise _fault(f"{name.by} has {len(by_value):,} different values, more than {MAX_GROUPS} groups; {remedy}")
    if not by_value:
        raise _fault(f"{name.by} is missing for all")
    labels = sorted(by_value, key=lambda value: (_number(value) or 0.0, value) if are_numbers else (0.0, value))
    return tuple(labels), tuple(np.array(by_value[label], dtype=np.int64) for label in labels)


def _quantiles_of_numbers(
    name: GroupName, values_E: Sequence[tuple[str, ...]]
) -> tuple[tuple[str, ...], tuple[np.ndarray, ...]]:
    found: list[tuple[int, float]] = []
    for each, values in enumerate(values_E):
        number = _number(values[0]) if len(values) == 1 else None
        if values and number is None:
            raise _fault(f"{name.text} divides numbers, but {name.by} has {'|'.join(values)!r}; write {name.by}")
        if number is not None:
            found.append((each, number))
    if not found:
        raise _fault(f"{name.by} is missing for all")
    members, numbers = (np.array(column) for column in zip(*found, strict=True))
    return _quantiles(name, numbers, np.ones(len(numbers), dtype=np.int64), members)


def _quantiles(
    name: GroupName, values_E: np.ndarray, weights_E: np.ndarray, members_E: np.ndarray
) -> tuple[tuple[str, ...], tuple[np.ndarray, ...]]:
    """Divide by value into groups of about the same weight; equal values stay together.

    A value belongs to the group in which the middle of its share of the weight lies. There may be fewer groups than
    asked for, which is a warning.
    """
    assert name.n is not None
    values_V, place_E = np.unique(values_E, return_inverse=True)
    weight_V = np.bincount(place_E, weights_E, minlength=len(values_V)).astype(np.int64)
    middle_V = 2 * np.cumsum(weight_V) - weight_V
    group_V = np.minimum(middle_V * name.n // max(1, 2 * int(weight_V.sum())), name.n - 1)
    groups, group_V = np.unique(group_V, return_inverse=True)
    if len(groups) == 1:
        raise _fault(f"{name.text} divides nothing: equal values make up too large a share")
    labels = []
    for group in range(len(groups)):
        of_group = values_V[group_V == group]
        low, high = _shown(of_group[0]), _shown(of_group[-1])
        labels.append(low if low == high else f"{low}-{high}")
    if len(groups) < name.n:
        message = f"{name.text} has {len(groups)} groups, not {name.n}, since equal values stay together"
        logging.getLogger(__name__).warning(message)
    group_E = group_V[place_E]
    return tuple(labels), tuple(np.sort(members_E[group_E == group]) for group in range(len(groups)))


def _shown(value: Any) -> str:
    """Return a number with all its digits: what two groups begin with differs, and so do their labels."""
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < _INTEGERS else repr(number)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _fault(message: str, suggestion: str | None = None) -> ConfigError:
    return ConfigError(Fault(message, key="groups", suggestion=suggestion))
