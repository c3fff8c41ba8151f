"""Plan a sweep: turn its arguments into trials and check the config of every trial before the first one starts."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from recrun.config.resolve import Resolved, resolve
from recrun.config.same_settings import sweep_identity
from recrun.config.trackers import require_packages
from recrun.errors import ConfigError, Fault, reading_order
from recrun.registry import DATASETS
from recrun.sweep.points import Point, group, kinds_of_axes
from recrun.sweep.space.arguments import Grid, Setting, Value, parse_grid
from recrun.sweep.starts import missing_starts, with_absolute_argument, with_absolute_start

MAX_TRIALS: Final = 10_000
"""A larger grid is refused: it is probably a typo, and otherwise too large for a grid search."""

NO_TEST: Final = "eval_test=false"
"""Passed to every trial of a sweep that chooses: it chooses by validation and never evaluates on test."""

_REFUSED: Final = {
    "eval_test": "a sweep that chooses never evaluates on test: validation selects the best trial, and test is for "
    "that one; remove this, then score the best trial with 'recrun eval --checkpoint RUN'",
    "id": "a sweep names the run folders of its trials itself; remove this",
    "resume": "to continue a sweep, repeat its command; remove this",
}
_NOT_SWEPT: Final = {
    "which4best": "trials are compared by one criterion; give one value",
    "eval_valid": "trials are compared on validation; give one value",
    "plots": "does not change results; give one value",
    "track": "does not change results; give one value",
    "track_project": "does not change results; give one value",
    "verbose": "does not change results; give one value",
}
Base = str | Path | Mapping[str, Any] | None
"""The config that all trials share, as `recrun.config.resolve.resolve` takes it."""
Resolver = Callable[[Base, Sequence[str]], Resolved]
"""`resolve(config, overrides)`; raises a ConfigError that holds every fault."""


@dataclass(frozen=True)
class Trial:
    """One point of the grid.

    Args:
        index: its position in the grid, counted from 0.
        id: the name of its run folder.
        overrides: the settings given on the command line, with this trial's typed values.
        arguments: the same as `KEY=VALUE` text, as written.
        config: the resolved config.
    """

    index: int
    id: str
    overrides: Mapping[str, Any]
    arguments: tuple[str, ...]
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """A checked sweep, ready to start.

    Args:
        name: the name of its folder; it is the same for the same command, and changes with the config or the grid.
        config_path: the file of the base config.
        which4best: the metric, on validation, by which trials are compared.
        axes: the settings that vary, with their typed values.
        trials: the trials, in the order of the grid.
        points: the trials that differ in seeds or folds alone, together; see `recrun.sweep.points`.
        is_tested: whether each trial is evaluated on test, which is so if no axis is a choice.
        notes: what a user should know about the settings of trials.
    """

    name: str
    config_path: str
    which4best: str
    axes: Mapping[str, tuple[Any, ...]]
    trials: tuple[Trial, ...]
    points: tuple[Point, ...]
    is_tested: bool
    notes: tuple[str, ...] = ()

    @property
    def n_data(self) -> int:
        """The number of values of the axes that change the data; points are compared within each."""
        return len({repr(point.data) for point in self.points})

    @property
    def has_repeats(self) -> bool:
        """Whether points have several trials."""
        return len(self.points) < len(self.trials)


def plan_sweep(config: Base, arguments: Sequence[str], *, resolver: Resolver = resolve) -> Plan:
    """Read a sweep's arguments and check the config of every trial.

    Args:
        config: the base config, as for `recrun train`.
        arguments: `KEY=V1,V2` and `KEY=VALUE` arguments.
        resolver: resolves and checks a config.

    Raises:
        ConfigError: with every fault of the arguments and of the trials' configs.
    """
    grid, faults = parse_grid(arguments)
    faults += _refusals(grid)
    if not grid.axes and not faults:
        raise ConfigError("no setting has several values; write KEY=V1,V2, or use 'recrun train' for a single run")
    if grid.n_trials > MAX_TRIALS:
        raise ConfigError(
            [*faults, Fault(f"the grid has {grid.n_trials:,} trials; at most {MAX_TRIALS:,} are accepted")]
        )
    choices, data = kinds_of_axes([axis.key for axis in grid.axes], _data_settings(grid, config, resolver))
    resolved, found = _resolve_all(grid, config, resolver, chooses=bool(choices))
    faults += missing_starts(resolved, grid)
    resolved = [with_absolute_start(each) for each in resolved]
    configs = [each.config for each in resolved]
    # If an argument is faulty, faults that do not point at an argument may only be consequences of it.
    faults += [fault for fault in found if not faults or (fault.file or "").startswith("argument ")]
    if not faults:
        faults += [*_repeated_values(grid, configs), *_several_criteria(configs)]
    if faults:
        raise ConfigError(sorted(dict.fromkeys(faults), key=reading_order))
    require_packages(dict.fromkeys(name for each in configs for name in each.track))
    plan = _build(grid, configs, resolved[0].path)
    points = group([(trial.index, trial.overrides) for trial in plan.trials], choices, data)
    is_tested = all(each["eval_test"] for each in configs)
    notes = dict.fromkeys(note for each in resolved for note in each.notes)
    return replace(plan, points=tuple(points), is_tested=is_tested, notes=tuple(notes))


def refuse_without_validation(config: Mapping[str, Any]) -> Fault | None:
    """Return the fault of a config without validation, on which a sweep compares its trials, or None.

    With `valid_ratio: 0`, there is a validation part only if the data set brings one: `File` with a `valid_path`. For a
    user's own class this is not known before it runs; a trial without a validation part then fails, because its
    criterion has no value.
    """
    remedy = "and a sweep never uses test for that"
    if config.get("eval_valid") is False:
        return Fault(f"must be true: trials are compared on validation, {remedy}", key="eval_valid")
    if config.get("valid_ratio") == 0 and not _may_ship_validation(config):
        return Fault(f"must be above 0: trials are compared on validation, {remedy}", key="valid_ratio")
    return None


def _may_ship_validation(config: Mapping[str, Any]) -> bool:
    dataset = str(config.get("dataset"))
    return config.get("valid_path") is not None or dataset not in DATASETS


def _data_settings(grid: Grid, config: Base, resolver: Resolver) -> list[str]:
    """Return the data set's own settings; none if the first trial has faults, which are reported later."""
    try:
        components = resolver(config, _arguments(_accepted(grid, next(iter(grid))))).components
    except ConfigError:
        return []
    return [parameter.name for parameter in components["dataset"].parameters] if "dataset" in components else []


