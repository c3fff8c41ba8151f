"""Decide whether the numbers of runs compare: the same data, users, evaluation and definitions of metrics."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Final

from recrun.compare.entry import Entry, Split
from recrun.compare.groups import data_settings_that_differ, protocol_of
from recrun.compare.select import listed
from recrun.errors import ConfigError
from recrun.evaluation.protocol_text import protocol_text
from recrun.registry.user_files import is_file_reference, short_name
from recrun.runs.provenance import SPLIT

_ALL_ITEMS: Final = "among all items"


def reasons_against(entries: Sequence[Entry], split: Split, metrics: Sequence[str]) -> Iterator[str]:
    """Yield each reason for which the numbers of some runs do not compare.

    Args:
        entries: the runs.
        split: the split that is compared.
        metrics: the metrics that are compared.
    """
    settings = data_settings_that_differ(entries)
    by = f" (by {', '.join(settings)})" if settings else ""
    parts = [(entry.path, entry.data.get(SPLIT, entry.path)) for entry in entries]
    yield from _unequal(parts, f"their train, valid and test parts differ{by}")
    for file in dict.fromkeys(name for entry in entries for name in entry.data if name != SPLIT):
        digests = [(entry.path, entry.data[file]) for entry in entries if file in entry.data]
        yield from _unequal(digests, f"they read different versions of {file}")
    protocols = [(entry.path, protocol_of(entry)) for entry in entries]
    texts = dict.fromkeys(protocol_text(entry.protocol) or _ALL_ITEMS for entry in entries)
    yield from _unequal(protocols, f"what is ranked differs ({'; '.join(texts)})")
    for metric in metrics:
        name = metric.partition("@")[0] if ".py:" not in metric else metric.rpartition("@")[0] or metric
        if is_file_reference(name):
            code = [(entry.path, _code_of(entry, name)) for entry in entries]
            yield from _unequal(code, f"the file that defines {short_name(metric)} differs")
    users = [(entry.path, entry.n_users) for entry in entries]
    yield from _unequal(users, f"they are evaluated on different numbers of {split} users")


def refuse_incomparable(reasons: Iterable[str]) -> None:
    """Refuse runs that do not compare.

    Raises:
        ConfigError: there is a reason; the first one is given.
    """
    for reason in reasons:
        remedy = "compare runs of the same data and evaluation, or add --descriptive for their numbers without tests"
        raise ConfigError(f"the runs do not compare: {reason}; {remedy}")


def _unequal(values: Iterable[tuple[str, Hashable]], reason: str) -> Iterator[str]:
    """Yield the reason and the runs on either side, if a value is not the same for all runs.

    Args:
        values: pairs of a run's path and its value.
        reason: what it means.
    """
    found: dict[Hashable, list[str]] = {}
    for path, value in values:
        found.setdefault(value, []).append(path)
    if len(found) > 1:
        sides = [listed(paths, most=2) for paths in found.values()]
        more = f" (and {len(sides) - 2} further variants)" if len(sides) > 2 else ""
        yield f"{reason}: {sides[0]} against {sides[1]}{more}"


def _code_of(entry: Entry, reference: str) -> str | None:
    file = reference.rpartition(":")[0]
    alike = [digest for path, digest in entry.code.items() if os.path.basename(path) == os.path.basename(file)]
    return entry.code.get(file, alike[0] if len(alike) == 1 else None)
