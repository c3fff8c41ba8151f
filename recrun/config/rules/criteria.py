"""Read `which4best` where it is a list: the first metric chooses the best epoch, and a sweep compares by all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from recrun.config.draft import Facts
from recrun.config.monitor_names import LOSS, parse_monitor
from recrun.config.reading import Given, Reading
from recrun.errors import ConfigError, Fault, nearest

WHICH: Final = "which4best"


def with_first_criterion(reading: Reading) -> tuple[Reading, tuple[Given, ...]]:
    """Return a config whose `which4best` is the first of its list, and all of the list.

    Args:
        reading: the config. A list that is empty or holds something else than text is left, for its type to be checked.

    Returns:
        The config, and the items of the list with their places; none where it is no list.
    """
    given = reading.given.get(WHICH)
    if given is None or not isinstance(given.value, list) or not given.value:
        return reading, ()
    if not all(isinstance(name, str) for name in given.value):
        return reading, ()
    items = tuple(
        Given(name, given.items[position] if position < len(given.items) else given.place)
        for position, name in enumerate(given.value)
    )
    first = replace(given, value=given.value[0], place=items[0].place, text=given.value[0], items=())
    return replace(reading, given={**reading.given, WHICH: first}), items


def check_criteria(items: Sequence[Given], facts: Facts) -> tuple[tuple[str, ...], list[Fault], list[str]]:
    """Return the metrics that a sweep compares by, what is wrong with the list, and a note on what it means for a run.

    Args:
        items: the list as written.
        facts: what is known of the config, its monitors and `which4best` in one spelling.
    """
    criterion = facts.values.get(WHICH)
    names = dict.fromkeys([criterion] if isinstance(criterion, str) else [])
    faults = list(_repeated(items))
    choices = [monitor for monitor in facts.values.get("monitors", ()) if monitor != LOSS]
    for item in items[1:]:
        try:
            name = str(parse_monitor(item.value, item))
        except ConfigError as error:
            faults.append(item.fault(error.faults[0].message, WHICH, error.faults[0].suggestion))
            continue
        if facts.has("monitors") and name not in choices:
            message = f"expected one of the monitors ({', '.join(choices)}), found {item.value!r}"
            faults.append(item.fault(message, WHICH, nearest(name, choices)))
        names[name] = None
    notes = []
    if len(names) > 1:
        notes.append(f"{WHICH}: {criterion} chooses the best epoch; a sweep compares its points by all of the list")
    return tuple(names), faults, notes


def _repeated(items: Sequence[Given]) -> Iterator[Fault]:
    """Yield a fault for each metric that an earlier one of the list is too."""
    seen = set()
    for item in items:
        try:
            name = str(parse_monitor(item.value, item))
        except ConfigError:
            continue
        if name in seen:
            yield item.fault(f"{name} is given twice; remove one", WHICH)
        seen.add(name)
