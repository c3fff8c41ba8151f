"""Read spans of time as settings write them: 30m, 1.5h, or a number of seconds."""

from __future__ import annotations

import math
import re
from typing import Final

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)")


def seconds_of(span: str | float) -> float | None:
    """Return the seconds of a span of time above 0, or None if it is none.

    >>> seconds_of("30m"), seconds_of("1.5h"), seconds_of(90), seconds_of("half an hour"), seconds_of("0s")
    (1800.0, 5400.0, 90.0, None, None)
    """
    if isinstance(span, str):
        match = _SPAN.fullmatch(span.strip())
        seconds = 0.0 if match is None else float(match[1]) * _UNITS[match[2]]
    else:
        seconds = float(span)
    return seconds if 0 < seconds < math.inf else None


def is_time_span(span: str | float | None) -> bool:
    """Return whether a setting, if it is set, is a span of time."""
    return span is None or seconds_of(span) is not None
