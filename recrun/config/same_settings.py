"""Decide whether two configs compute the same result, for each purpose.

| purpose | settings that are ignored |
|---|---|
| resuming a run (`refused_changes`) | `FREE`, `id`, `resume`; `epochs` may be raised |
| `expected:` values (`changes_of_result`, `decides`) | `FREE`, and all of `NAMES` |
| a sweep's folder and finished trials (`sweep_identity`, `is_finished_trial`) | `FREE`, `id`, `resume`, unless axes |
| a stored config (`without_run`) | `id`, `resume` |
| the groups of a comparison (`result_identity`) | `FREE`, and all of `NAMES` |
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recrun.config.reading import Given
from recrun.config.settings import COMPONENTS, RUN, TRAINING
from recrun.config.yaml_writer import dump_value
from recrun.errors import RegistryError
from recrun.registry import REPORTERS, SCHEDULERS

FREE: Final = (
    "device",
    "threads",
    "verbose",
    "num_workers",
    "eval_memory",
    "root",
    "checkpoint_freq",
    "checkpoint_minutes",
    "plots",
    "per_user",
    "groups",
    "user_file",
    "item_file",
    "track",
    "track_project",
    "track_checkpoint",
)
"""Settings that do not affect results: the hardware, memory, output and checkpoints of a run, and break-downs."""

FORMERLY: Final = "trackers"
"""The name that `track` had, which is still read, as in the configs of earlier runs."""

OF_TRACKING: Final = ("track", "track_project", "track_checkpoint", FORMERLY)
"""Settings that say where a run is reported to; trackers may have further ones."""

_DEFAULTS: Final = {parameter.name: parameter.default for parameter in (*RUN, *TRAINING)}

PATHS: Final = ("root", "init_from")
"""Settings that are paths relative to the working folder, which runs record as absolute ones."""

_OF_ONE_RUN: Final = {"id": None, "resume": False}
"""Settings that concern a single run folder, with the values that a stored config has instead."""

_CAME_LATER: Final = (
    *("train_on", "item_vectors", "eval_users", "eval_users_seed", "eval_users_on"),
    *("eval_index", "eval_index_breadth"),
    *("stop_epoch", "accumulate", "clip_norm", "ema_decay", "weight_decay_on"),
)
"""Settings that do not count in the identity of a sweep as long as they are as by default."""

NAMES: Final = ("description", *_OF_ONE_RUN)
"""Settings that only name a run. The description is also part of the path of runs and sweeps."""


@dataclass(frozen=True)
class Change:
    """The old and the new value of a setting, each as YAML or "not set"."""

    was: str
    now: str

    def __str__(self) -> str:
        return f"was {self.was}, now {self.now}"


def refused_changes(before: Mapping[str, Any], now: Mapping[str, Any], *, any_seed: bool = False) -> dict[str, Change]:
    """Return the changed settings that prevent a run from being resumed.

    `epochs` may be raised, unless the learning-rate schedule depends on it: the result is the same as with the larger
    number from the start.

    Args:
        before: the settings the run was started with.
        now: the settings it would continue with.
        any_seed: whether a seed of -1 in `now` matches any seed.
    """
    free = (*FREE, *settings_of_trackers(before, now))
    changes = _changes(before, now, (*free, *_OF_ONE_RUN), any_seed)
    if "epochs" in changes and _may_be_raised(before, now):
        del changes["epochs"]
    return changes


def changes_of_result(
    before: Mapping[str, Any], now: Mapping[str, Any], *, any_seed: bool = False
) -> dict[str, Change]:
    """Return the changed settings that may change results; arguments as for `refused_changes`."""
    free = (*FREE, *settings_of_trackers(before, now))
    return _changes(before, now, (*free, *NAMES), any_seed)


def decides(given: Mapping[str, Given], before: Mapping[str, Given]) -> bool:
    """Return whether settings, as written, change what is computed compared with `before`."""
    trackers = [{key: each[key].value} for each in (before, given) for key in OF_TRACKING if key in each]
    left_out = (*FREE, *settings_of_trackers(*trackers), *NAMES)
    return any(
        key not in before or (before[key].value, before[key].text) != (new.value, new.text)
        for key, new in given.items()
        if key not in left_out
    )


def result_identity(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of a config that may affect results, each as YAML."""
    left_out = {*FREE, *settings_of_trackers(config), *NAMES}
    return {key: _as_text(key, value) for key, value in config.items() if key not in left_out}


