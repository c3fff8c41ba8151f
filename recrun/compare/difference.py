"""Hold the values of two groups of runs, and derive what a test of their difference needs.

Shapes: S seeds of a group, U users, M metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recrun.metrics.ranking import Doubles, ratio

_ROUNDING: Final = 1e-12
"""Equal values give means that differ by less, relative to their size, if there are not equally many."""


class Variance(NamedTuple):
    """An estimate of variance, of the mean difference, from one source."""

    variance_M: Doubles
    df_M: Doubles
    """Its degrees of freedom."""


@dataclass(frozen=True, eq=False)
class Difference:
    """The values of a group and of its baseline, for the same users; see `of`.

    Args:
        arms: the values that vary with the seeds: (differences (S, U, M),) if the seeds are paired, else (values of the
            group, values of the baseline). NaN for a user who is left out of a metric.
    """

    arms: tuple[Doubles, ...]

    @classmethod
    def of(cls, group_SUM: npt.ArrayLike, baseline_SUM: npt.ArrayLike, *, paired: bool) -> Difference:
        """Return the difference of two groups.

        A user for whom a metric is undefined (NaN) in any of the runs is left out of that metric, in both groups.

        Args:
            group_SUM: the values of the group's runs.
            baseline_SUM: those of the baseline, of the same users and metrics, in the same order. Values that are known
                for whole runs only are given as those of a single user.
            paired: whether both groups have the same seeds, in the same order.

        Raises:
            ValueError: the shapes do not agree.
        """
        group, baseline = (np.asarray(each, dtype=np.float64) for each in (group_SUM, baseline_SUM))
        if group.ndim != 3 or group.shape[1:] != baseline.shape[1:]:
            raise ValueError(f"expected the same users and metrics, found {group.shape} and {baseline.shape}")
        if paired and len(group) != len(baseline):
            raise ValueError(f"paired groups have the same number of seeds, found {len(group)} and {len(baseline)}")
        left_out_UM = np.isnan(group).any(axis=0) | np.isnan(baseline).any(axis=0)
        arms = [group - baseline] if paired else [group, baseline]
        return cls(tuple(np.where(left_out_UM, np.nan, arm) if left_out_UM.any() else arm for arm in arms))

    @property
    def is_paired(self) -> bool:
        """Whether each seed of one group is compared with the same seed of the other."""
        return len(self.arms) == 1

    @property
    def n_seeds(self) -> tuple[int, int]:
        """How many seeds the group and the baseline have."""
        return len(self.arms[0]), len(self.arms[-1])

    @cached_property
    def users_UM(self) -> Doubles:
        """The difference of each user's values, each averaged over seeds; NaN for one who is left out."""
        means = [arm.mean(axis=0) for arm in self.arms]
        difference_UM: Doubles = means[0] if self.is_paired else means[0] - means[1]
        sizes = [np.maximum(arm.max(axis=0), -arm.min(axis=0)) for arm in self.arms]
        return without_rounding(difference_UM, np.maximum(sizes[0], sizes[-1]))

    @cached_property
    def size_M(self) -> Doubles:
        """The largest value of each metric, without its sign; 0 for one that is over no users."""
        return np.asarray(np.max([np.abs(np.nan_to_num(arm)).max(axis=(0, 1)) for arm in self.arms], axis=0))

    @cached_property
    def defined_UM(self) -> npt.NDArray[np.bool_]:
        """Which users are not left out."""
        return ~np.isnan(self.users_UM)

    @cached_property
    def n_users_M(self) -> npt.NDArray[np.int64]:
        """How many users each metric is over."""
        return np.asarray(self.defined_UM.sum(axis=0), dtype=np.int64)

    @cached_property
    def mean_M(self) -> Doubles:
        """The difference of the groups' means; NaN for a metric that is over no users."""
        return mean_over(self.users_UM, self.n_users_M)

    @cached_property
    def seeds(self) -> tuple[Doubles, ...]:
        """The mean over users of each arm, (S, M) each."""
        return tuple(np.stack([mean_over(run_UM, self.n_users_M) for run_UM in arm]) for arm in self.arms)

    def variance_of_users(self) -> Variance:
        """Return the variance of the mean difference if only users are a sample; NaN for fewer than two."""
        n_M = self.n_users_M
        deviations_UM = np.where(self.defined_UM, self.users_UM - self.mean_M, 0.0)
        df_M = np.asarray(n_M - 1, dtype=np.float64)
        return Variance(ratio((deviations_UM**2).sum(axis=0), n_M * df_M), df_M)

    def variances_of_seeds(self) -> list[Variance]:
        """Return the variance of each arm's mean if only seeds are a sample; their sum is that of the difference."""
        return [
            Variance(seeds_SM.var(axis=0, ddof=1) / len(seeds_SM), _constant(len(seeds_SM) - 1, seeds_SM))
            for seeds_SM in self.seeds
        ]

    def variances_of_interaction(self) -> list[Variance]:
        """Return, for each arm, the variance of its mean that is due to what depends on user and seed together.

        It is contained in both the variance of users and that of seeds.
        """
        found = []
        for arm_SUM, seeds_SM in zip(self.arms, self.seeds, strict=True):
            n_seeds, n_M = len(arm_SUM), self.n_users_M
            users_UM = arm_SUM.mean(axis=0) - seeds_SM.mean(axis=0)
            squares_M = np.zeros(len(n_M))
            for run_UM, mean_M in zip(arm_SUM, seeds_SM, strict=True):
                rest_UM = np.where(self.defined_UM, run_UM - mean_M - users_UM, 0.0)
                squares_M += (rest_UM**2).sum(axis=0)
            df_M = np.asarray((n_seeds - 1) * (n_M - 1), dtype=np.float64)
            found.append(Variance(ratio(squares_M, df_M * n_seeds * n_M), df_M))
        return found


def mean_over(values_UM: Doubles, n_M: npt.NDArray[np.int64]) -> Doubles:
    """Return the mean over the users who are defined, of whom there are `n_M`; NaN over none."""
    return ratio(np.nansum(values_UM, axis=0), n_M)


def without_rounding(differences: Doubles, size: Doubles) -> Doubles:
    """Return differences of means, of values of some size, with 0 for those that only rounding makes another number.

    A difference of 1e-17 for every user would pass for one that nothing varies in.
    """
    return np.where(np.abs(differences) <= _ROUNDING * size, 0.0, differences)


def _constant(value: float, like_SM: Doubles) -> Doubles:
    return np.full(like_SM.shape[1], float(value))
