"""Define the kinds of metrics: what a metric is a function of, how that is gathered, how it becomes one number.

Shapes: B users of a batch, U users, I items, K ranks, N rows.

A kind is a class under `METRIC_KINDS.register`. An evaluation makes one object of each kind that its metrics have,
hands it every batch in order, and asks for the values at the end. Two traits say what a config needs before anything is
imported: `cutoff`, whether its metrics are named as name@k, and `evaluations`, which evaluations can compute them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np

from recrun.errors import RegistryError
from recrun.metrics.pairs import any_pair
from recrun.metrics.per_user import RunningMean
from recrun.metrics.pointwise import NO_ROWS, mean_by_size, wins_of_groups
from recrun.metrics.ranking import Array, Doubles
from recrun.metrics.returned import one_each
from recrun.metrics.undefined import Undefined
from recrun.registry import METRIC_KINDS

if TYPE_CHECKING:
    from recrun.config.monitor_names import MetricName
    from recrun.registry.traits import MetricTraits

NOTHING_TO_FIND: Final = "no user has relevant items"


class Metric(NamedTuple):
    """A metric that is to be computed."""

    name: MetricName
    compute: Callable[..., Any]
    traits: MetricTraits

    @property
    def k(self) -> int:
        """The cutoff; 0 for a metric without one."""
        return self.name.k or 0


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation is over, besides its batches.

    Args:
        n_items: I; 0 where rows are predicted.
        seen: items that users have interacted with before, as compressed rows of all users
            (`recrun.data.interactions.CSR`): those of train, for test also those of valid. None where there are no
            rankings.
        relevant: items to be found, likewise.
        dataset: the data set (`RecDataSet`: ids, fields, columns); None when only arrays were given.
        targets_N: the labels of all rows, where rows are predicted; else None.
        users_N: the users of these rows.
        masked: items that are not recommended, likewise; None for those seen.
    """

    n_items: int = 0
    seen: Any = None
    relevant: Any = None
    dataset: Any = None
    targets_N: Array | None = None
    users_N: Array | None = None
    masked: Any = None

    @cached_property
    def popularity_I(self) -> Array:
        """By how many users each item is seen, int (I,); those who are only the beginning of another do not count."""
        beginnings = getattr(self.dataset, "beginnings", None)
        seen = self.seen if beginnings is None else self.seen.take(np.flatnonzero(~beginnings))
        popularity_I = np.bincount(seen.indices, minlength=self.n_items)
        popularity_I.flags.writeable = False
        return popularity_I


class Rankings(NamedTuple):
    """The rankings of some users that have relevant items; those fields that no kind `needs` are empty."""

    users_B: Array
    """Their ids, ascending."""
    items_BK: Array
    """The items in rank order, K at least the largest cutoff, or all items; -1 where a rank is empty."""
    hits_BK: Array
    """Whether they are relevant."""
    n_relevant_B: Array
    """How many relevant items each user has, at least 1."""
    scores_BK: Array
    """The scores of the items, double, -inf where a rank is empty; needs "scores"."""
    wins_B: Array
    """Pairs (relevant, other) of unseen items in order, plus half the ties; needs "wins"."""
    n_findable_B: Array
    """Relevant items that are unseen; needs "wins"."""
    n_others_B: Array
    """Unseen items that are not relevant; needs "wins"."""


class Predictions(NamedTuple):
    """Rows with predicted and true values."""

    preds_N: Array
    """Predictions, such as probabilities."""
    targets_N: Array
    """Labels."""
    users_N: Array
    """The user, or another group, of each row."""


