"""Resolve the config of a run that is resumed, and find out whether it is already finished."""

from __future__ import annotations

import os
from typing import Any

from recrun.config.given.arguments import Overrides, read_overrides
from recrun.config.resolve import Resolved, resolve
from recrun.config.same_settings import FREE, refused_changes
from recrun.errors import CheckpointError, ConfigError
from recrun.runs.folder import RunFolder
from recrun.runs.provenance import refuse_strange_code
from recrun.runs.records import read_json
from recrun.runs.row_values import check_metrics


def resolve_run(run: RunFolder, overrides: Overrides = (), *, trust: bool = False) -> Resolved:
    """Resolve the config of a run in order to continue it.

    Args:
        run: the run.
        overrides: `KEY=VALUE`, or Python values by key, for settings that do not affect results (`FREE`), or a larger
            number of `epochs`.
        trust: whether code of the user's own that the run names may be run although it was not run here before.

    Raises:
        ConfigError: the config is damaged or does not fit this version, or an override may change results.
        CheckpointError: it names such code, and neither `trust` nor an override allows it.
    """
    if not os.path.lexists(run.config_file):
        raise CheckpointError(f"the run {run.path} is damaged: config.yaml is missing")
    before = resolve(run.config_file)
    given = read_overrides(overrides)
    refuse_strange_code(f"the run {run.path}", before.config, named=given, trust=trust)
    if not overrides:
        return before
    now, problem = before, None
    try:
        now = resolve(run.config_file, overrides)
        changes = refused_changes(before.config, now.config)
        refused = {key: str(change) for key, change in changes.items()}
    except ConfigError as error:
        # With another model, all settings of the old one would be faults; report only that it cannot be changed.
        problem, refused = error, {key: "" for key in given if key in before.config and key not in (*FREE, "epochs")}
    faults = [value.fault(_refusal(refused[key]), key) for key, value in given.items() if key in refused]
    if faults:
        raise ConfigError(faults)
    if problem is not None:
        raise problem
    return now


def _refusal(change: str) -> str:
    allowed = f"{', '.join(FREE)}, and epochs to a larger number"
    return f"cannot be changed when a run is resumed{f': {change}' if change else ''}; can be changed: {allowed}"


def final_result(run: RunFolder, epochs: int) -> dict[str, Any] | None:
    """Return the final metrics of a run that needs no more training, or None.

    Its end need not be recorded in run.json: a run that is killed after it wrote its metrics lacks only its summary.

    Args:
        run: the run.
        epochs: the number of epochs to train; a run that stopped early needs no more.
    """
    try:
        result = check_metrics(read_json(run.metrics_file), str(run.metrics_file))
    except CheckpointError:
        return None
    trained = result.get("epochs")
    if result.get("status") != "done" or not isinstance(trained, int):
        return None
    return result if trained >= epochs or result.get("stopped_early") else None


def is_recorded_as_done(run: RunFolder) -> bool:
    """Return whether run.json says that a run is done.

    Raises:
        CheckpointError: run.json is damaged.
    """
    return run.run_file.exists() and run.read_run().get("status") == "done"
