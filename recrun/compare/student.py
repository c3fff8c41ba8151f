"""The variance of a mean difference, and the distribution of its ratio to the standard error.

Shapes: M metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recrun.compare.difference import Difference, Variance
from recrun.metrics.ranking import Doubles, ratio


def variance_of(difference: Difference, over: str) -> Doubles:
    """Return the variance of the mean difference, (M,), if what it is over is a sample."""
    users_M = difference.variance_of_users().variance_M if over != "seeds" else np.zeros(0)
    seeds_M = _total(difference.variances_of_seeds()) if over != "users" else np.zeros(0)
    if over != "both":
        return users_M if over == "users" else seeds_M
    sum_M = users_M + seeds_M - _total(difference.variances_of_interaction())
    return np.asarray(np.maximum(sum_M, np.maximum(users_M, seeds_M)))


@dataclass(frozen=True, eq=False)
class Tails:
    """The average of two t distributions, of each metric.

    Args:
        weight_M: the weight of the first one, from 0 to 1.
        df_M: its degrees of freedom.
        others_df_M: those of the second one.
    """

    weight_M: Doubles
    df_M: Doubles
    others_df_M: Doubles

    @classmethod
    def of(cls, difference: Difference, over: str) -> Tails:
        """Return the distribution to which a difference, divided by its standard error, is referred."""
        users = difference.variance_of_users()
        if over == "users":
            return cls(np.ones_like(users.df_M), users.df_M, np.ones_like(users.df_M))
        parts = difference.variances_of_seeds()
        seeds_M = _total(parts)
        # Of Welch; where nothing varies, any will do.
        welch_M = ratio(seeds_M**2, sum(part.variance_M**2 / part.df_M for part in parts))
        df_M = np.where(seeds_M == 0, 1.0, welch_M)
        if over == "seeds":
            return cls(np.ones_like(df_M), df_M, np.ones_like(df_M))
        weight_M = np.where(seeds_M == 0, 0.0, ratio(seeds_M, seeds_M + users.variance_M))
        return cls(weight_M, df_M, users.df_M)

    def beyond(self, t_M: Doubles) -> Doubles:
        """Return the probability of values above t."""
        from scipy.special import stdtr

        others_M = np.where(self.weight_M == 1, 0.0, stdtr(self.others_df_M, -t_M))
        return np.asarray(self.weight_M * stdtr(self.df_M, -t_M) + (1 - self.weight_M) * others_M)

    def critical(self, level: float) -> Doubles:
        """Return the t with the probability `level` of values above it."""
        from scipy.special import stdtrit

        one_M = stdtrit(self.df_M, 1 - level)
        other_M = np.where(self.weight_M == 1, one_M, stdtrit(self.others_df_M, 1 - level))
        low_M, high_M = np.minimum(one_M, other_M), np.maximum(one_M, other_M)
        for _ in range(100):  # halves the span until it is no wider than rounding
            middle_M = (low_M + high_M) / 2
            is_beyond_M = self.beyond(middle_M) > level
            low_M, high_M = np.where(is_beyond_M, middle_M, low_M), np.where(is_beyond_M, high_M, middle_M)
        return np.asarray((low_M + high_M) / 2)


def _total(parts: Sequence[Variance]) -> Doubles:
    return np.asarray(sum(part.variance_M for part in parts))
