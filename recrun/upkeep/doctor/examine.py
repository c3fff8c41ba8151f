"""Examine the installation and the machine, one check after the other; none of them can end the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recrun.upkeep.doctor.asking import ask
from recrun.upkeep.doctor.finding import Finding, cause, guarded
from recrun.upkeep.doctor.folders import check_cache, check_folders, check_locks, check_temporary, check_trust
from recrun.upkeep.doctor.machine import check_devices, check_terminal, check_threads
from recrun.upkeep.doctor.packages import (
    Requirement,
    check_components,
    check_extras,
    check_versions,
    pip_install,
    requirements,
)

_ARITHMETIC, _DEVICES, _COMPONENTS = ":arithmetic", ":devices", ":components"


def examine(runs: str | Path = "runs", root: str | Path = "data") -> Iterator[Finding]:
    """Yield what is found of versions, devices, threads, folders, the terminal, extras and trust.

    Args:
        runs: the folder of all runs.
        root: the folder of the data sets.
    """
    needed: list[Requirement] = []
    try:
        needed = requirements()
    except Exception as error:  # recrun runs from a folder that is not installed, or its metadata is damaged
        yield Finding("versions", "recrun", f"is not installed: {cause(error)}", "problem", pip_install("recrun"))
    modules = [each.module for each in needed if not each.extra]
    answers: dict[str, Any] = ask([*modules, _ARITHMETIC, _DEVICES, _COMPONENTS])
    yield from guarded("versions", lambda: check_versions(needed, answers))
    yield from guarded("devices", lambda: check_devices(answers[_DEVICES]))
    yield from guarded("threads", lambda: check_threads(answers[_ARITHMETIC]))
    yield from guarded("folders", lambda: check_folders(Path(runs), Path(root)))
    yield from guarded("folders", check_cache)
    yield from guarded("folders", check_temporary)
    yield from guarded("folders", lambda: check_locks(Path(runs)))
    yield from guarded("terminal", check_terminal)
    yield from guarded("extras", lambda: check_extras(needed))
    yield from guarded("extras", lambda: check_components(answers[_COMPONENTS]))
    yield from guarded("trust", check_trust)
