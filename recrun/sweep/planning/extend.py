"""Extend a study: find how many points it has had, and plan it with more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recrun.errors import CheckpointError, ConfigError
from recrun.runs.records import read_json_if_there
from recrun.sweep.planning.plan import plan_sweep
from recrun.sweep.planning.request import Request
from recrun.sweep.planning.study import Plan
from recrun.sweep.space.declared import Base
from recrun.sweep.storage import LEDGER, SWEEPS


def plan_extended(configs: Base | Sequence[Base], arguments: Sequence[str], request: Request, runs: Path) -> Plan:
    """Plan a sweep, with `request.add` points more than it had, and never with fewer than it had.

    Args:
        configs: as for `plan_sweep`.
        arguments: likewise.
        request: what options ask for.
        runs: the root of all run folders.

    Raises:
        ConfigError: as by `plan_sweep`; or there is no such study to which points could be added.
    """
    plan = plan_sweep(configs, arguments, request=request)
    asked = plan.n_asked
    if asked is None:
        return plan
    had = _trials_of(runs / SWEEPS / plan.name / LEDGER)
    if request.add is not None and had is None:
        raise ConfigError(
            f"--add: there is no study of this command in {runs / SWEEPS} to which points could be added; "
            "begin it with --trials N"
        )
    wanted = max(asked, had or 0) if request.add is None else (had or 0) + request.add
    if wanted != asked:
        plan = plan_sweep(configs, arguments, request=replace(request, trials=wanted, add=None))
    if request.trials is not None and wanted > request.trials:
        note = f"--trials {request.trials}: the study was asked for {wanted} points before, and keeps them"
        plan = replace(plan, notes=(*plan.notes, note))
    return replace(plan, n_had=wanted if request.add is None else had)


def refuse_extended(plan: Plan, folder: Path) -> None:
    """Refuse a plan of a study that another command has extended since: it would drop points, or not add its own.

    Args:
        plan: the plan.
        folder: the study's folder, which is locked.

    Raises:
        ConfigError: it has more points than it had when it was planned.
    """
    has = _trials_of(folder / LEDGER) if plan.n_had is not None else None
    if has is not None and plan.n_had is not None and has > plan.n_had:
        raise ConfigError(
            f"another command has extended the study {folder} to {has} points while this one began; repeat this one"
        )


def _trials_of(ledger: Path) -> int | None:
    """Return how many points the study of a ledger was asked for, or None if there is none."""
    try:
        document = read_json_if_there(ledger)
    except CheckpointError as error:
        raise ConfigError(str(error)) from None
    study = (document or {}).get("study")
    trials = study.get("trials") if isinstance(study, dict) else None
    return trials if type(trials) is int and trials > 0 else None
