"""Find the components that other packages register through entry points of the groups `recrun.<kinds>`."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib.machinery import PathFinder
from typing import Any, Final

_MARK: Final = "[recrun."


@cache
def find_entry_points() -> dict[str, dict[str, list[Any]]]:
    """Return the entry points of each group `recrun.<kinds>`, by name; several packages may use one name."""
    if not _may_be_any():
        return {}
    from importlib.metadata import distributions

    groups: dict[str, dict[str, list[Any]]] = {}
    seen = set()
    for distribution in distributions():
        if _MARK not in (distribution.read_text("entry_points.txt") or ""):
            continue
        name = distribution.metadata["Name"]
        if name not in seen:
            seen.add(name)
            for point in distribution.entry_points:
                groups.setdefault(point.group, {}).setdefault(point.name, []).append(point)
    return groups


def _may_be_any() -> bool:
    """Return whether an installed package may have entry points for recrun.

    Importing `importlib.metadata` takes a fifth of the time of `recrun list`. Usually no package has entry points for
    recrun, and searching the `entry_points.txt` files shows it; packages in zip files or behind other finders
    count as possible.
    """
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return True
    for folder in sys.path:
        if os.path.isfile(folder):
            return True
        try:
            names = [name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue
        for name in names:
            try:
                with open(os.path.join(folder, name, "entry_points.txt"), encoding="utf-8", errors="replace") as file:
                    if _MARK in file.read():
                        return True
            except OSError:
                continue
    return False