def sweep_identity(config: Mapping[str, Any], axes: Collection[str]) -> dict[str, Any]:
    """Return the settings that identify a trial's sweep: those that affect results, and the axes of the grid."""
    left_out = {*FREE, *settings_of_trackers(config), *_OF_ONE_RUN}
    # Sweeps that were begun before there were these settings keep their folders.
    left_out |= {key for key in _CAME_LATER if config.get(key) == _DEFAULTS[key]}
    return {key: value for key, value in config.items() if key in axes or key not in left_out}


def is_finished_trial(recorded: Mapping[str, Any], config: Mapping[str, Any], axes: Collection[str]) -> bool:
    """Return whether a run with these recorded settings is the trial with this config."""
    free = (*FREE, *settings_of_trackers(recorded, config))
    ignored = [key for key in (*free, *_OF_ONE_RUN) if key not in axes]
    return not _changes(recorded, config, ignored, any_seed=True)


def settings_of_trackers(*configs: Mapping[str, Any]) -> set[str]:
    """Return the settings that the trackers of configs declare; like `track` itself, they do not affect results."""
    found = {FORMERLY}
    given = [config.get(key) for config in configs for key in ("track", FORMERLY)]
    lists = [names for names in given if isinstance(names, list)]
    for name in dict.fromkeys(name for names in lists for name in names if isinstance(name, str)):
        with suppress(RegistryError):  # a tracker that is no longer installed has no settings to ignore
            found |= {parameter.name for parameter in REPORTERS.describe(name).parameters}
    return found


def without_run(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config without the settings of a single run folder, so that it can be run again."""
    return {**config, **_OF_ONE_RUN}


def _changes(
    before: Mapping[str, Any], now: Mapping[str, Any], ignored: Iterable[str], any_seed: bool
) -> dict[str, Change]:
    left_out = {*ignored, "seed"} if any_seed and now.get("seed") == -1 else {*ignored}
    changes = {}
    for key in dict.fromkeys([*before, *now]):
        if key not in left_out and not _came_later(key, before, now):
            change = Change(*(_as_text(key, each[key]) if key in each else "not set" for each in (before, now)))
            if change.was != change.now:
                changes[key] = change
    return changes


def _came_later(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether a setting is as by default now, and did not exist when the earlier run was made."""
    if key in before or key not in now:
        return False
    if key in _DEFAULTS:
        return bool(now[key] == _DEFAULTS[key])
    same = [setting for setting in COMPONENTS if setting in before and before[setting] == now.get(setting)]
    return any(now[key] == default for setting in same for default in _own_defaults(setting, now[setting], key))


def _own_defaults(setting: str, name: Any, key: str) -> list[Any]:
    """Return the default of a setting that the component of a name declares, or nothing."""
    try:
        parameters = COMPONENTS[setting].describe(str(name)).parameters
    except RegistryError:
        return []
    return [parameter.default for parameter in parameters if parameter.name == key]


def _as_text(key: str, value: Any) -> str:
    """Return a value as YAML, with the path of `PATHS` or of a user's file made absolute, as runs record it."""
    if isinstance(value, str):
        path, _, name = value.rpartition(":")
        if key in PATHS:
            value = str(Path(value).resolve())
        elif path.endswith(".py"):
            value = f"{Path(path).resolve()}:{name}"
    return dump_value(value)


def _may_be_raised(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    was, will = before.get("epochs"), now.get("epochs")
    if not isinstance(was, int) or not isinstance(will, int) or will < was:
        return False
    try:
        return not SCHEDULERS.describe(str(before.get("lr_scheduler", "none"))).traits.uses_epochs
    except RegistryError:
        return False
