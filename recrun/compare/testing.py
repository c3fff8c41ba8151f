"""Test every group of a comparison against its baseline, and find the groups that are as good as the best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recrun.compare.comparison import TestResult, number_or_none
from recrun.compare.corrections import CORRECTIONS
from recrun.compare.difference import Difference
from recrun.compare.groups import Group
from recrun.compare.significance import LEVEL, assess, refuse_impossible
from recrun.compare.values import GroupValues, UserValues
from recrun.errors import ConfigError
from recrun.metrics.ranking import Doubles
from recrun.registry.user_files import short_name

_BY_EXCHANGE: Final = ("wilcoxon", "permutation")
_ROUNDING: Final = 1e-12
_FEW_TO_DRAW: Final = 10
"""A bootstrap of fewer seeds finds too many differences."""


@dataclass(frozen=True)
class Method:
    """How differences are tested; see `recrun.compare.compare.How`."""

    test: str = "t"
    over: str | None = None
    correction: str = "holm"
    n_resamples: int = 10_000

    def over_for(self, one: Group, other: Group) -> str:
        """Return what a test of two groups is over, for metrics that have values of users."""
        if self.over is not None:
            return self.over
        return "both" if min(len(one.entries), len(other.entries)) > 1 else "users"

    def refuse(self, groups: Sequence[Group], baseline: Group) -> None:
        """Refuse a method that some pairs of groups do not allow.

        Raises:
            ConfigError: the message says why, and what can be asked for.
        """
        if self.correction not in CORRECTIONS:
            raise ConfigError(f"expected a correction among {', '.join(CORRECTIONS)}, found {self.correction!r}")
        single = [group.name for group in groups if len(group.entries) == 1]
        if self.over in ("seeds", "both") and single and len(groups) > 1:
            have = "has one" if len(single) == 1 else "have one each"
            raise ConfigError(
                f"a test over {self.over} needs at least 2 seeds of each group, and {', '.join(single)} {have}; train "
                "more seeds, or test with --over users"
            )
        for group in groups:
            if group is not baseline:
                refuse_impossible(self.test, self.over_for(group, baseline), _n_seeds(group, baseline))


class Outcome(NamedTuple):
    """The tests against the baseline, and for each metric the groups that no test tells from the best."""

    tests: tuple[TestResult, ...]
    undistinguished: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]


class Bench:
    """Tests pairs of groups.

    Args:
        method: how.
        values: reads the values of users.
    """

    def __init__(self, method: Method, values: UserValues | None, metrics: Sequence[str]) -> None:
        self._method, self._values, self._metrics = method, values, tuple(metrics)
        self._of_users = values.of_users if values is not None else ()
        self._kept: dict[str, GroupValues] = {}
        self.untested: dict[str, None] = {}
        """Metrics of whole runs that groups with a single seed could not be tested on."""
        self.without_seed: dict[str, None] = {}
        """Groups that do not depend on the seed, and were not tested over seeds against one another."""
        self.asked_for_users = method.over in ("users", "both")

    def values_of(self, group: Group, *, keep: bool) -> GroupValues:
        """Return the values of a group; those that are compared with many others are kept in memory."""
        found = self._kept.get(group.name) or self._read(group)
        if keep:
            self._kept[group.name] = found
        return found

    def _read(self, group: Group) -> GroupValues:
        if self._values is not None:
            return self._values.group(group)
        return GroupValues.of_runs(group, self._metrics)

    def tests(self, group: Group, found: GroupValues, baseline: Group, metrics: Sequence[str]) -> Iterator[TestResult]:
        """Yield the tests of a group against a baseline, whose values are kept; p values are not corrected."""
        others = self.values_of(baseline, keep=True)
        over = self._method.over_for(group, baseline)
        paired = group.seeds == baseline.seeds
        of_users = [metric for metric in metrics if metric in self._of_users and over != "seeds"]
        of_runs = [metric for metric in metrics if metric not in of_users]
        if of_users:
            columns = [self._of_users.index(metric) for metric in of_users]
            difference = Difference.of(found.users_SUP[:, :, columns], others.users_SUP[:, :, columns], paired=paired)
            yield from self._results(difference, over, group, baseline, of_users)
        if of_runs and min(_n_seeds(group, baseline)) < 2:
            self.untested.update(dict.fromkeys(of_runs))
        elif of_runs:
            columns = [self._metrics.index(metric) for metric in of_runs]
            runs = [each.runs_SM[:, None, columns] for each in (found, others)]
            varies_M = _varies(runs[0][:, 0]) | _varies(runs[1][:, 0])
            results = self._results(Difference.of(runs[0], runs[1], paired=paired), "seeds", group, baseline, of_runs)
            for result, varies in zip(results, varies_M, strict=True):
                if not varies:
                    self.without_seed.update({group.name: None, baseline.name: None})
                yield result if varies else _untested(result)

    def _results(
        self, difference: Difference, over: str, group: Group, baseline: Group, metrics: Sequence[str]
    ) -> Iterator[TestResult]:
        findings = assess(difference, self._method.test, over, self._method.n_resamples)
        for place, metric in enumerate(metrics):
            p = number_or_none(findings.p_M[place])
            yield TestResult(
                group=group.name,
                metric=metric,
                difference=number_or_none(findings.difference_M[place]),
                interval=(number_or_none(findings.low_M[place]), number_or_none(findings.high_M[place])),
                p=p,
                p_corrected=p,
                effect=number_or_none(findings.effect_M[place]),
                test=self._method.test,
                over=over,
                n=int(findings.n[place]),
                n_seeds=_n_seeds(group, baseline),
                is_paired=difference.is_paired,
            )


def test_groups(
    groups: Sequence[Group],
    baseline: Group,
    best: Mapping[str, str],
    metrics: Sequence[str],
    method: Method,
    values: UserValues | None,
) -> Outcome:
    """Test every group against the baseline and, to know which are as good as the best, against the best ones.

    Args:
        groups: the groups.
        baseline: one of them.
        best: the name of the best group of each metric.
        metrics: the metrics.
        method: how.
        values: the values of users; None for tests over seeds.

    Raises:
        ConfigError: values of users are missing, or of other users.
    """
    bench = Bench(method, values, metrics)
    tests: list[TestResult] = []
    against_best: list[TestResult] = []
    for group in groups:
        is_best = group.name in best.values()
        found = bench.values_of(group, keep=is_best or group is baseline)
        if group is not baseline:
            tests += bench.tests(group, found, baseline, metrics)
        for other in groups:
            led = [metric for metric in metrics if best.get(metric) == other.name]
            if other is not baseline and other is not group and group is not baseline and led:
                against_best += bench.tests(group, found, other, led)
    # Tests against the best are not shown, but made: they count in the correction of the marks.
    marked = _corrected([*tests, *against_best], method.correction)
    marks = _undistinguished(marked[: len(tests)], marked[len(tests) :], baseline.name, best)
    tests = _corrected(tests, method.correction)
    order = {metric: place for place, metric in enumerate(metrics)}
    tests.sort(key=lambda test: order[test.metric])
    return Outcome(tuple(tests), marks, tuple(_notes(tests, groups, baseline, bench)))


def _varies(runs_SM: Doubles) -> npt.NDArray[np.bool_]:
    """Return which metrics (M,) differ between seeds by more than the order of a sum may change, or are undefined."""
    return ~np.asarray(np.ptp(runs_SM, axis=0) <= _ROUNDING * np.abs(runs_SM).max(axis=0))


def _untested(result: TestResult) -> TestResult:
    """Return a difference of two groups that do not depend on the seed, of which seeds tell nothing."""
    return replace(result, interval=(None, None), p=None, p_corrected=None, effect=None)


def _corrected(tests: Sequence[TestResult], correction: str) -> list[TestResult]:
    p_values = CORRECTIONS[correction]([math.nan if test.p is None else test.p for test in tests])
    return [replace(test, p_corrected=number_or_none(p)) for test, p in zip(tests, p_values, strict=True)]


def _undistinguished(
    tests: Sequence[TestResult], against_best: Sequence[TestResult], baseline: str, best: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return for each metric the groups whose difference to the best is not significant, tested ones only."""
    found: dict[str, tuple[str, ...]] = {}
    for metric, winner in best.items():
        if winner == baseline:
            close = [(each.group, each.p_corrected) for each in tests if each.metric == metric]
        else:
            close = [(each.group, each.p_corrected) for each in against_best if each.metric == metric]
            close += [(baseline, each.p_corrected) for each in tests if (each.metric, each.group) == (metric, winner)]
        found[metric] = tuple(name for name, p in close if p is not None and p >= LEVEL)
    return found


