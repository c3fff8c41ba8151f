"""Data sets by name; `recrun.data.datasets.Gowalla_m1` is imported on first use."""

from __future__ import annotations

from typing import Any

from recrun.registry import DATASETS


def __getattr__(name: str) -> Any:
    if not name.startswith("_") and name in DATASETS:
        return DATASETS.get(name)
    raise AttributeError(f"module {__name__!r} has no data set {name!r}; there are: {', '.join(DATASETS.names())}")


def __dir__() -> list[str]:
    return sorted({*globals(), *DATASETS.names()})
