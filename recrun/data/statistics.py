"""Compute statistics of interactions: counts, density, distribution over users and items, time range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from recrun.data.formats.values.times import date_text, find_unit
from recrun.data.interactions import TIMESTAMP

_QUANTILES: Final = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99, "max": 1.0}
_FEW: Final = 12


def statistics(
    users: np.ndarray, items: np.ndarray, columns: Mapping[str, np.ndarray], *, time_is_date: bool = False
) -> dict[str, Any]:
    """Return statistics of interactions.

    Args:
        users: user of each interaction, integers >= 0 (N,), N >= 1.
        items: item of each, likewise (N,).
        columns: further columns (N,); "rating", "weight", "timestamp" or others.
        time_is_date: "timestamp" is in seconds since 1970; otherwise its unit is guessed.

    Returns:
        "users" and "items" that occur, "interactions", "density" (N over all pairs), "per_user" and "per_item"
        (quantiles and mean of the interactions per user and item), "top_items_share" (the share of interactions with
        the 1 % most popular items), and "columns" (statistics of each).
    """
    per_user, per_item = (counts[counts > 0] for counts in (np.bincount(users), np.bincount(items)))
    n_top = max(len(per_item) // 100, 1)
    return {
        "users": len(per_user),
        "items": len(per_item),
        "interactions": len(users),
        "density": len(users) / (len(per_user) * len(per_item)),
        "per_user": quantiles(per_user),
        "per_item": quantiles(per_item),
        "top_items_share": float(np.sort(per_item)[-n_top:].sum() / len(users)),
        "columns": {name: _column(name, values, time_is_date) for name, values in columns.items()},
    }


def counts_of(n_users: int, n_items: int, n_rows: Mapping[str, int]) -> dict[str, Any]:
    """Return numbers of users, items and rows, and what follows from them.

    Args:
        n_users: U.
        n_items: I.
        n_rows: the rows of each part.
    """
    total = sum(n_rows.values())
    return {
        "users": n_users,
        "items": n_items,
        **n_rows,
        "density": total / (n_users * n_items),
        "interactions_per_user": total / n_users,
        "interactions_per_item": total / n_items,
    }


def quantiles(counts: np.ndarray) -> dict[str, float]:
    """Return quantiles and the mean of counts (n,), n >= 1; every quantile is one of the counts.

    >>> quantiles(np.array([1, 1, 2, 8]))["median"]
    1
    """
    found = np.quantile(counts, list(_QUANTILES.values()), method="inverted_cdf")
    return {**dict(zip(_QUANTILES, found.tolist(), strict=True)), "mean": float(counts.mean())}


def _column(name: str, values: np.ndarray, time_is_date: bool) -> dict[str, Any]:
    low, high = values.min().item(), values.max().item()
    if name == TIMESTAMP:
        unit = "seconds" if time_is_date else find_unit(values)
        return {"unit": unit, "first": date_text(low, unit), "last": date_text(high, unit)}
    found = {"min": low, "mean": float(values.mean(dtype=np.float64)), "max": high}
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= _FEW:
        found["counts"] = {f"{value:g}": count for value, count in zip(distinct.tolist(), counts.tolist(), strict=True)}
    return found
