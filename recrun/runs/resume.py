"""Resolve the config of a run being resumed, and say what may change and whether it is already finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from recrun.config.find import read_overrides
from recrun.config.resolve import Resolved, resolve
from recrun.config.settings import FREE
from recrun.config.yaml_writer import dump_value
from recrun.errors import CheckpointError, ConfigError, RegistryError
from recrun.registry import SCHEDULERS
from recrun.runs.folder import RunFolder, read_json


def resolve_run(run: RunFolder, overrides: Sequence[str] = ()) -> Resolved:
    """Resolve the config that a run was started with, for continuing it.

    Args:
        run: the run.
        overrides: `KEY=VALUE` for settings that do not decide what is computed (`recrun.config.settings.FREE`), and a
            larger number of `epochs`.

    Raises:
        ConfigError: the run's config is damaged, does not fit this version, or an override changes what is computed.
    """
    before = resolve(run.config_file)
    if not overrides:
        return before
    given = read_overrides(overrides)
    now, problem = before, None
    try:
        now = resolve(run.config_file, overrides)
        refused = refused_changes(before.config, now.config)
    except ConfigError as error:
        # Another model would make faults of all settings of this one; what matters is that it cannot be changed.
        problem, refused = error, {key: "" for key in given if key in before.config and key not in (*FREE, "epochs")}
    faults = [value.fault(_refusal(refused[key]), key) for key, value in given.items() if key in refused]
    if faults:
        raise ConfigError(faults)
    if problem is not None:
        raise problem
    return now


def _refusal(change: str) -> str:
    allowed = f"{', '.join(FREE)}, and epochs to go on longer"
    return f"cannot be changed in a run that is resumed{f': {change}' if change else ''}; what can be: {allowed}"


_NOT_COMPARED: Final = ("id", "resume")


def refused_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that a resumed run may not have other than before, each with why.

    The settings of `FREE` may change, and `epochs` may be raised: the run then comes to what it would have come to with
    the larger number from the start, unless the schedule of the learning rate depends on it.

    Args:
        before: the settings the run was started with.
        now: those it is to go on with.
    """
    refused = {}
    for key in dict.fromkeys([*before, *now]):
        if key in _NOT_COMPARED or key in FREE:
            continue
        was, will = (dump_value(each[key]) if key in each else "not set" for each in (before, now))
        if was != will and not (key == "epochs" and _may_be_raised(before, now)):
            refused[key] = f"was {was}, now {will}"
    return refused


def _may_be_raised(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    was, will = before.get("epochs"), now.get("epochs")
    if not isinstance(was, int) or not isinstance(will, int) or will < was:
        return False
    try:
        return not SCHEDULERS.describe(str(before.get("lr_scheduler", "none"))).traits.get("uses_epochs", False)
    except RegistryError:
        return False


def finished_result(run: RunFolder, epochs: int) -> dict[str, Any] | None:
    """Return the final numbers of a run that has nothing left to do, or None.

    Args:
        run: the run.
        epochs: how many it is to be trained; a run that stopped early is not trained further.

    Raises:
        CheckpointError: run.json is damaged.
    """
    if not run.run_file.exists() or run.read_run().get("status") != "done":
        return None
    try:
        result = read_json(run.metrics_file)
    except CheckpointError:
        return None
    trained = result.get("epochs")
    complete = isinstance(trained, int) and (trained >= epochs or bool(result.get("stopped_early")))
    return result if complete else None
