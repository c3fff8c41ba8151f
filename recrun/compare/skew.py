"""Take intervals and p values from a bootstrap distribution, by percentiles or by the BCa method.

Shapes: N values, M metrics, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recrun.compare.difference import mean_over
from recrun.metrics.ranking import Doubles, ratio


@dataclass(frozen=True, eq=False)
class Skew:
    """By how much a bootstrap distribution of each metric is biased and skewed."""

    bias_M: Doubles
    acceleration_M: Doubles

    @classmethod
    def of(cls, drawn_RM: Doubles, center_M: Doubles, samples: Sequence[Doubles] | None) -> Skew:
        """Return that of the BCa method, or of the percentile method if there are no `samples` to judge from."""
        from scipy.special import ndtri

        if samples is None:
            return cls(np.zeros_like(center_M), np.zeros_like(center_M))
        cubes_M, squares_M = np.zeros_like(center_M), np.zeros_like(center_M)
        for sign, sample_NM in zip((1.0, -1.0), samples, strict=False):
            n_M = (~np.isnan(sample_NM)).sum(axis=0)
            deviations_NM = np.nan_to_num(sample_NM - mean_over(sample_NM, n_M))
            cubes_M += sign * ratio((deviations_NM**3).sum(axis=0), n_M.astype(np.float64) ** 3)
            squares_M += ratio((deviations_NM**2).sum(axis=0), n_M.astype(np.float64) ** 2)
        least = 1 / (2 * len(drawn_RM))
        bias_M = ndtri(np.clip(_share_below(drawn_RM, center_M), least, 1 - least))
        return cls(bias_M, np.nan_to_num(ratio(cubes_M, 6 * squares_M**1.5)))

    def quantile(self, drawn_RM: Doubles, level: float) -> Doubles:
        """Return the end of an interval: the quantile of the distribution that the level stands for."""
        from scipy.special import ndtr, ndtri

        shifted_M = self.bias_M + ndtri(level)
        levels_M = ndtr(self.bias_M + shifted_M / (1 - self.acceleration_M * shifted_M))
        ends = [
            np.nan if np.isnan(drawn_R).all() or np.isnan(at) else np.nanquantile(drawn_R, at)
            for drawn_R, at in zip(drawn_RM.T, levels_M, strict=True)
        ]
        return np.array(ends)

    def p(self, drawn_RM: Doubles) -> Doubles:
        """Return the two-sided p value of 0: the level at which an end of the interval is 0."""
        from scipy.special import ndtr, ndtri

        n_resamples = len(drawn_RM)
        share_M = (_share_below(drawn_RM, np.zeros(drawn_RM.shape[1])) * n_resamples + 0.5) / (n_resamples + 1)
        from_bias_M = ndtri(share_M) - self.bias_M
        tail_M = ndtr(from_bias_M / np.maximum(1 + self.acceleration_M * from_bias_M, 1e-12) - self.bias_M)
        return np.asarray(np.clip(2 * np.minimum(tail_M, 1 - tail_M), 1 / (n_resamples + 1), 1.0))


def _share_below(drawn_RM: Doubles, value_M: Doubles) -> Doubles:
    """Return the share of resamples below a value, those that equal it counting half; within rounding they do."""
    close_M = 1e-12 * np.abs(drawn_RM).mean(axis=0)
    below_M, up_to_M = (drawn_RM < value_M - close_M).sum(axis=0), (drawn_RM <= value_M + close_M).sum(axis=0)
    return np.asarray((below_M + up_to_M) / (2 * len(drawn_RM)))