def _n_seeds(group: Group, baseline: Group) -> tuple[int, int]:
    return len(group.entries), len(baseline.entries)


def _notes(tests: Sequence[TestResult], groups: Sequence[Group], baseline: Group, bench: Bench) -> Iterator[str]:
    """Yield what a reader of the tests should know."""
    single = [group.name for group in groups if len(group.entries) == 1]
    if single and len(groups) > 1 and any(each.over == "users" for each in tests):
        verb = "has one seed" if len(single) == 1 else "have one seed each"
        yield f"{', '.join(single)} {verb}: tests over users alone say nothing of other seeds"
    of_seeds = [short_name(metric) for metric in dict.fromkeys(each.metric for each in tests if each.over == "seeds")]
    if of_seeds and (bench.asked_for_users or any(each.over != "seeds" for each in tests)):
        yield f"tested over seeds, since there are no values of users: {', '.join(of_seeds)}"
    if bench.untested:
        names = ", ".join(map(short_name, bench.untested))
        yield f"not tested where a group has one seed, since there are no values of users: {names}"
    if bench.without_seed:
        names = ", ".join(bench.without_seed)
        yield f"these do not depend on the seed, so that differences between them are not tested over seeds: {names}"
    yield from _notes_on_few_seeds([each for each in tests if each.over != "users"])
    for metric in dict.fromkeys(each.metric for each in tests):
        counts = {each.n for each in tests if each.metric == metric and each.over != "seeds"}
        known = {entry.n_users for group in groups for entry in group.entries}
        if counts and counts != known:
            few, all_ = min(counts), max(users or 0 for users in known)
            yield f"{short_name(metric)} is over {few:,} of {all_:,} users; it is undefined for the others"


def _notes_on_few_seeds(tests: Sequence[TestResult]) -> Iterator[str]:
    if not tests:
        return
    by_exchange = [each for each in tests if each.test in _BY_EXCHANGE]
    if by_exchange:
        least = max(
            2 / (2 ** each.n_seeds[0] if each.is_paired else comb(sum(each.n_seeds), each.n_seeds[0]))
            for each in by_exchange
        )
        if least >= LEVEL:
            yield f"with so few seeds, {by_exchange[0].test} has no p value below {min(least, 1.0):.3g}"
    fewest = min(min(each.n_seeds) for each in tests)
    if tests[0].test == "bootstrap" and fewest < _FEW_TO_DRAW:
        yield f"where seeds matter, a bootstrap of {fewest} of them finds differences too often; prefer t"
