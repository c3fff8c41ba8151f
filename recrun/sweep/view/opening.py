"""Say what a sweep will do, before it begins."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from recrun.registry.user_files import short_name
from recrun.report.terminal.lines import counted, duration
from recrun.sweep.points import REPEATS
from recrun.sweep.row import PAUSED
from recrun.sweep.schedules.budget import Budgeted
from recrun.sweep.schedules.halving import Halving
from recrun.sweep.schedules.schedule import Schedule
from recrun.sweep.view.settings import repeated

if TYPE_CHECKING:
    from recrun.sweep.ledger import Ledger
    from recrun.sweep.planning.study import Plan

_TITLES: Final = {"tpe": "TPE", "gp": "GP", "cmaes": "CMA-ES", "nsga2": "NSGA-II", "sobol": "Sobol'"}


def opening_lines(ledger: Ledger) -> Iterator[str]:
    """Yield the lines printed when a sweep begins."""
    plan = ledger.plan
    study: Mapping[str, Any] = plan.described.get("study", {})
    yield f"config  {plan.config_path}"
    yield f"sweep   {_counts(plan, study)}, {_purpose(plan)}"
    if "search" in study:
        yield f"space   {', '.join(f'{key} {_values(plan, key)}' for key in plan.axes if key not in REPEATS)}"
    yield from _methods(plan, study)
    limits = _limits(plan)
    if limits:
        yield f"limits  {', '.join(limits)}"
    yield f"folder  {ledger.folder}"
    yield from _untested_folds(ledger)
    yield from _done(ledger)


def _counts(plan: Plan, study: Mapping[str, Any]) -> str:
    """Return how many points and trials there are, and what they are made of."""
    n_trials = plan.most_at_once
    n_points = sum(lane.n_points for lane in plan.lanes)
    n_lanes = len(plan.lanes)
    many = f" for each of {n_lanes} {'configs' if plan.of_subject else 'values of the data'}" if n_lanes > 1 else ""
    lengths = {key: len(values) for key, values in plan.axes.items()}
    times = [f"{lengths[axis]} {axis}" for axis in repeated(plan)]
    if "search" in study:
        name = _TITLES.get(study["search"], study["search"])
        seed = study.get("search_seed", 0)
        each = {lane.n_points for lane in plan.lanes}
        of_each = f"{counted(each.pop(), 'point')}{many}" if len(each) == 1 else f"{counted(n_points, 'point')} in all"
        parts = [f"{of_each} by {name} (seed {seed})", *times]
        return f"{' x '.join(parts)} = {counted(n_trials, 'trial')}"
    if math.prod(lengths.values()) == n_trials and n_lanes == 1:
        return f"{' x '.join(f'{n} {key}' for key, n in lengths.items())} = {n_trials} trials"
    if plan.of_subject and not _varies(plan):
        subjects = len({lane.subject for lane in plan.lanes})
        data = [f"{lengths[key]} {key}" for key in _data(plan)]
        return f"{' x '.join([f'{subjects} configs', *data, *times])} = {counted(n_trials, 'trial')}"
    over = [key for key in lengths if key not in REPEATS]
    of_configs = f" on {len({lane.subject for lane in plan.lanes})} configs" if plan.of_subject else ""
    parts = [f"{counted(n_points, 'point')} of {', '.join(over)}{of_configs}", *times]
    return f"{' x '.join(parts)} = {counted(n_trials, 'trial')}"


def _varies(plan: Plan) -> bool:
    return any(lane.space.dimensions for lane in plan.lanes)


def _data(plan: Plan) -> list[str]:
    """Return the axes that change the data."""
    return list(dict.fromkeys(key for lane in plan.lanes for key in lane.data))


def _values(plan: Plan, key: str) -> str:
    values = plan.axes[key]
    return ",".join(str(value) for value in values[:6]) + (f",... ({len(values)})" if len(values) > 6 else "")


def _purpose(plan: Plan) -> str:
    """Return what a sweep does with the numbers of its trials."""
    if plan.is_tested:
        return "each scored on test: nothing is chosen"
    if not _varies(plan):
        return "each scored on validation: nothing is chosen, and eval_test is false"
    mean = f"the mean over {' and '.join(repeated(plan))} of " if plan.has_repeats else ""
    data = _data(plan)
    apart = f", for each {' and '.join(data)} separately" if data else ""
    front = ": a Pareto front" if len(plan.criteria) > 1 else ""
    return f"compared by {mean}{' and '.join(map(short_name, plan.criteria))} on validation{apart}{front}"


def _methods(plan: Plan, study: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines on how trials are ended early."""
    if "prune" in study:
        found = [_inner(lane.schedule) for lane in plan.lanes if lane.schedule is not None]
        rungs = next((each.rungs[:-1] for each in found if isinstance(each, Halving)), ())
        last = max((each.last_epoch for each in found), default=0)
        at = f", compared at epoch {', '.join(map(str, rungs))}; the end is {last}" if rungs else ""
        yield f"prune   {study['prune']}{at}"
    if study.get("race"):
        yield "race    seeds are added only to points that are not significantly worse than the best"


def _inner(schedule: Schedule) -> Schedule:
    return schedule.schedule if isinstance(schedule, Budgeted) else schedule


def max_epochs(plan: Plan) -> int | None:
    """Return how many epochs the trials of a sweep may train together; None for any number."""
    budgets = [lane.schedule.max_epochs for lane in plan.lanes if isinstance(lane.schedule, Budgeted)]
    return sum(budgets) or None


def _limits(plan: Plan) -> list[str]:
    """Return what ends a sweep, or a trial of it, before it is done."""
    limits, epochs = plan.limits, max_epochs(plan)
    return [
        *([] if limits.max_hours is None else [f"{limits.max_hours:g} h in all"]),
        *([] if epochs is None else [f"{epochs:,} epochs in all"]),
        *([] if limits.timeout is None else [f"{duration(limits.timeout)} for a trial"]),
        *([f"a failed trial is tried {counted(limits.retries, 'time')} more"] if limits.retries else []),
        *(["the first failure ends it"] if limits.fail_fast else []),
    ]


def _untested_folds(ledger: Ledger) -> Iterator[str]:
    """Yield the line that says which share of the folds is tested, if it is not all."""
    n_folds = max((row.trial.config.get("n_folds") or 0 for row in ledger.rows), default=0)
    n_tested = len(ledger.plan.axes.get("test_fold", ()))
    if 0 < n_tested < n_folds:
        yield f"note    {n_tested} of {n_folds} folds are tested; test_fold=1..{n_folds} tests all"


def _done(ledger: Ledger) -> Iterator[str]:
    """Yield the line on trials of an earlier call."""
    known = [row for row in ledger.rows if row.was_done]
    if known:
        states = "done or paused" if any(row.status == PAUSED for row in known) else "done"
        total = ledger.plan.most_at_once
        yield f"done    {len(known)} of {total} trials are already {states} and are not repeated"
