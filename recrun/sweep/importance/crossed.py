"""Say how much each axis of a sweep matters: the share of the criterion's variance that it explains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recrun.sweep.importance.columns import is_number, names_of

_MOST_LEVELS: Final = 6
"""Numbers of an axis with more values than these are put into bins."""
_N_BINS: Final = 4


@dataclass(frozen=True)
class Share:
    """What an axis explains.

    Args:
        axis: its name.
        n_levels: how many values, or bins of values, it has.
        share: the share of the variance; slightly below 0 is possible where axes are not crossed evenly.
        by_chance: the share expected of an axis without effect, if all the variance were noise.
    """

    axis: str
    n_levels: int
    share: float
    by_chance: float


@dataclass(frozen=True)
class Importance:
    """The shares of the axes, largest first, and the rest: interactions of axes, seeds and noise."""

    shares: tuple[Share, ...]
    rest: float
    n_trials: int


def importance(settings: Sequence[Mapping[str, Any]], values: Sequence[float]) -> Importance | str:
    """Return the share of the variance of the trials' values that each axis explains, or why none can be given.

    A sum of functions, one of each axis, is fitted by least squares: y = m + f_1(x_1) + f_2(x_2) + ..., where f_a has a
    free value for each level of its axis. The share of an axis is cov(f_a, y) / var(y). In a full grid this is the main
    effect of the functional analysis of variance; where axes vary together to some extent it is the part that is
    attributed to each by the covariance decomposition.

    *Source:* Hooker (2007), Generalized functional ANOVA diagnostics; Li et al. (2010), Global sensitivity analysis for
    systems with independent and/or correlated inputs, section 3.

    Args:
        settings: the values of the axes of each finished trial; one that is missing is a level of its own.
        values: the criterion of these trials, finite.

    Returns:
        The shares, or a text without a full stop.
    """
    y_T = np.asarray(values, dtype=np.float64)
    if len(y_T) < 2 or not np.ptp(y_T) > 0:
        return "all trials have the same value" if len(y_T) > 1 else "there are fewer than two finished trials"
    levels = {axis: _levels([each.get(axis) for each in settings]) for axis in names_of(settings)}
    levels = {axis: level_T for axis, level_T in levels.items() if level_T.max() > 0}
    if not levels:
        return "no axis has two values"
    columns = {axis: (level_T[:, None] == np.arange(1, level_T.max() + 1)) * 1.0 for axis, level_T in levels.items()}
    design = np.concatenate([np.ones((len(y_T), 1)), *columns.values()], axis=1)
    if len(y_T) <= design.shape[1]:
        return f"{len(y_T)} trials are too few for {design.shape[1]} parameters of the additive model"
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return "some axes vary together, and their shares cannot be told apart"
    scale = np.abs(y_T).max()  # of very small or large values, squares would leave the range of numbers
    centred_T = y_T / scale - (y_T / scale).mean()
    weights = np.linalg.lstsq(design, centred_T, rcond=None)[0]
    total = float(centred_T @ centred_T)
    shares, start = [], 1
    for axis, column in columns.items():
        width = column.shape[1]
        part_T = column @ weights[start : start + width]
        share = float((part_T - part_T.mean()) @ centred_T) / total
        shares.append(Share(axis, width + 1, share, width / (len(y_T) - 1)))
        start += width
    shares.sort(key=lambda each: -each.share)
    return Importance(tuple(shares), 1.0 - sum(each.share for each in shares), len(y_T))


def are_crossed(settings: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether points are crossed as in a grid: all have all axes, and each value occurs with several points.

    Points on one axis alone count as crossed.

    Args:
        settings: those of each point.
    """
    axes = names_of(settings)
    if any(len(each) < len(axes) for each in settings):
        return False
    counts = [Counter(repr(each[axis]) for each in settings) for axis in axes]
    return len(axes) == 1 or all(min(each.values()) > 1 for each in counts)


def _levels(values: Sequence[Any]) -> npt.NDArray[np.int64]:
    """Return the number of each value's level; many numbers are put into bins of about as many trials."""
    if all(map(is_number, values)) and len(set(values)) > _MOST_LEVELS:
        x_T = np.asarray([float(value) for value in values])
        edges = np.unique(np.quantile(x_T, np.arange(1, _N_BINS) / _N_BINS))
        found = np.searchsorted(edges, x_T, side="left")
    else:
        texts = [repr(value) for value in values]
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        found = np.asarray([numbers[text] for text in texts])
    return np.unique(found, return_inverse=True)[1].reshape(-1).astype(np.int64)