def _refusals(grid: Grid) -> list[Fault]:
    faults = [setting.fault(_REFUSED[setting.key], 1) for setting in grid.settings if setting.key in _REFUSED]
    return faults + [
        setting.fault(_NOT_SWEPT[setting.key], setting.values[1].column)
        for setting in grid.axes
        if setting.key in _NOT_SWEPT
    ]


def _resolve_all(grid: Grid, config: Base, resolver: Resolver, *, chooses: bool) -> tuple[list[Resolved], list[Fault]]:
    """Resolve every trial; return the results, and every fault once, at the argument where the user can fix it."""
    trials: list[Resolved] = []
    where: dict[Fault, list[tuple[Value, ...]]] = {}
    for values in grid:
        settings = _accepted(grid, values)
        try:
            resolved = resolver(config, [*_arguments(settings), *([NO_TEST] if chooses else [])])
        except ConfigError as error:
            found = error.faults
        else:
            trials.append(resolved)
            refusal = refuse_without_validation(resolved.config) if chooses else None
            found = [] if refusal is None else [_point_out(refusal, settings)]
        for fault in found:
            where.setdefault(fault, []).append(values)
    return trials, [placed for fault, points in where.items() for placed in _place(fault, grid, points)]


def _accepted(grid: Grid, values: Sequence[Value]) -> list[tuple[Setting, Value]]:
    pairs = zip(grid.settings, values, strict=True)
    return [(setting, value) for setting, value in pairs if setting.key not in _REFUSED]


def _point_out(fault: Fault, settings: Sequence[tuple[Setting, Value]]) -> Fault:
    """Return a fault located at the trial's argument that sets its key, if there is one."""
    for position, (setting, _) in enumerate(settings, start=1):
        if setting.key == fault.key:
            return replace(fault, file=f"argument {position}", column=len(setting.key) + 2)
    return fault


