"""What `recrun doctor` finds, and how a check that fails itself is one more finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from recrun.visible import on_one_line

Level = Literal["ok", "note", "problem"]
"""A note does not stop recrun from working; a problem does."""
_MAX_CAUSE: Final = 300


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        area: what it belongs to, such as "versions".
        name: what it is.
        value: what was found.
        level: whether it is as it should be.
        remedy: what to do, where something is not.
    """

    area: str
    name: str
    value: str
    level: Level = "ok"
    remedy: str = ""


def guarded(area: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds; if it fails, as where a package is broken, that is a finding."""
    try:
        yield from check()
    except Exception as error:  # whatever a broken installation raises
        yield Finding(area, "this check", f"failed: {cause(error)}", "note", "mend what is broken above first")


def cause(error: BaseException) -> str:
    """Return an error in a few words on one line."""
    return on_one_line(f"{type(error).__name__}: {error}")[:_MAX_CAUSE]
