"""Write a sweep down: the content of `sweep.json` and of `sweep.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recrun.errors import CheckpointError, ConfigError
from recrun.files import to_json
from recrun.runs.records import read_json
from recrun.sweep.final.record import read_final
from recrun.sweep.points import Standing, interval
from recrun.sweep.row import PENDING, Row
from recrun.sweep.storage import LEDGER

if TYPE_CHECKING:
    from recrun.sweep.state import State

SCHEMA: Final = 1


def document(state: State) -> dict[str, Any]:
    """Return the content of `sweep.json`."""
    plan, standings = state.plan, state.standings()
    best = state.best_of(standings)
    positions = {row.trial.index: position for position, row in enumerate(state.rows)}
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "sweep": str(state.folder),
        "status": state.status,
        "which4best": plan.which4best,
        **_front(state, standings),
        "best": None if best is None or len(best.point.trials) > 1 else positions[best.point.trials[0]],
        "best_point": None if best is None else plan.points.index(best.point),
        "configs": dict(plan.files),
        "axes": {key: list(values) for key, values in plan.axes.items()},
        "trials": [_trial(row, state) for row in state.rows],
        "points": _points(state, standings, positions),
    }
    if state.importance is not None:
        found["importance"] = dict(state.importance)
    return {**found, **plan.described, **read_final(state.folder)}


def refuse_newer(folder: Path) -> None:
    """Refuse to replace a `sweep.json` that a newer version of recrun wrote; a damaged one is replaced.

    Args:
        folder: the sweep's folder.

    Raises:
        ConfigError: it is of a newer version.
    """
    try:
        schema = read_json(folder / LEDGER).get("schema")
    except CheckpointError:
        return
    if type(schema) is int and schema > SCHEMA:
        raise ConfigError(
            f"{folder / LEDGER} has schema {schema}; this version of recrun writes {SCHEMA}: continue the sweep with "
            "the version that began it, or move its folder away to begin again"
        )


def _front(state: State, standings: Sequence[Standing]) -> dict[str, Any]:
    """Return the criteria, where there are several, and the numbers of the points that none other beats by all."""
    plan = state.plan
    if len(plan.criteria) == 1:
        return {}
    front = [plan.points.index(each.point) for each in state.front_of(standings)]
    return {"criteria": list(plan.criteria), "front": front}


def _trial(row: Row, state: State) -> dict[str, Any]:
    return {
        **({"trial": row.trial.index, "config": row.trial.subject} if state.plan.is_study else {}),
        "overrides": dict(row.trial.overrides),
        "status": row.status,
        "run": path_of(row),
        "valid": None if row.valid is None else dict(row.valid),
        "test": None if row.test is None else dict(row.test),
        "cause": row.cause,
        "best_epoch": row.best_epoch,
        "seconds": row.seconds,
        "exit_code": row.exit_code,
        **({} if row.reached is None else {"reached": row.reached}),
    }


def _points(state: State, standings: Sequence[Standing], positions: dict[int, int]) -> list[dict[str, Any]]:
    plan = state.plan
    found = {each.point.trials: each for each in standings}
    return [
        {
            "config": state.row(point.trials[0]).trial.subject,
            "settings": {
                key: value for key, value in {**point.data, **point.choices}.items() if key != plan.of_subject
            },
            "trials": [positions[index] for index in point.trials],
            "n": found[point.trials].n_done,
            "split": state.split,
            "mean": dict(found[point.trials].mean),
            "sd": dict(found[point.trials].sd),
            "interval": interval(found[point.trials]),
        }
        for point in plan.points
    ]


def table(state: State) -> str:
    """Return the content of `sweep.csv`: a line for each trial."""
    metrics = list(dict.fromkeys(name for row in state.rows for name in state.numbers(row)))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = list(dict.fromkeys(key for row in state.rows for key in row.trial.shown))
    writer.writerow(["trial", *keys, "status", *metrics, "best_epoch", "seconds", "run", "cause"])
    for row in state.rows:
        values = [as_text(row.trial.shown[key]) if key in row.trial.shown else None for key in keys]
        numbers = [state.numbers(row).get(name) for name in metrics]
        writer.writerow(
            [row.trial.index, *values, row.status, *numbers, row.best_epoch, row.seconds, path_of(row), row.cause]
        )
    return text.getvalue()


def path_of(row: Row) -> str | None:
    """Return the path of a trial's run folder, or None if it does not exist (yet)."""
    return str(row.run.path) if row.status != PENDING and row.run.path.exists() else None


def as_text(value: Any) -> str:
    """Return a setting's value as table text: strings unchanged, everything else as JSON."""
    return value if isinstance(value, str) else to_json(value)
