"""Define the value of a metric that is undefined on the data: NaN together with the reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from recrun.registry.user_files import short_name


class Undefined(float):
    """NaN with the reason why a metric has no value, such as "no user has rows of both labels".

    A metric returns it in place of a number. In every JSON document it is null, and the reason stands beside it.

    Args:
        reason: a clause that completes "the metric is undefined on test: ...".

    >>> value = Undefined("there are no rows")
    >>> value != value, value.reason
    (True, 'there are no rows')
    """

    reason: str

    def __new__(cls, reason: str) -> Undefined:
        value = super().__new__(cls, math.nan)
        value.reason = reason
        return value

    def __repr__(self) -> str:
        return f"Undefined({self.reason!r})"


def as_nulls(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return metrics by name for a JSON document: None in place of undefined ones."""
    return {name: None if isinstance(value, Undefined) else value for name, value in values.items()}


def reasons(values: Mapping[str, float | None]) -> dict[str, str]:
    """Return the reasons of the undefined ones among some metrics, by name."""
    return {name: value.reason for name, value in values.items() if isinstance(value, Undefined)}


def from_nulls(values: Mapping[str, float | None], why: Mapping[str, str]) -> dict[str, float]:
    """Return metrics as they were before `as_nulls`, given their `reasons`."""
    found: dict[str, float] = {}
    for name, value in values.items():
        found[name] = Undefined(str(why.get(name, "the reason was not recorded"))) if value is None else value
    return found


def undefined_entry(values: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, dict[str, str]]]:
    """Return the entry of a document for its undefined metrics: `{"undefined": {split: {metric: reason}}}`, or nothing.

    Args:
        values: metrics by split.
    """
    found = {split: reasons(metrics) for split, metrics in values.items()}
    found = {split: why for split, why in found.items() if why}
    return {"undefined": found} if found else {}


def reason_in(document: Mapping[str, Any], split: str, name: str) -> str | None:
    """Return the reason that a document gives for a metric that is null; None if it gives none."""
    undefined = document.get("undefined")
    of_split = undefined.get(split) if isinstance(undefined, dict) else None
    return str(of_split[name]) if isinstance(of_split, dict) and name in of_split else None


def undefined_text(undefined: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return a clause for each split, metric and reason.

    >>> undefined_text({"test": {"gauc": "no user has rows of both labels"}})
    ['gauc is undefined on test: no user has rows of both labels']
    """
    return [
        f"{short_name(name)} is undefined on {split}: {why}"
        for split, found in undefined.items()
        for name, why in found.items()
    ]