class MetricKind(ABC):
    """The base of all kinds.

    A kind writes `add_rankings` or `add_predictions`, as its trait `evaluations` says, and `values`. There may be no
    batch at all: no user may have relevant items.

    Args:
        metrics: all metrics of this kind that are computed.
        data: what is evaluated.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    """What is gathered only when asked for: "scores" of the ranked items, and "wins", for which a model's scores are
    computed twice."""

    def __init__(self, metrics: Sequence[Metric], data: Evaluated) -> None:
        self.metrics = tuple(metrics)
        self.data = data

    def add_rankings(self, rankings: Rankings) -> None:
        """Gather the rankings of some users; all calls but the last bring a multiple of `SUMMED` users."""
        raise RegistryError(f"{type(self).__name__} is a kind of metrics of rankings; write its add_rankings()")

    def add_predictions(self, predictions: Predictions) -> None:
        """Gather predictions; one call brings all rows."""
        raise RegistryError(f"{type(self).__name__} is a kind of metrics of predictions; write its add_predictions()")

    @abstractmethod
    def values(self) -> Sequence[float]:
        """Return the value of each metric, in their order; `Undefined(reason)` or NaN where it is undefined."""

    def undefined(self, metric: Metric) -> str | None:
        """Return why a metric is undefined whatever is predicted, as `data` alone shows; None if it is not.

        A run that monitors such a metric is refused before it trains. By default, nothing is known beforehand.
        """
        return None


class MeanOverUsers(MetricKind):
    """A kind whose metrics are means over users; it writes `of_users`."""

    nobody: ClassVar[str] = "the metric is NaN for every user"
    """Why a mean is over none of the users with relevant items."""

    def __init__(self, metrics: Sequence[Metric], data: Evaluated) -> None:
        super().__init__(metrics, data)
        self._means = [RunningMean() for _ in self.metrics]
        self._n_ranked = 0

    def keep_users(self) -> None:
        """Keep the values of each user from now on, for `of_each_user`."""
        self._means = [RunningMean(keep=True) for _ in self.metrics]

    def of_each_user(self, position: int) -> Doubles | None:
        """Return the values of all users (U,) of the metric at a position of `metrics`; None if they were not kept."""
        kept = self._means[position].kept
        return None if kept is None else np.concatenate([np.empty(0), *kept])

    @abstractmethod
    def of_users(self, metric: Metric, rankings: Rankings) -> Doubles:
        """Return the metric of each user, (B,); NaN for a user who is left out of the mean."""

    def add_rankings(self, rankings: Rankings) -> None:
        self._n_ranked += len(rankings.users_B)
        for position, metric in enumerate(self.metrics):
            values_B = one_each(metric.name, self.of_users(metric, rankings), len(rankings.users_B), "user")
            self.add_values(position, values_B)

    def add_values(self, position: int, values_B: Doubles) -> None:
        """Add to the mean of the metric at a position of `metrics`."""
        self._means[position].add(values_B)

    def values(self) -> list[float]:
        """Return the means; undefined over no users."""
        why = self.nobody if self._n_ranked else NOTHING_TO_FIND
        means = [running.mean for running in self._means]
        return [Undefined(why) if mean is None else mean for mean in means]

    def undefined(self, metric: Metric) -> str | None:
        relevant = self.data.relevant
        return NOTHING_TO_FIND if relevant is not None and not len(relevant.indices) else None


@METRIC_KINDS.register("ranking", cutoff=True)
class Ranking(MeanOverUsers):
    """Means over users of `(hits (B, K) bool in rank order, n_relevant (B,) int, k) -> (B,)`, for any k.

    K may be larger than k; ranks beyond K are misses. K and every n_relevant are at least 1.
    """

    def of_users(self, metric: Metric, rankings: Rankings) -> Doubles:
        values_B: Doubles = metric.compute(rankings.hits_BK, rankings.n_relevant_B, metric.k)
        return values_B


@METRIC_KINDS.register("exposure", cutoff=True)
class Exposure(MetricKind):
    """Functions `(exposure (I,) int, popularity (I,) int, n_users) -> float` of all rankings together.

    The exposure of an item is how many users have it among their first k, its popularity how many users have seen it.
    """

    def __init__(self, metrics: Sequence[Metric], data: Evaluated) -> None:
        super().__init__(metrics, data)
        self._exposures = {metric.k: np.zeros(data.n_items, dtype=np.int64) for metric in metrics}

    def add_rankings(self, rankings: Rankings) -> None:
        for k, exposure_I in self._exposures.items():
            items_N = rankings.items_BK[:, :k].ravel()
            exposure_I += np.bincount(items_N[items_N >= 0], minlength=self.data.n_items)

    def values(self) -> list[float]:
        arguments = self.data.popularity_I, self.data.seen.n_rows
        return [metric.compute(self._exposures[metric.k], *arguments) for metric in self.metrics]


@METRIC_KINDS.register("auc", evaluations=("ranking", "predictions"))
class AreaUnderCurve(MeanOverUsers):
    """Means over users of `(wins (B,), n_relevant (B,), n_others (B,)) -> (B,)`, NaN where one of the two is 0.

    Of rankings, wins are over all unseen items. Of predictions, all rows count as those of one user.
    """

    needs = frozenset({"wins"})
    nobody = "no user has both an unseen relevant item and another unseen one"

    def of_users(self, metric: Metric, rankings: Rankings) -> Doubles:
        values_B: Doubles = metric.compute(rankings.wins_B, rankings.n_findable_B, rankings.n_others_B)
        return values_B

    def add_predictions(self, predictions: Predictions) -> None:
        one_group_N = np.zeros(len(predictions.preds_N), dtype=np.int8)
        groups = wins_of_groups(predictions.preds_N, predictions.targets_N, one_group_N)
        for position, metric in enumerate(self.metrics):
            areas_G = metric.compute(groups.wins_G, groups.n_relevant_G, groups.size_G - groups.n_relevant_G)
            areas_G = one_each(metric.name, areas_G, len(groups.size_G), "group")
            self.add_values(position, np.array([mean_by_size(areas_G, groups.size_G)]))

    def values(self) -> list[float]:
        of_one_kind = self._labels_of_one_kind()
        values = super().values()
        if of_one_kind is None:
            return values
        return [Undefined(of_one_kind) if isinstance(value, Undefined) else value for value in values]

    def undefined(self, metric: Metric) -> str | None:
        if not metric.traits.foreseeable:
            return None
        if self.data.relevant is None:
            return self._labels_of_one_kind()
        return super().undefined(metric) or self._without_pairs()

    def _without_pairs(self) -> str | None:
        data = self.data
        masked = data.seen if data.masked is None else data.masked
        return None if any_pair(data.relevant, masked, data.n_items) else self.nobody

    def _labels_of_one_kind(self) -> str | None:
        """Return what the labels of rows lack for an area; None if nothing, or if there are rankings."""
        targets_N = self.data.targets_N
        if targets_N is None:
            return None
        if not len(targets_N):
            return NO_ROWS
        is_relevant_N = np.asarray(targets_N) > 0
        if is_relevant_N.any() and not is_relevant_N.all():
            return None
        if targets_N.min() == targets_N.max():
            return f"all labels are {targets_N.min():g}"
        return "all labels are above 0" if is_relevant_N.all() else "no label is above 0"


@METRIC_KINDS.register("pointwise", evaluations=("predictions",))
class Pointwise(MetricKind):
    """Functions `(preds (N,), targets (N,)) -> float` of all rows; with the trait `grouped` also of `groups (N,)`."""

    def __init__(self, metrics: Sequence[Metric], data: Evaluated) -> None:
        super().__init__(metrics, data)
        self._batches: list[Predictions] = []

    def add_predictions(self, predictions: Predictions) -> None:
        self._batches.append(predictions)

    def values(self) -> list[float]:
        rows = Predictions(*map(np.concatenate, zip(*self._batches, strict=True)))
        return [self._value(metric, rows) for metric in self.metrics]

    def undefined(self, metric: Metric) -> str | None:
        targets_N, users_N = self.data.targets_N, self.data.users_N
        if targets_N is None or users_N is None or not metric.traits.foreseeable:
            return None
        value = self._value(metric, Predictions(np.full(len(targets_N), 0.5), targets_N, users_N))
        return value.reason if isinstance(value, Undefined) else None

    @staticmethod
    def _value(metric: Metric, rows: Predictions) -> float:
        value: float = metric.compute(*(rows if metric.traits.grouped else rows[:2]))
        return value
