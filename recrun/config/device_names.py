"""Check how the `device` setting is written, without importing torch."""

from __future__ import annotations

import re
from typing import Final

from recrun.errors import ConfigError, Fault, nearest

_SYNTAX: Final = re.compile(r"auto|cpu|cuda|mps|(cuda:)?(0|[1-9][0-9]*)")
_FORMS: Final = ("auto", "cpu", "cuda", "cuda:N", "N", "mps")


def check_syntax(device: str) -> None:
    """Check that a text names a device, without importing torch or checking that the machine has it.

    Raises:
        ConfigError: it is not one of auto, cpu, cuda, cuda:N, N and mps.

    >>> check_syntax("cuda:1")
    """
    if not _SYNTAX.fullmatch(device):
        message = f"expected one of {', '.join(_FORMS)}, found {device!r}"
        # By its letters, "gpu" would be nearest to "cpu".
        meant = "cuda" if device.lower().startswith("gpu") else nearest(device, ("auto", "cpu", "cuda", "mps"))
        raise ConfigError(Fault(message, key="device", suggestion=meant))
