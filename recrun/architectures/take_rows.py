"""Take the values of a trained model into another one, with rows of users and items matched by original ids.

Shapes: R matched rows of an axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from recrun.architectures.axes import KINDS, Axes, Sizes, length, pieces


@dataclass(frozen=True, eq=False)
class Matched:
    """The users, or the items, that two models have in common.

    Args:
        old: their numbers in the model that is taken from, int64 (R,).
        new: their numbers in the other one (R,).
    """

    old: np.ndarray
    new: np.ndarray


@dataclass(frozen=True)
class Taken:
    """What was done with each tensor, by name.

    Args:
        rows: those of which the matched rows were taken.
        whole: those that were taken as a whole: none of their axes stands for users or items.
        kept: those that keep their initial values, because what they are about is not matched.
    """

    rows: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def misfit(name: str, axes: Axes, old: Tensor, new: Tensor, sizes: Sizes) -> str | None:
    """Return why a tensor of a trained model cannot be taken, or None if it can.

    Args:
        name: its name.
        axes: what its axes stand for.
        old: the tensor of the trained model.
        new: that of the new one.
        sizes: users and items of the trained model.
    """
    if old.dtype != new.dtype:
        return f"{name} holds {_dtype(old)} there, {_dtype(new)} here"
    if old.ndim != new.ndim:
        return f"{name} has {old.ndim} axes there, {new.ndim} here"
    for axis, there, here in zip(axes, old.shape, new.shape, strict=True):
        expected = length(axis, sizes)
        if expected is None and there != here:
            return f"{name} is {_shape(old)} there, {_shape(new)} here"
        if expected is not None and there != expected:
            return f"{name} is {_shape(old)} there, which does not fit {sizes['user']:,} users, {sizes['item']:,} items"
    return None


@torch.no_grad()
def take_rows(
    model: nn.Module,
    state: Mapping[str, Tensor],
    axes: Mapping[str, Axes],
    matched: Mapping[str, Matched],
    old: Sizes,
    new: Sizes,
) -> Taken:
    """Load the values of a trained model into a model where they are about the same users and items.

    Args:
        model: the model that takes them.
        state: the state of the trained model; none of its tensors is a misfit.
        axes: what the axes of each tensor stand for.
        matched: what both have in common, by "user" and "item"; one that is left out is not matched.
        old: users and items of the trained model.
        new: those of the model.
    """
    taken, mine = Taken(), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name, of_tensor in axes.items():
        theirs, target = state[name].to(mine[name].device), mine[name]
        if not any(part in KINDS for axis in of_tensor for part in pieces(axis)):
            target.copy_(theirs)
            taken.whole.append(name)
            continue
        pairs = [_positions(axis, size, matched, old, new) for axis, size in zip(of_tensor, target.shape, strict=True)]
        if not all(len(here) for here, _ in pairs) or not _has_matched(of_tensor, matched):
            taken.kept.append(name)
            continue
        here, there = (_outer([pair[place] for pair in pairs], of_tensor, target.device) for place in (0, 1))
        target[here] = theirs[there]
        taken.rows.append(name)
    model.load_state_dict(mine)  # A model may store its state in another way than it shows it.
    return taken


def _has_matched(axes: Axes, matched: Mapping[str, Matched]) -> bool:
    """Return whether at least one axis, and each that stands for users or items alone, is matched."""
    per_axis = [[part for part in pieces(axis) if part in KINDS] for axis in axes]
    return all(any(part in matched for part in parts) for parts in per_axis if parts)


def _positions(
    axis: str, size: int, matched: Mapping[str, Matched], old: Sizes, new: Sizes
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions along an axis that are written to, and those that they are read from."""
    if not axis:
        return np.arange(size), np.arange(size)
    here, there, start_here, start_there = [], [], 0, 0
    for part in pieces(axis):
        if part in KINDS:
            if part in matched:
                here.append(start_here + matched[part].new)
                there.append(start_there + matched[part].old)
            start_here, start_there = start_here + new[part], start_there + old[part]
        else:
            here.append(start_here + np.arange(int(part)))
            there.append(start_there + np.arange(int(part)))
            start_here, start_there = start_here + int(part), start_there + int(part)
    empty = np.zeros(0, dtype=np.int64)
    return np.concatenate([empty, *here]), np.concatenate([empty, *there])


def _outer(positions: list[np.ndarray], axes: Axes, device: torch.device) -> tuple[Tensor | slice, ...]:
    """Return an index of all combinations of positions, one element an axis."""
    chosen = [place for place, axis in enumerate(axes) if axis]
    if len(chosen) == 1:  # whole slices of the other axes are many times faster
        return tuple(
            torch.from_numpy(positions[i]).to(device) if i in chosen else slice(None) for i in range(len(axes))
        )
    return tuple(
        torch.from_numpy(each).to(device).view([-1 if place == axis else 1 for axis in range(len(positions))])
        for place, each in enumerate(positions)
    )


def _shape(tensor: Tensor) -> str:
    return " x ".join(f"{size:,}" for size in tensor.shape)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
