"""Check the progress of a run that a checkpoint holds, before the run continues from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from recrun.metrics.undefined import Undefined


def check_progress(progress: Mapping[str, Any], *, epochs: int, n_steps: int | None) -> None:
    """Check that a run can be at the saved position, with the saved values.

    Args:
        progress: what `TrainingState.state_dict` returned as "progress".
        epochs: the epochs of the run that was saved.
        n_steps: the batches of an epoch, if known.

    Raises:
        ValueError: it cannot; the message names the first entry that is wrong.
        KeyError, TypeError, AttributeError: an entry is missing, or is not made as it should be.
    """
    if "history" not in progress or "last_value" not in progress:
        raise ValueError("it is of an older version of recrun; train again")
    _integer("epoch", progress["epoch"], 0, epochs)
    _integer("step", progress["step"], 0, n_steps)
    _integer("evaluated", progress["evaluated"], -1, progress["epoch"])
    _integer("stale", progress["stale"], 0)
    if progress["evaluated"] >= 0 or progress["last_value"] is not None:
        _number("last_value", progress["last_value"])
    _number("loss", progress["loss"]["total"])
    _integer("loss", progress["loss"]["count"], 0)
    best = progress["best"]
    if best is not None:
        _integer("best epoch", best["epoch"], 0, progress["epoch"])
        for value in best["values"].values():
            _number("best", value, undefined=True)
        if best["values"] or best["value"] is not None:  # without a validation part nothing was measured
            _number("best", best["value"])
    _integer("history", progress["history"]["bytes"], 0)
    if not isinstance(progress["history"]["digest"], str):
        raise TypeError("history has no digest")
    for counts in progress["users"].values():
        for count in counts:
            _integer("users", count, 0)
    for activity in ("train", "evaluate"):
        _number("seconds", progress["seconds"][activity])


def _integer(name: str, value: Any, lowest: int, highest: int | None = None) -> None:
    if type(value) is not int or value < lowest or (highest is not None and value > highest):
        upper = "" if highest is None else f" and <= {highest}"
        raise ValueError(f"{name} must be an integer >= {lowest}{upper}, found {value!r}")


def _number(name: str, value: Any, *, undefined: bool = False) -> None:
    if undefined and isinstance(value, Undefined):
        return
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, found {value!r}")
