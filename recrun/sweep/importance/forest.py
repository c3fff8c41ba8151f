"""Compute how much each setting matters where points are not crossed, as after a random search or TPE.

A forest of extremely randomised trees predicts the criterion from the settings. A setting matters as much as the
predictions get worse when its values are exchanged between points at random. All is measured out of bag: on points that
a tree was not grown on.

Shapes: P points, S settings, Q rows to predict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recrun.sweep.importance.columns import Columns, columns_of

LEAST_POINTS: Final = 10
MOST_POINTS: Final = 500
"""Of more points, so many are drawn: trees on all of them would be slower and no better."""
_N_TREES: Final = 100
_N_PERMUTATIONS: Final = 5
_SMALLEST_SPLIT: Final = 5
"""A node with fewer points is not split: n_min of Geurts et al. for regression."""

Doubles = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Weight:
    """How much a setting matters.

    Args:
        setting: its name.
        n_values: how many values it has among the points.
        increase: by how much the squared error grows when its values are exchanged, as a share of the variance of the
            criterion; about 0 for a setting without effect.
        sd: the standard deviation of that over exchanges.
    """

    setting: str
    n_values: int
    increase: float
    sd: float


@dataclass(frozen=True)
class ForestImportance:
    """The weights of the settings, largest first, and how well the forest predicts.

    Args:
        weights: of the settings that vary.
        r2: the share of the variance that is predicted out of bag; weights tell little where it is small.
        n_points: how many points the trees were grown on.
    """

    weights: tuple[Weight, ...]
    r2: float
    n_points: int


def forest_importance(
    settings: Sequence[Mapping[str, Any]], values: Sequence[float], *, seed: int = 0
) -> ForestImportance | str:
    """Return how much each setting matters by a forest, or why that is not known.

    Each tree is grown on P points drawn with repetition. A node draws one cut of each setting, and takes the one that
    lowers the squared error most: of numbers, by rank, one between the least and the largest; of other values a random
    part of them. A point that lacks a setting counts as below all numbers, or as a value of its own.

    *Source:* Geurts, Ernst and Wehenkel (2006), Extremely randomized trees, table 1, here on bootstrap samples;
    Breiman (2001), Random forests, section 10, for the exchange of values out of bag. Hutter, Hoos and Leyton-Brown
    (2014) take the variance of a forest apart instead (functional ANOVA).

    Args:
        settings: those of each point; a point may lack conditional ones.
        values: the criterion of each point, finite.
        seed: of all draws; the same points in the same order have the same weights.

    Returns:
        The weights, or a text without a full stop.
    """
    if len(values) < LEAST_POINTS:
        return f"{len(values)} points are too few for a forest, which needs {LEAST_POINTS}"
    rng = np.random.default_rng([seed, len(values)])
    chosen = np.arange(len(values))
    if len(chosen) > MOST_POINTS:
        chosen = np.sort(rng.choice(chosen, MOST_POINTS, replace=False))
    y_P = np.asarray(values, dtype=np.float64)[chosen]
    if not np.ptp(y_P) > 0:
        return "all points have the same value"
    columns = columns_of([settings[place] for place in chosen.tolist()])
    if not columns.names:
        return "no setting has two values"
    y_P = (y_P - y_P.mean()) / np.abs(y_P - y_P.mean()).max()  # squares of very small values would be lost
    return _measured(columns, y_P, rng)


def _measured(columns: Columns, y_P: Doubles, rng: np.random.Generator) -> ForestImportance | str:
    n, variance = len(y_P), float(y_P.var())
    orders = [[rng.permutation(n) for _ in range(_N_PERMUTATIONS)] for _ in columns.names]
    total_P, counts_P = np.zeros(n), np.zeros(n)
    exchanged = np.zeros((len(columns.names), _N_PERMUTATIONS, n))
    for _ in range(_N_TREES):
        drawn = rng.integers(n, size=n)
        out_of_bag = np.flatnonzero(np.bincount(drawn, minlength=n) == 0)
        tree = _grown(columns.codes_PS[drawn], y_P[drawn], columns, rng)
        total_P[out_of_bag] += tree.predict(columns.codes_PS[out_of_bag])
        counts_P[out_of_bag] += 1
        for place, permutations in enumerate(orders):
            rows = np.repeat(columns.codes_PS[out_of_bag][None], _N_PERMUTATIONS, axis=0)
            rows[:, :, place] = [columns.codes_PS[order, place][out_of_bag] for order in permutations]
            predicted = tree.predict(rows.reshape(-1, rows.shape[-1]))
            exchanged[place][:, out_of_bag] += predicted.reshape(_N_PERMUTATIONS, -1)
    known = counts_P > 0
    error = float(((total_P[known] / counts_P[known] - y_P[known]) ** 2).mean())
    r2 = 1 - error / variance
    if r2 <= 0:
        return f"a forest does not predict the criterion from the settings (R2 out of bag {r2:.2f})"
    errors = ((exchanged[:, :, known] / counts_P[known] - y_P[known]) ** 2).mean(axis=2)
    increases = (errors - error) / variance
    weights = [
        Weight(name, n_values, float(of_setting.mean()), float(of_setting.std(ddof=1)))
        for name, n_values, of_setting in zip(columns.names, columns.n_values_S, increases, strict=True)
    ]
    return ForestImportance(tuple(sorted(weights, key=lambda each: -each.increase)), r2, n)


@dataclass(frozen=True, eq=False)
class _Tree:
    """A tree as arrays over its nodes; the root is node 0.

    Args:
        setting: the column that a node splits; -1 for a leaf.
        goes_left: for each node, whether a code of its column goes left.
        children: the nodes below, left and right.
        value: the mean of a node's points.
    """

    setting: Codes
    goes_left: list[npt.NDArray[np.bool_]]
    children: Codes
    value: Doubles

    def predict(self, codes_QS: Codes) -> Doubles:
        """Return the values (Q,) of the leaves that rows (Q, S) fall into."""
        found = np.zeros(len(codes_QS))
        waiting = [(0, np.arange(len(codes_QS)))]
        while waiting:
            node, rows = waiting.pop()
            if not len(rows):
                continue
            column = int(self.setting[node])
            if column < 0:
                found[rows] = self.value[node]
                continue
            is_left = self.goes_left[node][codes_QS[rows, column]]
            waiting.append((int(self.children[node, 0]), rows[is_left]))
            waiting.append((int(self.children[node, 1]), rows[~is_left]))
        return found


def _grown(codes_PS: Codes, y_P: Doubles, columns: Columns, rng: np.random.Generator) -> _Tree:
    setting: list[int] = []
    goes_left: list[npt.NDArray[np.bool_]] = []
    children: list[list[int]] = []
    value: list[float] = []
    n_codes = columns.codes_PS.max(axis=0) + 1
    waiting = [(np.arange(len(y_P)), -1, 0)]
    while waiting:
        rows, parent, side = waiting.pop()
        node = len(setting)
        if parent >= 0:
            children[parent][side] = node
        y = y_P[rows]
        column, left = _split(codes_PS[rows], y, columns.is_ordered_S, n_codes, rng)
        setting.append(column)
        goes_left.append(left)
        children.append([-1, -1])
        value.append(float(y.mean()))
        if column >= 0:
            is_left = left[codes_PS[rows, column]]
            waiting += [(rows[~is_left], node, 1), (rows[is_left], node, 0)]
    return _Tree(np.array(setting), goes_left, np.array(children), np.array(value))


def _split(
    codes_NS: Codes, y_N: Doubles, is_ordered_S: npt.NDArray[np.bool_], n_codes_S: Codes, rng: np.random.Generator
) -> tuple[int, npt.NDArray[np.bool_]]:
    """Return the column that is split and which of its codes go left, or -1 for a leaf."""
    best, column, kept = 0.0, -1, np.zeros(0, dtype=bool)
    if len(y_N) < _SMALLEST_SPLIT or not np.ptp(y_N) > 0:
        return column, kept
    centred_N = y_N - y_N.mean()
    for place in range(codes_NS.shape[1]):
        codes_N = codes_NS[:, place]
        present = np.unique(codes_N)
        if len(present) < 2:
            continue
        left = np.zeros(n_codes_S[place], dtype=bool)
        if is_ordered_S[place]:
            left[: int(rng.integers(present[0], present[-1])) + 1] = True
        else:
            left[rng.permutation(present)[: int(rng.integers(1, len(present)))]] = True
        is_left_N = left[codes_N]
        n_left = int(is_left_N.sum())
        total = float(centred_N[is_left_N].sum())
        gain = total * total * (1 / n_left + 1 / (len(y_N) - n_left))  # the squares that a split saves
        if gain > best:
            best, column, kept = gain, place, left
    return column, kept
