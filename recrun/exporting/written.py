"""Define what a format is asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

IndexKind = Literal["auto", "flat", "hnsw", "ivf"]


@dataclass(frozen=True)
class Request:
    """How to write a format.

    Args:
        notice: called with what is being done.
        index: the kind of an index of nearest neighbours.
    """

    notice: Callable[[str], None] = lambda _: None
    index: IndexKind = "auto"


@dataclass(frozen=True)
class Written:
    """What a format wrote.

    Args:
        files: their names.
        checks: what was compared with the model, and how it came out.
    """

    files: tuple[str, ...]
    checks: Mapping[str, Any] = field(default_factory=dict)
