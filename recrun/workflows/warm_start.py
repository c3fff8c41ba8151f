"""Start a new run's model from a trained one (`init_from`), with rows matched by the original ids of users and items.

Of the trained run only the model's values are taken. Users and items that it has not, and the optimizer, begin as those
of any other run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from torch import nn

from recrun.architectures.axes import KINDS, Axes, axes_of, pieces
from recrun.architectures.take_rows import Matched, Taken, misfit, take_rows
from recrun.config.resolve import Resolved
from recrun.config.yaml_writer import dump_value
from recrun.data.transformers import Label2Index
from recrun.errors import CheckpointError, ConfigError, Fault, RegistryError
from recrun.randomness import undisturbed_random_state
from recrun.registry.user_files import short_name
from recrun.runs.folder import RunFolder
from recrun.runs.ids import Ids, ids_of_data, kind_of_ids
from recrun.runs.provenance import SPLIT
from recrun.training.coach import Coach
from recrun.workflows.start_source import Source, ids_of_source, read_source

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData

_MATCHED: Final = {"both": KINDS, "users": ("user",), "items": ("item",)}
"""The kinds of rows that are matched, by `init_match`."""
_FEW: Final = 0.2
"""A smaller share of the users, or items, of the smaller side in common is reported."""
_OF_DATA: Final = ("dataset", "path", "train_path")
"""The settings that name the data."""
_SHOWN: Final = 4

Builder = Callable[["TrainingData"], nn.Module]
"""Builds the model of a config from train data."""


def start_from(resolved: Resolved, coach: Coach, build: Builder, continued: RunFolder | None = None) -> None:
    """Fill a model that was just built with the values of the trained one that `init_from` names, if it does.

    What was done is put into the coach's `origin` and `notes`. A run that is continued from a checkpoint has its values
    there already, so that the run that it started from need not exist any more.

    Args:
        resolved: the config of the new run.
        coach: holds the model and the data.
        build: builds the model of the config.
        continued: the run that is continued; None for a new one.

    Raises:
        ConfigError: there is no such run, or its model does not fit this one; with the place of the setting.
    """
    if resolved.config.get("init_from") is None:
        return
    if continued is not None and continued.checkpoint_file("last").exists():
        return
    try:
        source = read_source(resolved.config.init_from)
        _refuse_changed(source, continued)
        origin, notes = _take(resolved, coach, build, source)
    except (CheckpointError, RegistryError) as error:
        raise ConfigError(_fault(resolved, str(error))) from error
    coach.origin = origin
    coach.notes = [*coach.notes, *notes]


def _take(resolved: Resolved, coach: Coach, build: Builder, source: Source) -> tuple[dict[str, Any], list[str]]:
    """Take the values; return what is recorded in run.json, and the notes."""
    base = coach.dataset.base
    new = ids_of_data(base)
    if new is None:
        raise ConfigError(_fault(resolved, f"the data set {resolved.config.dataset} has no original ids to match by"))
    _refuse_other_model(resolved, source)
    with undisturbed_random_state(coach.device):
        axes = axes_of(coach.model, base.training_data(), build)
    old = ids_of_source(source, base)
    _refuse_misfits(resolved, coach.model, source, axes, old)
    matched = dict(_match(resolved, axes, old, new, source))
    taken = take_rows(coach.model, source.state, axes, matched, _sizes(old), _sizes(new))
    counts = {f"{kind}s": _counts(matched[kind], old.of(kind), new.of(kind)) for kind in matched}
    settings = dict(_other_settings(resolved, source))
    origin = {
        "run": None if source.run is None else str(source.run.path),
        "checkpoint": str(source.file),
        "sha256": source.digest,
        "epoch": source.epoch,
        "model": source.config.get("model"),
        "dataset": source.config.get("dataset"),
        "match": resolved.config.init_match,
        **counts,
        "tensors": vars(taken),
        "settings": {key: {"was": was, "now": now} for key, (was, now) in settings.items()},
    }
    notes = [_summary(source, counts, taken), *_warnings(resolved, source, counts, new)]
    if settings:
        listed = ", ".join(f"{key} was {dump_value(was)}, is {dump_value(now)}" for key, (was, now) in settings.items())
        notes.append(f"init_from: other settings of the model than there: {listed}")
    return origin, notes


def _refuse_changed(source: Source, continued: RunFolder | None) -> None:
    """Refuse to begin a run again, of which no checkpoint is left, from other values than the first time."""
    recorded = None if continued is None else continued.read_run().get("init_from")
    if isinstance(recorded, dict) and recorded.get("sha256") != source.digest:
        raise CheckpointError(f"{source.file} has changed since the run {continued and continued.path} started from it")


def _refuse_other_model(resolved: Resolved, source: Source) -> None:
    there, here = (short_name(str(each)) for each in (source.config.get("model"), resolved.config.model))
    if there != here:
        raise ConfigError(_fault(resolved, f"{source.name} is of model {there}, this one of model {here}", "model"))


def _refuse_misfits(resolved: Resolved, model: nn.Module, source: Source, axes: Mapping[str, Axes], old: Ids) -> None:
    """Refuse a state with other tensors than the model's, or of other sizes; name the settings that differ."""
    mine = model.state_dict()
    found = [f"{name} is not there" for name in mine if name not in source.state]
    found += [f"{name} is there and not here" for name in source.state if name not in mine]
    both = [name for name in mine if name in source.state]
    found += filter(None, (misfit(name, axes[name], source.state[name], mine[name], _sizes(old)) for name in both))
    if not found:
        return
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    faults = [_fault(resolved, f"the model of {source.name} does not fit: {'; '.join(found[:_SHOWN])}{more}")]
    for key, (was, now) in _other_settings(resolved, source):
        message = f"found {dump_value(now)}, but the model that this one starts from has {dump_value(was)}"
        faults.append(_fault(resolved, message, key))
    raise ConfigError(faults)


