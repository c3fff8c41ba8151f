"""Check what metrics return, and that they leave the arrays that they are given as they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from recrun.config.monitor_names import MetricName
from recrun.errors import RegistryError
from recrun.metrics.ranking import Doubles
from recrun.metrics.undefined import Undefined
from recrun.registry.user_files import is_foreign


def one_each(name: MetricName, values: Any, n: int, of: str) -> Doubles:
    """Return what a metric computed for each user or group, as float64 (n,).

    Args:
        name: the metric.
        values: what it returned.
        n: how many users or groups there are.
        of: what each number is of, "user" or "group".

    Raises:
        RegistryError: it is not one real number for each.
    """
    try:
        found = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):  # lists of different lengths, tensors on a device
        found = np.empty(0, dtype=object)
    if found.shape != (n,) or found.dtype.kind not in "fiub":
        raise RegistryError(
            f"metric {name} must return one number for each {of}, here real numbers of shape ({n},), and returned "
            f"{_described(values)}"
        )
    return found.astype(np.float64, copy=False)


def one_number(name: MetricName, value: Any) -> float:
    """Return what a metric computed of everything together; NaN without a reason is undefined as well.

    Raises:
        RegistryError: it is not one real number.
    """
    if isinstance(value, Undefined):
        return value
    try:
        found = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        found = np.empty(0)
    if found.shape != () or found.dtype.kind not in "fiub":
        raise RegistryError(f"metric {name} must return a number, and returned {_described(value)}")
    return Undefined("the metric returned NaN") if np.isnan(found) else float(found)


def unchanged(name: MetricName, compute: Callable[..., Any]) -> Callable[..., Any]:
    """Return a metric such that it cannot change the arrays it is given, which other metrics are computed from.

    One of recrun's own is returned as it is.

    Raises:
        RegistryError: when it is called, and has changed them.
    """
    if not is_foreign(compute):
        return compute

    @wraps(compute)
    def on_copies(*given: Any, **named: Any) -> Any:
        # Copies that may be written to: torch warns of others, and writes to them nevertheless.
        copies = [each.copy() if isinstance(each, np.ndarray) else each for each in given]
        value = compute(*copies, **named)
        for place, (before, after) in enumerate(zip(given, copies, strict=True), 1):
            if isinstance(before, np.ndarray) and not _are_equal(before, after):
                raise RegistryError(
                    f"metric {name} changes its argument {place} in place, which must stay as it is; let it change a "
                    "copy, such as hits.copy()"
                )
        return value

    return on_copies


def _are_equal(before: np.ndarray, after: np.ndarray) -> bool:
    return bool(np.array_equal(before, after, equal_nan=before.dtype.kind == "f"))


def _described(value: Any) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and len(shape):
        return f"{dtype} of shape {tuple(shape)}"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}... ({type(value).__name__})"
