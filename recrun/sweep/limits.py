"""Define how much a sweep may take: time, epochs, attempts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What ends a sweep, or a trial, before it is done.

    Args:
        max_hours: after this time no trial starts, and those that run are stopped with their state saved.
        timeout: the seconds after which the process of a trial is stopped and its trial has failed.
        retries: how often a trial that failed or was killed is tried again.
        fail_fast: whether the first trial that fails ends the sweep.
    """

    max_hours: float | None = None
    timeout: float | None = None
    retries: int = 0
    fail_fast: bool = False
