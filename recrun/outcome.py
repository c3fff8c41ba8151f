"""What is told and written about a run: its description at the start, its numbers at the end, its record in run.json."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recrun.architectures import n_parameters
from recrun.monitors import LOSS, Reporter
from recrun.provenance import cost, environment
from recrun.runs import RunFolder, now

if TYPE_CHECKING:
    from recrun.launcher import Coach
    from recrun.progress import Best

_PROCESS_START = time.time()


def usual_reporters(settings: Mapping[str, Any]) -> Any:
    """Return the maker of the reporters that a run has unless it is given others: live view, log, metrics, events."""

    def make(run: RunFolder, resumed_from: int | None) -> Sequence[Reporter]:
        from recrun.report import usual_reporters as reporters

        return reporters(run, settings, resumed_from)

    return make


def describe_run(coach: Coach, resumed_from: int | None) -> dict[str, Any]:
    """Return what reporters are told when a run begins, and enter it into run.json."""
    base, settings = coach.dataset.base, coach.cfg
    statistics = base.describe()
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
    }
    if resumed_from is None:
        coach.run.update_run(**document, **environment(), started=now(), test_evaluations=[])
    else:
        record = coach.run.read_run()
        coach.run.update_run(resumed=[*record.get("resumed", []), {"at": now(), "epoch": resumed_from}])
    return {
        **document,
        "epochs": coach.epochs,
        "n_steps": None if coach.optimizer is None else coach.dataset.n_batches("train"),
        "run": str(coach.run.path),
        "monitors": [LOSS, *map(str, coach.meters.names)],
        "resumed_from": resumed_from,
        "notes": list(getattr(base, "notes", [])),
    }


def result_of(coach: Coach, best: Best, test: Mapping[str, float] | None) -> dict[str, Any]:
    """Return the content of metrics.json."""
    seconds = coach.progress.seconds
    users = {split: counted for split, (counted, _) in coach.users.items()}
    skipped = {split: left_out for split, (_, left_out) in coach.users.items()}
    return {
        "run": str(coach.run.path),
        "status": "done",
        "best_epoch": best.epoch,
        "which4best": str(coach.which4best),
        "valid": dict(best.values) if coach.validates else None,
        "test": None if test is None else dict(test),
        "users": {**users, "skipped": skipped.get("test", skipped.get("valid", 0))},
        "seconds": {**seconds, "total": sum(seconds.values())},
        "epochs": coach.progress.epoch,
    }


def record_end(coach: Coach, status: str, error: BaseException | None = None) -> None:
    """Enter how a run ended into run.json; a folder that is gone or full must not hide the first error."""
    try:
        coach.run.update_run(
            status=status,
            ended=now(),
            epochs_trained=coach.progress.epoch,
            cause=None if error is None else f"{type(error).__name__}: {error}",
            cost=cost(_PROCESS_START),
        )
    except OSError as failure:
        coach.reporters.message(f"run.json could not be written: {failure}", "warning")
    if error is not None:
        # The caller shows the error; this is for the run's log.
        coach.reporters.message(f"{status}: {error}", "debug")
