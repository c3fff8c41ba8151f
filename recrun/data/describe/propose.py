"""Propose the config and the command that train on data."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from recrun.config.given.arguments import read_arguments
from recrun.config.monitor_names import parse_monitor
from recrun.config.yaml_writer import dump_value
from recrun.data.datasets.base import RecDataSet
from recrun.data.interactions import Interactions
from recrun.data.tags import TARGET
from recrun.metrics.kinds import Evaluated
from recrun.metrics.totals import Totals
from recrun.registry import DATASETS

_MONITORS: Final = ("auc", "gauc", "logloss")  # of the config of deepfm


def propose_config(settings: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a config that read the data, and without a test part the one that says so.

    Args:
        settings: the keys that read the data.
        figures: its statistics.
    """
    return {**settings, **({} if _rows(figures).get("test", 1) else {"eval_test": False})}


def propose_command(config: Mapping[str, Any], figures: Mapping[str, Any], monitors: Sequence[str] = ()) -> str:
    """Return the command that trains on the data.

    Args:
        config: the keys that `propose_config` returns.
        figures: the statistics of the data.
        monitors: the metrics that labelled rows can be measured by, where they are not those of the config of deepfm.
    """
    model = "deepfm" if DATASETS.describe(config["dataset"]).traits.labelled else "bprmf"
    if model == "bprmf" and figures.get("users_with_every_item"):
        model = "ease"  # needs no negatives, of which such users have none
    given = [argument(key, value) for key, value in config.items()]
    if model != "ease" and not _rows(figures).get("valid", 1):
        # Both configs stop early; without validation, the number of epochs is that of a config that says nothing.
        given += ["early_stop_patience=null", "epochs=100"]
    if monitors:
        given.append(f"'monitors=[{','.join(monitors)}]'")
    return " ".join([f"recrun train {model}", *given])


def n_full_users(train: Interactions, n_users: int, n_items: int) -> int:
    """Return how many users have interacted with every item in train, so that no negatives can be drawn for them."""
    return int((train.csr(n_users).lengths >= n_items).sum())


def measurable_monitors(data: RecDataSet, *, has_users: bool) -> tuple[str, ...]:
    """Return the metrics of deepfm's config that are defined on valid and test; none where all are."""
    names = tuple(name for name in _MONITORS if has_users or name != "gauc")
    metrics = [parse_monitor(name) for name in names]

    def find(rows: Interactions) -> dict[str, str]:
        targets = rows.columns[data.fields[TARGET].name]
        evaluated = Evaluated(dataset=data, targets_N=targets, users_N=rows.users)
        return Totals(metrics, "predictions", evaluated).undefined() if len(rows) else {}

    undefined = data.reasons("valid", find) | data.reasons("test", find)
    defined = tuple(name for name in names if name not in undefined)
    return () if defined == _MONITORS else defined


def argument(key: str, value: Any) -> str:
    """Return KEY=VALUE for a shell, with quotes only where the value would be read as another one without them."""
    if isinstance(value, bool):
        return f"{key}={dump_value(value)}"
    argument = f"{key}={value}"
    if value == "":  # only settings that take empty text have it
        return argument
    given = read_arguments([argument]).given.get(key)
    if not isinstance(value, str) or given is None or given.value is None or given.text != value:
        argument = f"{key}={dump_value(value)}"
    return shlex.quote(argument)


def _rows(figures: Mapping[str, Any]) -> Mapping[str, int]:
    """Return the number of rows of each part, as far as it is known."""
    rows: Mapping[str, int] = figures.get("labelled") or figures.get("parts") or {}
    return rows