def _match(
    resolved: Resolved, axes: Mapping[str, Axes], old: Ids, new: Ids, source: Source
) -> Iterator[tuple[str, Matched]]:
    """Yield the kinds of rows that are matched, each with what both have in common.

    Raises:
        ConfigError: the model has no such rows, or nothing is in common.
    """
    choice = resolved.config.init_match
    in_model = [kind for kind in KINDS if any(kind in pieces(axis) for each in axes.values() for axis in each)]
    kinds = [kind for kind in in_model if kind in _MATCHED[choice]]
    if in_model and not kinds:
        message = f"model {resolved.config.model} has no rows of {choice}; those of {in_model[0]}s are left"
        raise ConfigError(_fault(resolved, message, "init_match"))
    for kind in kinds:
        here, there = new.of(kind), old.of(kind)
        if kind_of_ids(here) != kind_of_ids(there):
            kinds_of_ids = f"{kind_of_ids(there)} in {source.name}, and {kind_of_ids(here)} here"
            raise ConfigError(_fault(resolved, f"ids of {kind}s are {kinds_of_ids}, so that none is the same"))
        found = Label2Index(there).find(here)
        positions = np.flatnonzero(found >= 0)
        if not len(positions):
            other = "items" if kind == "user" else "users"
            remedy = f"; set init_match={other} if only these are the same" if len(kinds) > 1 else ""
            examples = f"{', '.join(map(str, there[:3]))} there, {', '.join(map(str, here[:3]))} here"
            message = f"none of the {len(there):,} {kind}s of {source.name} is among the {len(here):,} of this data"
            raise ConfigError(_fault(resolved, f"{message} (ids: {examples}){remedy}"))
        yield kind, Matched(found[positions], positions)


def _sizes(ids: Ids) -> dict[str, int]:
    return {"user": len(ids.users), "item": len(ids.items)}


def _counts(matched: Matched, old: np.ndarray, new: np.ndarray) -> dict[str, int]:
    taken = len(matched.new)
    return {"taken": taken, "of": len(old), "new": len(new) - taken, "left_out": len(old) - taken}


def _other_settings(resolved: Resolved, source: Source) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield the settings of the model itself that are not as they were, with both values."""
    for parameter in resolved.components["model"].parameters:
        key = parameter.name
        if key in source.config and source.config[key] != resolved.config[key]:
            yield key, (source.config[key], resolved.config[key])


def _summary(source: Source, counts: Mapping[str, Mapping[str, int]], taken: Taken) -> str:
    epoch = "" if source.epoch is None else f", epoch {source.epoch}"
    told = [
        f"{what}: {each['taken']:,} of {each['of']:,} taken, {each['new']:,} new, {each['left_out']:,} left out"
        for what, each in counts.items()
    ]
    named = {"by rows": taken.rows, "whole": taken.whole, "not taken": taken.kept}
    told += [f"{how}: {_listed(names)}" for how, names in named.items() if names]
    return f"init_from {source.file}{epoch}; {'; '.join(told)}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _warnings(resolved: Resolved, source: Source, counts: Mapping[str, Mapping[str, int]], new: Ids) -> Iterator[str]:
    """Yield what may be wrong with the match although it can be made."""
    for what, each in counts.items():
        smaller = min(each["of"], each["taken"] + each["new"])
        if each["taken"] < _FEW * smaller:
            yield (
                f"init_from: only {each['taken']:,} {what} are in common, of {each['of']:,} there and "
                f"{each['taken'] + each['new']:,} here; make sure that both name {what} alike"
            )
    was, now = ({key: config.get(key) for key in _OF_DATA} for config in (source.config, resolved.config))
    if "users" in counts and was != now:
        there, here = (_data(each) for each in (was, now))
        yield (
            f"init_from: users of {here} are taken to be those of {there} with the same ids; if they are other people, "
            "set init_match=items"
        )
    if source.data.get(SPLIT) != new.data:
        yield (
            "init_from: it was trained on other rows than these; where it was trained on what is held out now, metrics "
            "are too good (parts that are cut by time, as by split=time, avoid that)"
        )
    if source.config.get("train_on") == "train_valid" and resolved.config.eval_valid:
        yield (
            "init_from: it was trained on valid too (train_on: train_valid); where its valid part is that of this run, "
            "metrics on valid are too good, and so is the choice of the epoch"
        )
    if source.run is not None and source.run.is_running:
        yield f"init_from: {source.name} is still being trained; its model so far was taken"


def _data(named: Mapping[str, Any]) -> str:
    """Return the name of a data set, or the files of one of a user's own."""
    files = [str(named[key]) for key in _OF_DATA[1:] if named[key] is not None]
    return files[0] if files else short_name(str(named["dataset"]))


def _fault(resolved: Resolved, message: str, key: str = "init_from") -> Fault:
    """Return a fault where a setting was written, else where `init_from` was."""
    for each in (key, "init_from"):
        if each in resolved.given:
            return resolved.given[each].fault(message, key)
    return Fault(message, key)
