"""Check what a checkpoint holds before a run continues from it: progress, optimizer and random generators.

A checkpoint may come from a stranger, and its digest says that it is whole, not that it is sound. Fused optimizers and
numpy's generator would read outside their arrays.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor
from torch.optim import Optimizer

from recrun.errors import TrainingError
from recrun.metrics.undefined import Undefined
from recrun.training.finite_checks import is_finite
from recrun.training.optimizers import RowOptimizer

_PRIMES: Final = (2, 3, 5, 7, 11, 13, 17, 19)
"""The sizes of a small stand-in for a parameter, all different, so that a size in a state says whose it is."""
_COUNTERS: Final = ("step", "row_steps")


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


def check_optimizer(optimizer: Optimizer, saved: Mapping[str, Any], *, has_trained: bool) -> None:
    """Check that a saved state is one that this optimizer can have, before it is loaded.

    What a state looks like is found out by a step on small stand-ins for the parameters. Of an optimizer of the user's
    own only the learning rates and numbers are checked.

    Args:
        optimizer: the optimizer, as it is before its first step.
        saved: what `state_dict` of such an optimizer returned.
        has_trained: whether it had done a step by then.

    Raises:
        ValueError: it is not; the message says what is wrong.
        KeyError, TypeError, AttributeError: an entry is missing, or is not made as it should be.
    """
    groups, ours = saved["param_groups"], optimizer.state_dict()["param_groups"]
    if [group["params"] for group in groups] != [group["params"] for group in ours]:
        raise ValueError("the optimizer is of other parameters")
    for group, our in zip(groups, ours, strict=True):
        _number("lr", group["lr"], lowest=0)
        if _is_known(optimizer):
            for key in group.keys() & our.keys() - {"lr", "params", "fused", "foreach"}:
                if _plain(group[key]) != _plain(our[key]):
                    raise ValueError(f"{key} of the optimizer must be {our[key]!r}, found {group[key]!r}")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    unknown = set(saved["state"]) - set(range(len(parameters)))
    if unknown:
        raise ValueError(f"the optimizer has no parameter {min(map(str, unknown))}")
    shapes = _shapes(optimizer, parameters) if _is_known(optimizer) else None
    for number, state in saved["state"].items():
        _check_values(state)
        if shapes is not None and _described(state) not in shapes[number]:
            expected = " or ".join(dict.fromkeys(map(_text, shapes[number])))
            raise ValueError(
                f"the optimizer's state of parameter {number} must be {expected}, found {_text(_described(state))}"
            )
    if has_trained and shapes is not None and any(map(any, shapes)) and not saved["state"]:
        raise ValueError("the optimizer has no state, although the model was trained")


def _is_known(optimizer: Optimizer) -> bool:
    """Return whether an optimizer is torch's or recrun's, rather than of the user's own."""
    return all(
        kind.__module__.split(".")[0] in ("torch", "recrun", "builtins", "abc") for kind in type(optimizer).__mro__
    )


_Described = dict[str, "tuple[tuple[int, ...], torch.dtype] | None"]
"""Shape and type of each tensor of a parameter's state; None for what is no tensor."""


def _shapes(optimizer: Optimizer, parameters: list[Tensor]) -> list[list[_Described]] | None:
    """Return what the state of each parameter may look like after a step; None if a step needs more than gradients."""
    found = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            states = _states_after_a_step(optimizer, group, parameter)
            if not states:
                return None
            sizes = dict(zip(_PRIMES, parameter.shape, strict=False))
            found.append(
                [
                    {
                        name: entry and (tuple(sizes.get(size, size) for size in entry[0]), entry[1])
                        for name, entry in state.items()
                    }
                    for state in states
                ]
            )
    return found


def _states_after_a_step(optimizer: Optimizer, group: Mapping[str, Any], parameter: Tensor) -> list[_Described]:
    """Return what the state of a small stand-in for a parameter looks like after a step.

    It is tried with a gradient of zeros that is dense, and with a sparse one if that fails, or if the state of the
    optimizer depends on which it is.
    """
    found = []
    stand_in = torch.zeros(_PRIMES[: parameter.dim()], dtype=parameter.dtype, device=parameter.device)
    zeros = torch.zeros_like(stand_in)
    for gradient in (zeros, zeros.to_sparse(1) if zeros.dim() else zeros):
        probe = copy.copy(optimizer)
        probe.state = defaultdict(dict)
        probe.param_groups = [{**group, "params": [stand_in]}]
        stand_in.grad = gradient
        try:
            probe.step()
        except (RuntimeError, TypeError, ValueError, TrainingError):
            continue
        found.append(_described(probe.state[stand_in]))
        if not isinstance(optimizer, RowOptimizer):
            break
    return found


def _described(state: Mapping[str, Any]) -> _Described:
    return {
        name: (tuple(value.shape), value.dtype) if isinstance(value, Tensor) else None for name, value in state.items()
    }


def _text(described: _Described) -> str:
    entries = (name if entry is None else f"{name} {_kind(*entry)}" for name, entry in sorted(described.items()))
    return ", ".join(entries) or "empty"


def _kind(shape: tuple[int, ...], dtype: torch.dtype) -> str:
    return f"{list(shape)}" + ("" if dtype == torch.float32 else f" of {str(dtype).removeprefix('torch.')}")


def _check_values(state: Mapping[str, Any]) -> None:
    """Check that the numbers of a parameter's state are finite, and that it counts no fewer than 0 steps."""
    for name, value in state.items():
        if isinstance(value, Tensor) and value.is_floating_point() and not is_finite(value):
            raise ValueError(f"{name} of the optimizer holds NaN or infinity")
        if name in _COUNTERS and isinstance(value, Tensor) and bool((value < 0).any()):
            raise ValueError(f"{name} of the optimizer is negative")
        if value is not None and not isinstance(value, Tensor):
            _number(f"{name} of the optimizer", value)


def check_random_state(state: Mapping[str, Any]) -> None:
    """Check the state of the generators of Python and numpy, as `random_state` returned it; torch checks its own.

    Raises:
        ValueError: they cannot have it.
        KeyError, TypeError: an entry is missing, or is not made as it should be.
    """
    _, words, gauss = state["python"]
    for word in words:
        _integer("random state", word, 0, (1 << 32) - 1)
    if gauss is not None:
        _number("random state", gauss)
    _, keys, position, has_gauss, cached = state["numpy"]
    if tuple(keys.shape) != (624,):
        raise ValueError("random state must have 624 words")
    _integer("random state", position, 0, 624)
    _integer("random state", has_gauss, 0, 1)
    _number("random state", cached)


def _plain(value: Any) -> Any:
    """Return a setting as a checkpoint holds it, where tuples are lists."""
    return list(value) if isinstance(value, tuple) else value


def _integer(name: str, value: Any, lowest: int, highest: int | None = None) -> None:
    if type(value) is not int or value < lowest or (highest is not None and value > highest):
        upper = "" if highest is None else f" and <= {highest}"
        raise ValueError(f"{name} must be an integer >= {lowest}{upper}, found {value!r}")


def _number(name: str, value: Any, *, undefined: bool = False, lowest: float = -math.inf) -> None:
    if undefined and isinstance(value, Undefined):
        return
    if type(value) not in (int, float) or not math.isfinite(value) or value < lowest:
        bound = "" if lowest == -math.inf else f" >= {lowest:g}"
        raise ValueError(f"{name} must be a finite number{bound}, found {value!r}")
