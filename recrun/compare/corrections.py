"""Correct p values for the number of tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from recrun.metrics.ranking import Doubles


def holm(p_N: npt.ArrayLike) -> Doubles:
    """Return p values corrected by Holm's step-down method.

    If those below a level are taken for differences, the probability of any false one is at most that level.

    The i-th smallest of n is multiplied by n - i + 1, and none is smaller than a corrected one before it. A test
    without a p value (NaN) stays one, and is not counted.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """

    def corrected(sorted_N: Doubles) -> Doubles:
        n = len(sorted_N)
        return np.asarray(np.maximum.accumulate(sorted_N * np.arange(n, 0, -1)))

    return _of_known(p_N, corrected)


def benjamini_hochberg(p_N: npt.ArrayLike) -> Doubles:
    """Return p values corrected by the step-up method of Benjamini and Hochberg.

    If those below a level are taken for differences, the expected share of false ones among them is at most that level,
    for tests that are independent or positively dependent.

    The i-th smallest of n is multiplied by n / i, and none is larger than a corrected one after it. NaN as in `holm`.

    Source: Benjamini and Hochberg, Controlling the false discovery rate, JRSS B 57 (1995).

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """

    def corrected(sorted_N: Doubles) -> Doubles:
        n = len(sorted_N)
        return np.asarray(np.minimum.accumulate((sorted_N * n / np.arange(1, n + 1))[::-1])[::-1])

    return _of_known(p_N, corrected)


def uncorrected(p_N: npt.ArrayLike) -> Doubles:
    """Return p values as they are."""
    return np.array(p_N, dtype=np.float64)


CORRECTIONS: Final[dict[str, Callable[[npt.ArrayLike], Doubles]]] = {
    "holm": holm,
    "bh": benjamini_hochberg,
    "none": uncorrected,
}
"""The corrections by the names that `recrun compare --correction` takes."""


def _of_known(p_N: npt.ArrayLike, corrected: Callable[[Doubles], Doubles]) -> Doubles:
    found_N = np.array(p_N, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(found_N))
    order = known[np.argsort(found_N[known], kind="stable")]
    found_N[order] = np.minimum(corrected(found_N[order]), 1.0)
    return found_N
