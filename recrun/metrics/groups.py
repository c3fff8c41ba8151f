"""Break metrics down by groups of users and of items, and measure how far apart the groups are.

Shapes: B users of a batch, U users, I items, K ranks, G groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from recrun.config.monitor_names import MetricName, kind_of
from recrun.metrics.kinds import Evaluated, Metric, Rankings
from recrun.metrics.per_user import PerUser, mean_of_users
from recrun.metrics.ranking import Array, Doubles
from recrun.metrics.returned import one_each
from recrun.metrics.totals import find_metric
from recrun.registry import METRICS

MISSING: Final = "(missing)"
"""The group of those whose value is not known; it counts in no gap."""
EXPOSURE: Final = "exposure"
"""The share of filled ranks that hold items of a group, beside the metrics of groups of items."""


class Grouping(NamedTuple):
    """Users or items in groups, which may overlap.

    Args:
        name: as it is written in `groups`.
        of: whether users or items are grouped.
        labels: the name of each group.
        members: the ids of each group, ascending.
    """

    name: str
    of: Literal["user", "item"]
    labels: tuple[str, ...]
    members: tuple[Array, ...]


class GroupTotals:
    """What an evaluation gathers to break its metrics down.

    Groups of users have the mean over their users of each metric that is a mean over users. Groups of items have the
    metrics of the kind `ranking` as if only their items were relevant: the ranking is that of all items, and the mean
    is over the users who have relevant items of the group.

    Args:
        groupings: the groups.
        metrics: the metrics of the evaluation.
        data: what is evaluated.
    """

    def __init__(self, groupings: Sequence[Grouping], metrics: Sequence[MetricName], data: Evaluated) -> None:
        self._groupings, self._relevant = tuple(groupings), data.relevant
        metrics = list(dict.fromkeys(metrics))
        restricted = [find_metric(name) for name in metrics if _is_of_hits(name)]
        cutoffs = sorted({name.k for name in metrics if name.k is not None})
        self._of_items = {
            grouping.name: [_ItemGroup(members, restricted, cutoffs, data.n_items) for members in grouping.members]
            for grouping in self._groupings
            if grouping.of == "item"
        }

    @property
    def needs_users(self) -> bool:
        """Whether the values of each user have to be kept."""
        return any(grouping.of == "user" for grouping in self._groupings)

    def add_rankings(self, rankings: Rankings) -> None:
        """Gather the rankings of some users."""
        if not self._of_items:
            return
        indptr, items_N = self._relevant.rows(rankings.users_B)
        rows_N = np.repeat(np.arange(len(rankings.users_B)), np.diff(indptr))
        for groups in self._of_items.values():
            for group in groups:
                group.add(rankings, rows_N, items_N)

    def result(self, per_user: PerUser | None) -> dict[str, Any]:
        """Return the break-down, as it is written in metrics.json: by name of the grouping, its groups and gaps.

        Args:
            per_user: the values of each user, by internal id; None if `needs_users` is false.
        """
        found = {}
        for grouping in self._groupings:
            if grouping.of == "item":
                values = [group.result() for group in self._of_items[grouping.name]]
            else:
                assert per_user is not None
                values = [_of_users(members, per_user) for members in grouping.members]
            groups = [{"group": label, **each} for label, each in zip(grouping.labels, values, strict=True)]
            found[grouping.name] = {"of": f"{grouping.of}s", "groups": groups, "gaps": gaps(groups)}
        return found


class _ItemGroup:
    """The metrics of rankings in which only the items of one group are relevant."""

    def __init__(self, members: Array, metrics: Sequence[Metric], cutoffs: Sequence[int], n_items: int) -> None:
        self._is_member_I = np.zeros(n_items, dtype=bool)
        self._is_member_I[members] = True
        self._n_items = len(members)
        self._values: dict[MetricName, list[Doubles]] = {metric.name: [] for metric in metrics}
        self._metrics = metrics
        self._shown = dict.fromkeys(cutoffs, 0)
        self._filled = dict.fromkeys(cutoffs, 0)
        self._n_users = 0

    def add(self, rankings: Rankings, rows_N: Array, items_N: Array) -> None:
        """Gather rankings, given the row and the id of each relevant item of their users."""
        is_member_BK = self._is_member_I[rankings.items_BK] & (rankings.items_BK >= 0)
        for k in self._shown:
            self._shown[k] += int(is_member_BK[:, :k].sum())
            self._filled[k] += int((rankings.items_BK[:, :k] >= 0).sum())
        n_relevant_B = np.bincount(rows_N[self._is_member_I[items_N]], minlength=len(rankings.users_B))
        has_some_B = n_relevant_B > 0
        self._n_users += int(has_some_B.sum())
        if not has_some_B.any():
            return
        hits_BK = (rankings.hits_BK & is_member_BK)[has_some_B]
        n_relevant_B = n_relevant_B[has_some_B]
        for metric in self._metrics:
            values_B = metric.compute(hits_BK, n_relevant_B, metric.k)
            self._values[metric.name].append(one_each(metric.name, values_B, len(n_relevant_B), "user"))

    def result(self) -> dict[str, Any]:
        metrics = {
            str(name): mean_of_users(np.concatenate(values)) if values else None
            for name, values in self._values.items()
        }
        exposure = {
            f"{EXPOSURE}@{k}": self._shown[k] / self._filled[k] if self._filled[k] else None for k in self._shown
        }
        return {"items": self._n_items, "users": self._n_users, "metrics": {**metrics, **exposure}}


def gaps(groups: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Return how far apart groups are in each metric that at least two of them have.

    For values x of G groups: `difference` max - min; `ratio` min / max; `mean_difference` the mean of |x_i - x_j| over
    pairs of groups; `gini` the sum of |x_i - x_j| over all i and j, over 2 G times the sum of x. `ratio` and `gini` are
    None where they mean nothing: with values below 0, or all 0. The group of missing values is left out.

    *Source:* for two groups, `difference` is the unfairness of Li et al., WWW 2021, and Fu et al., SIGIR 2020;
    `mean_difference` is its mean over pairs; the Gini index as in `recrun.metrics.beyond_accuracy.gini`.

    Args:
        groups: for each group "group", its name, and "metrics", by name; None where undefined.
    """
    known = [group["metrics"] for group in groups if group["group"] != MISSING]
    names = dict.fromkeys(name for metrics in known for name in metrics)
    found = {}
    for name in names:
        values_G = np.array([metrics[name] for metrics in known if metrics.get(name) is not None], dtype=np.float64)
        if len(values_G) > 1:
            found[name] = _gap(values_G)
    return found


def _gap(values_G: Doubles) -> dict[str, float | None]:
    n = len(values_G)
    smallest, largest, total = float(values_G.min()), float(values_G.max()), float(values_G.sum())
    rank_G = np.arange(1, n + 1)
    # Sorted, the differences of all pairs add up to this, without a matrix of them.
    of_pairs = float(((2 * rank_G - n - 1) * np.sort(values_G)).sum())
    is_share = smallest >= 0 and largest > 0
    return {
        "difference": largest - smallest,
        "ratio": smallest / largest if is_share else None,
        "mean_difference": of_pairs / (n * (n - 1) / 2),
        "gini": of_pairs / (n * total) if is_share else None,
    }


def _of_users(members: Array, per_user: PerUser) -> dict[str, Any]:
    is_member_U = np.isin(per_user.users_U, members)
    metrics = {name: mean_of_users(values_U[is_member_U]) for name, values_U in per_user.values.items()}
    return {"users": int(is_member_U.sum()), "metrics": metrics}


def _is_of_hits(name: MetricName) -> bool:
    return kind_of(METRICS.describe(name.name)).name == "ranking"
