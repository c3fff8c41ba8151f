"""What a run that is resumed may have other than before, and whether anything is left of it to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from recrun.errors import CheckpointError, RegistryError
from recrun.registry import SCHEDULERS
from recrun.runs import RunFolder, read_json
from recrun.settings import FREE
from recrun.yamltext import dump_value

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
