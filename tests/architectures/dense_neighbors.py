"""Similarities and weights of neighbours, pair by pair in double precision: what the sparse ones must equal."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def similarities(
    table: Array,
    *,
    measure: str = "cosine",
    shrink: float = 0.0,
    alpha: float | None = None,
    beta: float | None = None,
    feature_weights: str = "none",
    bm25_k1: float | None = None,
    bm25_b: float | None = None,
) -> Array:
    """Return the similarities (R, R) of targets (rows) and sources (columns), 0 on the diagonal."""
    rows = [_weighted(table, row, feature_weights, bm25_k1, bm25_b) for row in range(len(table))]
    result = np.zeros((len(table), len(table)))
    for t, target in enumerate(rows):
        for s, source in enumerate(rows):
            common = target.keys() & source.keys()
            if t == s or not common:
                continue
            product = sum(target[feature] * source[feature] for feature in common)
            lengths = [sum(value**2 for value in row.values()) ** 0.5 for row in (target, source)]
            alone = [len(target.keys() - source.keys()), len(source.keys() - target.keys())]
            if measure == "dot":
                result[t, s] = product
            elif measure == "cosine":
                result[t, s] = product / (lengths[0] * lengths[1] + shrink)
            elif measure == "asymmetric":
                power = 0.5 if alpha is None else alpha
                result[t, s] = product / (lengths[0] ** (2 * power) * lengths[1] ** (2 - 2 * power) + shrink)
            elif measure == "pearson":
                deviations = np.std(table[t]) * np.std(table[s])
                covariance = np.mean(table[t] * table[s]) - np.mean(table[t]) * np.mean(table[s])
                if covariance > 1e-12:
                    result[t, s] = covariance / (deviations + shrink / table.shape[1])
            elif measure == "tversky":
                weights = [1.0 if weight is None else weight for weight in (alpha, beta)]
                penalty = weights[0] * alone[0] + weights[1] * alone[1]
                result[t, s] = len(common) / (len(common) + penalty + shrink)
            elif measure == "dice":
                result[t, s] = 2 * len(common) / (len(target) + len(source) + shrink)
            else:
                result[t, s] = len(common) / (len(target.keys() | source.keys()) + shrink)
    return result


def cut_rows(matrix: Array, n_kept: int) -> Array:
    """Return the matrix with the largest entries of each row; of equal ones, those of the smaller columns."""
    result = np.zeros_like(matrix)
    for row, kept in zip(matrix, result, strict=True):
        for column in np.argsort(-row.astype(np.float32), kind="stable")[:n_kept]:
            kept[column] = row[column]
    return result


def weights(of_target: Array, n_kept: int, neighbors_of: str, normalize: str | None = None) -> Array:
    """Return the weights from sources (rows) to targets (columns), given similarities of targets (rows)."""
    kept = cut_rows(of_target, n_kept).T if neighbors_of == "target" else cut_rows(of_target.T, n_kept)
    if normalize is not None:
        totals = kept.sum(1, keepdims=True) if normalize == "source" else kept.sum(0, keepdims=True)
        kept = kept / np.where(totals > 0, totals, 1)
    return cut_rows(kept.T, n_kept).T if neighbors_of == "both" else kept


def _weighted(table: Array, row: int, feature_weights: str, k1: float | None, b: float | None) -> dict[int, float]:
    """Return the weight of each feature that a row has."""
    k1, b = 1.2 if k1 is None else k1, 0.75 if b is None else b
    result = {}
    for feature in np.flatnonzero(table[row]):
        n_rows, owners = len(table), table[:, feature].sum()
        if feature_weights == "none":
            weight = 1.0
        elif feature_weights == "tfidf":
            weight = np.log(1 + n_rows / owners)
        else:
            length = table[row].sum() / (table.sum() / n_rows)
            weight = np.log(1 + (n_rows - owners + 0.5) / (owners + 0.5))
            weight *= (k1 + 1) / (k1 * (1 - b + b * length) + 1)
        result[int(feature)] = float(weight)
    return result
