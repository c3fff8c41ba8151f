"""Compute metrics of single predictions, such as ratings and click probabilities.

Shapes: N predictions, G groups.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from recrun.metrics.ranking import Array, Doubles, area_under_curve, as_double
from recrun.metrics.undefined import Undefined
from recrun.registry import METRICS

NO_ROWS: Final = "there are no rows"


@METRICS.register("mae", kind="pointwise", smaller_is_better=True, foreseeable=True)
def absolute_error(preds_N: Array, targets_N: Array) -> float:
    """Return the mean absolute error; undefined without predictions."""
    return _mean(np.abs(as_double(preds_N) - as_double(targets_N)))


@METRICS.register("mse", kind="pointwise", smaller_is_better=True, foreseeable=True)
def squared_error(preds_N: Array, targets_N: Array) -> float:
    """Return the mean squared error; undefined without predictions."""
    return _mean((as_double(preds_N) - as_double(targets_N)) ** 2)


@METRICS.register("rmse", kind="pointwise", smaller_is_better=True, foreseeable=True)
def root_squared_error(preds_N: Array, targets_N: Array) -> float:
    """Return the square root of the mean squared error; undefined without predictions."""
    mean = squared_error(preds_N, targets_N)
    return mean if isinstance(mean, Undefined) else math.sqrt(mean)


@METRICS.register("logloss", kind="pointwise", smaller_is_better=True, foreseeable=True)
def binary_log_loss(preds_N: Array, targets_N: Array) -> float:
    """Return the mean of -(y ln p + (1 - y) ln(1 - p)) for probabilities p and targets y in [0, 1].

    Probabilities are clipped to a machine epsilon (of their own type) away from 0 and 1, so the value is finite.

    Raises:
        ValueError: a prediction or target lies outside [0, 1].
    """
    preds_N, targets_N = np.asarray(preds_N), np.asarray(targets_N)
    epsilon = np.finfo(preds_N.dtype if preds_N.dtype.kind == "f" else np.float64).eps
    if len(preds_N) and not (preds_N.min() >= 0 and preds_N.max() <= 1):
        raise ValueError("logloss takes probabilities: every prediction must lie in [0, 1]; apply a sigmoid to logits")
    if len(targets_N) and not (targets_N.min() >= 0 and targets_N.max() <= 1):
        raise ValueError("logloss takes targets in [0, 1], such as labels 0 and 1")
    p_N, y_N = np.clip(as_double(preds_N), epsilon, 1.0 - epsilon), as_double(targets_N)
    return _mean(-(y_N * np.log(p_N) + (1.0 - y_N) * np.log1p(-p_N)))


@METRICS.register("gauc", kind="pointwise", grouped=True, foreseeable=True)
def grouped_auc(preds_N: Array, targets_N: Array, groups_N: Array) -> float:
    """Return the mean of the groups' AUCs, ties counting half, weighted by how many predictions a group has.

    A group is usually a user. Groups whose targets are all relevant, or all not, are left out; undefined when all are.

    *Source:* Zhou et al., Deep Interest Network, KDD 2018, section 6.

    Args:
        preds_N: scores on any scale.
        targets_N: relevant where > 0.
        groups_N: the group of each prediction, any sortable values.
    """
    groups = wins_of_groups(preds_N, targets_N, groups_N)
    auc_G = area_under_curve(groups.wins_G, groups.n_relevant_G, groups.size_G - groups.n_relevant_G)
    if np.isnan(auc_G).all():
        return Undefined("no user has rows of both labels" if len(auc_G) else NO_ROWS)
    return mean_by_size(auc_G, groups.size_G)


class GroupWins(NamedTuple):
    """What the areas under the curves of groups are functions of."""

    wins_G: Array
    """Pairs (relevant, other) in order, plus half the ties."""
    n_relevant_G: Array
    size_G: Array


def wins_of_groups(preds_N: Array, targets_N: Array, groups_N: Array) -> GroupWins:
    """Count the wins of each group, in the order of their sorted values; arguments as for `grouped_auc`."""
    _, group_N = np.unique(np.asarray(groups_N), return_inverse=True)
    preds_N, relevant_N = np.asarray(preds_N), np.asarray(targets_N) > 0
    order_N = np.lexsort((preds_N, group_N))
    group_N, preds_N, relevant_N = group_N[order_N], preds_N[order_N], relevant_N[order_N]
    size_G = np.bincount(group_N)
    n_relevant_G = np.bincount(group_N, weights=relevant_N)
    # Equal predictions of a group share the mean of their ranks; the sum of the relevant ones' ranks gives the wins.
    new_N = np.r_[True, (group_N[1:] != group_N[:-1]) | (preds_N[1:] != preds_N[:-1])][: len(preds_N)]
    run_N = np.cumsum(new_N) - 1
    length_R = np.bincount(run_N)
    rank_R = np.cumsum(length_R) - (length_R - 1) / 2
    rank_N = rank_R[run_N] - (np.cumsum(size_G) - size_G)[group_N]
    wins_G = np.bincount(group_N, weights=rank_N * relevant_N) - n_relevant_G * (n_relevant_G + 1) / 2
    return GroupWins(wins_G, n_relevant_G, size_G)


def mean_by_size(values_G: Array, size_G: Array) -> float:
    """Return the mean of groups' values weighted by their sizes, leaving out NaN; NaN when all are."""
    defined_G = ~np.isnan(values_G)
    return float(np.average(values_G[defined_G], weights=size_G[defined_G])) if defined_G.any() else float("nan")


def check_rows(preds_N: ArrayLike, targets_N: ArrayLike) -> tuple[Array, Array]:
    """Return predictions and targets as arrays.

    Raises:
        ValueError: they are not two lists of real numbers, equally long, or a target is NaN or infinite.
    """
    preds_N, targets_N = np.asarray(preds_N), np.asarray(targets_N)
    for name, values_N in (("preds", preds_N), ("targets", targets_N)):
        if values_N.dtype.kind not in "biuf" or values_N.ndim != 1:
            raise ValueError(
                f"{name} must be one-dimensional real numbers, found {values_N.dtype} of shape {values_N.shape}"
            )
    if len(preds_N) != len(targets_N):
        raise ValueError(f"preds and targets must have equal lengths, found {len(preds_N)} and {len(targets_N)}")
    if not np.isfinite(targets_N).all():
        row = int(np.flatnonzero(~np.isfinite(targets_N))[0])
        raise ValueError(f"targets must be finite, found {targets_N[row]} in row {row}")
    return preds_N, targets_N


def _mean(values: Doubles) -> float:
    return float(values.mean()) if values.size else Undefined(NO_ROWS)
