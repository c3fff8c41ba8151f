"""Define the modes: the parts of the data that a pipe can iterate over."""

from __future__ import annotations

from typing import Literal

from recrun.errors import DataError, unknown

Mode = Literal["train", "valid", "test"]
MODES: tuple[Mode, ...] = ("train", "valid", "test")


def check_mode(mode: str) -> Mode:
    """Return `mode` if it is valid.

    Raises:
        DataError: it is not one of train, valid, test.
    """
    if mode not in MODES:
        raise DataError(unknown("mode", mode, MODES))
    return mode