def _place(fault: Fault, grid: Grid, trials: Sequence[tuple[Value, ...]]) -> list[Fault]:
    """Return a fault of some trials in terms of the sweep's arguments: once for each location it points at."""
    if len(trials) == grid.n_trials:
        return [_relocate(fault, _accepted(grid, trials[0]))]
    placed: dict[Fault, list[tuple[Value, ...]]] = {}
    for values in trials:
        placed.setdefault(_relocate(fault, _accepted(grid, values)), []).append(values)
    return [_say_which(each, grid, points) for each, points in placed.items()]


def _relocate(fault: Fault, settings: Sequence[tuple[Setting, Value]]) -> Fault:
    """Move a fault from a trial's own argument to the sweep's argument and column."""
    match = re.fullmatch(r"argument (\d+)", fault.file or "")
    if match is None or int(match[1]) > len(settings):
        return fault
    setting, value = settings[int(match[1]) - 1]
    column, value_column = fault.column, len(setting.key) + 2
    if column is not None and column >= value_column:
        column += value.column - value_column
    return replace(fault, file=f"argument {setting.position}", column=column)


def _say_which(fault: Fault, grid: Grid, trials: Sequence[tuple[Value, ...]]) -> Fault:
    """Add to a fault that only some trials have the values that these trials share."""
    if len(trials) == grid.n_trials:
        return fault
    shared = {
        setting: values[0]
        for setting, *values in zip(grid.settings, *trials, strict=True)
        if setting.is_axis and len(set(values)) == 1
    }
    if math.prod(len(setting.values) for setting in shared) * len(trials) != grid.n_trials:
        shared = {setting: value for setting, value in zip(grid.settings, trials[0], strict=True) if setting.is_axis}
    elif [fault.file] == [f"argument {setting.position}" for setting in shared]:
        return fault  # its location already points at that value
    values = " ".join(f"{setting.key}={value.text}" for setting, value in shared.items())
    return replace(fault, message=f"{fault.message} (with {values})")


def _repeated_values(grid: Grid, configs: Sequence[Mapping[str, Any]]) -> list[Fault]:
    """Return a fault for each value of an axis that means the same as an earlier one, such as 1e-3 and 0.001."""
    faults = []
    first: dict[tuple[str, str], Value] = {}
    for values, config in zip(grid, configs, strict=True):
        for setting, value in zip(grid.settings, values, strict=True):
            earlier = first.setdefault((setting.key, _canonical(config[setting.key])), value)
            if earlier != value:
                message = f"the value {value.text} is given twice: it is equal to {earlier.text}"
                faults.append(setting.fault(message, value.column))
    return faults


def _several_criteria(configs: Sequence[Mapping[str, Any]]) -> list[Fault]:
    criteria = list(dict.fromkeys(config["which4best"] for config in configs))
    if len(criteria) == 1:
        return []
    message = f"must be set: otherwise trials are compared by different criteria ({', '.join(criteria)})"
    return [Fault(message, key="which4best")]


def _build(grid: Grid, configs: Sequence[Mapping[str, Any]], config_path: str) -> Plan:
    axes: dict[str, dict[str, Any]] = {setting.key: {} for setting in grid.axes}
    for config in configs:
        for key, values in axes.items():
            values.setdefault(_canonical(config[key]), config[key])
    content = [sweep_identity(config, axes) for config in configs]
    digest = hashlib.sha256(_canonical({"axes": list(axes), "trials": content}).encode()).hexdigest()[:10]
    width = len(str(len(configs) - 1))
    trials = [
        Trial(
            index=index,
            id=f"{digest}-{index:0{width}d}",
            overrides={setting.key: config[setting.key] for setting in grid.settings},
            arguments=with_absolute_argument(_arguments(_accepted(grid, values)), config),
            config=config,
        )
        for index, (values, config) in enumerate(zip(grid, configs, strict=True))
    ]
    name = re.sub(r"[^\w.@=+-]+", "_", str(configs[0]["description"])).strip(".")[:80]
    return Plan(
        name=f"{name or 'sweep'}-{digest}",
        config_path=config_path,
        which4best=configs[0]["which4best"],
        axes={key: tuple(values.values()) for key, values in axes.items()},
        trials=tuple(trials),
        points=(),
        is_tested=False,
    )


def _arguments(settings: Sequence[tuple[Setting, Value]]) -> list[str]:
    return [f"{setting.key}={value.text}" for setting, value in settings]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
