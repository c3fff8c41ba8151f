"""Make monitors of the metrics and cutoffs that other programs list apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from recrun.config.monitor_names import kind_of
from recrun.errors import nearest
from recrun.importing.draft import Draft
from recrun.importing.yaml_tree import Entry
from recrun.registry import METRICS
from recrun.registry.other_names import same_name

_METRIC: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*?)\s*(?:@\s*(\d{1,9}))?\s*")


def listed(value: Any) -> list[Any]:
    """Return a value as a list; other programs take one value or several."""
    return value if isinstance(value, list) else [] if value is None else [value]


def put_monitors(draft: Draft, entry: Entry, cutoffs: Sequence[Any], differs: Mapping[str, str]) -> None:
    """Set the monitors that a list of metrics means.

    Args:
        draft: the config in the making.
        entry: the list of metrics, each with or without a cutoff.
        cutoffs: the cutoffs of those without.
        differs: metrics that are defined otherwise there, by their names in small letters, and how.
    """
    known = [each for each in cutoffs if isinstance(each, int) and not isinstance(each, bool) and each > 0]
    found: list[str] = []
    for number, text in enumerate(listed(entry.value)):
        item = number if isinstance(entry.value, list) else None
        name, cutoff = split(text)
        if name.lower() == "loss":
            draft.skip(entry, "the training loss is always recorded")
            continue
        here, why = _metric_here(name, differs)
        if here is None:
            draft.refuse(entry, why, item)
        elif not kind_of(METRICS.describe(here)).traits.cutoff:
            found.append(here)
        elif cutoff is not None or known:
            found += [f"{here}@{k}" for k in ([cutoff] if cutoff is not None else known)]
        else:
            draft.refuse(entry, f"{here} needs a cutoff, and none is given", item)
    if found:
        draft.put(entry, {"monitors": list(dict.fromkeys(found))})


def put_criterion(draft: Draft, entry: Entry, cutoffs: Sequence[Any], differs: Mapping[str, str]) -> None:
    """Set the monitor that chooses the best epoch; it becomes one of the monitors."""
    name, cutoff = split(entry.value)
    here, why = _metric_here(name, differs)
    if here is None:
        draft.refuse(entry, f"{why}; the last of the monitors chooses the best epoch")
        return
    if kind_of(METRICS.describe(here)).traits.cutoff:
        cutoff = cutoff if cutoff is not None else next((each for each in cutoffs if isinstance(each, int)), 10)
        here = f"{here}@{cutoff}"
    draft.put(entry, {"which4best": here})
    monitors = draft.settings.get("monitors")
    if monitors is not None and here not in monitors:
        draft.settings["monitors"] = [*monitors, here]


def split(text: Any) -> tuple[str, int | None]:
    """Return the name and the cutoff of a metric.

    >>> split("nDCG@10"), split("AUC")
    (('nDCG', 10), ('AUC', None))
    """
    found = _METRIC.fullmatch(str(text))
    if found is None:
        return str(text), None
    return found[1], int(found[2]) if found[2] else None


def _metric_here(name: str, differs: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the metric here that is the same, and why there is none."""
    if name.lower() in differs:
        return None, differs[name.lower()]
    known = METRICS.names()
    here = same_name("metrics", name, known)
    if here is None:
        near = nearest(name, known)
        return None, f"there is no metric {name!r} here{f'; the nearest name is {near}' if near else ''}"
    if METRICS.describe(here).traits.kind == "pointwise":
        return None, f"{here} is a metric of models that predict labels"
    return here, ""
