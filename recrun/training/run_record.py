"""What is told and written about a run: what it is, at the start; its numbers, at the end; its record in run.json."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from recrun.architectures.base import n_parameters
from recrun.architectures.prediction import PredictingArch
from recrun.config.monitor_names import LOSS
from recrun.errors import CheckpointError
from recrun.runs.folder import now
from recrun.runs.provenance import code_hashes, cost, environment

if TYPE_CHECKING:
    from recrun.training.coach import Coach
    from recrun.training.loop_state import Best


def describe_run(coach: Coach, resumed_from: int | None) -> dict[str, Any]:
    """Return what reporters are told when a run begins, and enter it into run.json."""
    base, settings = coach.dataset.base, coach.cfg
    statistics = base.describe()
    record = coach.run.read_run()
    document = {
        "description": settings.get("description"),
        "model": settings.get("model") or type(coach.model).__name__,
        "dataset": settings["dataset"],
        "n_parameters": n_parameters(coach.model),
        "device": str(coach.device),
        "seed": settings["seed"],
        "which4best": str(coach.which4best),
        "statistics": statistics,
        "data": dict(base.hashes),
        "code": code_hashes(settings),
    }
    if "started" not in record:
        coach.run.update_run(**document, **environment(), started=now(), status="running", test_evaluations=[])
    else:
        entry = {"at": now(), "epoch": resumed_from, "changes": _changes(record, document)}
        coach.run.update_run(resumed=[*record.get("resumed", []), entry], status="running", cause=None, ended=None)
    return {
        **document,
        "epochs": coach.epochs,
        "n_steps": None if coach.optimizer is None else coach.dataset.n_batches("train"),
        "run": str(coach.run.path),
        "monitors": [LOSS, *map(str, coach.meters.names)],
        "resumed_from": resumed_from,
        "notes": list(getattr(base, "notes", [])),
    }


def _changes(record: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a resumed run computes by that is not as it was when the run was started."""
    now_ = {**environment(), "device": document["device"], "code": document["code"]}
    kept = ("git", "versions", "hardware", "device", "code")
    return {name: now_[name] for name in kept if record.get(name) != now_[name]}


def result_of(coach: Coach, best: Best, test: Mapping[str, float] | None) -> dict[str, Any]:
    """Return the content of metrics.json."""
    seconds = coach.progress.seconds
    users = {split: counted for split, (counted, _) in coach.progress.users.items()}
    skipped = {split: left_out for split, (_, left_out) in coach.progress.users.items()}
    return {
        "run": str(coach.run.path),
        "status": "done",
        "best_epoch": best.epoch,
        "which4best": str(coach.which4best),
        "valid": dict(best.values) if coach.validates else None,
        "test": None if test is None else dict(test),
        "users": {**users, "skipped": skipped.get("test", skipped.get("valid", 0))},
        **rows_scored(coach),
        "seconds": {**seconds, "total": sum(seconds.values())},
        "epochs": coach.progress.epoch,
        "stopped_early": coach.stopped_early,
    }


def rows_scored(coach: Coach) -> dict[str, Any]:
    """Return {"rows": {split: count}} of the splits that were scored row by row; nothing for a model that ranks."""
    if not isinstance(coach.model, PredictingArch):
        return {}
    counts = coach.dataset.base.describe()
    return {"rows": {split: counts[split] for split in coach.progress.users}}


def record_end(coach: Coach, status: str, error: BaseException | None = None) -> None:
    """Enter how a run ended into run.json; a folder that is gone or full must not hide the first error."""
    try:
        coach.run.update_run(
            status=status,
            ended=now(),
            epochs_trained=coach.progress.epoch,
            cause=None if error is None else f"{type(error).__name__}: {error}",
            cost=_total_cost(coach.run.read_run()),
        )
        if error is not None:
            # The caller shows the error; this is for the run's log.
            coach.reporters.message(f"{status}: {error}", "debug")
    except (OSError, CheckpointError):
        if error is None:
            raise


def close_reporters(coach: Coach) -> None:
    """Close all reporters; each has written what it was told at once, so one that cannot be closed has lost nothing."""
    with suppress(OSError):
        coach.reporters.close()


def _total_cost(record: Mapping[str, Any]) -> dict[str, float]:
    """Return what the run has cost by now: that of this process, and of those before it that came to an end."""
    spent = cost()
    before = record.get("cost") or {}
    total = {name: round(spent[name] + before.get(name, 0.0), 3) for name in ("wall_seconds", "cpu_seconds")}
    return {**total, "peak_memory_mb": max(spent["peak_memory_mb"], before.get("peak_memory_mb", 0.0))}
