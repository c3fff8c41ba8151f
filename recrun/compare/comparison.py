"""Hold the result of a comparison: the groups, and the tests of their differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recrun.compare.parts import Part

Number = float | None


@dataclass(frozen=True)
class GroupResult:
    """What the runs of a group reached.

    Args:
        name: what distinguishes it from the other groups.
        runs: the folders of its runs.
        n_seeds: how many runs those are, each of another seed.
        mean: the mean over seeds of each metric; None where a run has none.
        sd: the sample standard deviation over seeds (divided by n - 1); None for a single seed.
    """

    name: str
    runs: tuple[str, ...]
    n_seeds: int
    mean: Mapping[str, Number]
    sd: Mapping[str, Number]


@dataclass(frozen=True)
class TestResult:
    """A test of one group against the baseline.

    Args:
        group: the group's name.
        metric: the metric.
        difference: its mean minus the baseline's.
        interval: the 95 % interval of the difference.
        p: the two-sided p value.
        p_corrected: the same, corrected for the number of tests.
        effect: the effect size; see `recrun.compare.significance.Findings`.
        test: how it was tested.
        over: what the test is over: "users", "seeds" or "both".
        n: of how many users, or seeds, it is.
        n_seeds: the seeds of the group and of the baseline.
        is_paired: whether these are the same seeds.
    """

    __test__ = False  # pytest would take it for tests

    group: str
    metric: str
    difference: Number
    interval: tuple[Number, Number]
    p: Number
    p_corrected: Number
    effect: Number
    test: str
    over: str
    n: int
    n_seeds: tuple[int, int]
    is_paired: bool


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, and the tests of their differences.

    Args:
        split: "valid" or "test".
        metrics: the metrics that are compared, the decisive one first.
        groups: the groups, best first by that metric.
        baseline: the name of the group with which the others are compared; None without tests.
        tests: the tests, by metric, then in the order of the groups.
        correction: how p values are corrected for the number of tests.
        best: the best group of each metric; none where numbers do not compare.
        undistinguished: for each metric, the groups of which no test says that they are worse than the best.
        notes: what a reader should know.
        protocol: among which items was ranked, as metrics.json describes it; None for all items.
        part: the group of users or items that it is of; None for all.
    """

    split: str
    metrics: tuple[str, ...]
    groups: tuple[GroupResult, ...]
    baseline: str | None = None
    tests: tuple[TestResult, ...] = ()
    correction: str = "holm"
    best: Mapping[str, str] = field(default_factory=dict)
    undistinguished: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    protocol: Mapping[str, Any] | None = None
    part: Part | None = None

    def document(self) -> dict[str, Any]:
        """Return what `recrun compare --json` prints; numbers are not rounded."""
        return {
            "split": self.split,
            **({} if self.protocol is None else {"protocol": dict(self.protocol)}),
            **({} if self.part is None else {"part": self.part.name, "of": self.part.of}),
            "metrics": list(self.metrics),
            "groups": [
                {
                    "name": group.name,
                    "runs": list(group.runs),
                    "n_seeds": group.n_seeds,
                    "mean": dict(group.mean),
                    "sd": dict(group.sd),
                }
                for group in self.groups
            ],
            "baseline": self.baseline,
            "correction": self.correction,
            "tests": [
                {
                    "group": each.group,
                    "metric": each.metric,
                    "difference": each.difference,
                    "interval": list(each.interval),
                    "p": each.p,
                    "p_corrected": each.p_corrected,
                    "effect": each.effect,
                    "test": each.test,
                    "over": each.over,
                    "n": each.n,
                    "n_seeds": list(each.n_seeds),
                    "paired_seeds": each.is_paired,
                }
                for each in self.tests
            ],
            "best": dict(self.best),
            "undistinguished": {metric: list(names) for metric, names in self.undistinguished.items()},
            "notes": list(self.notes),
        }


def number_or_none(value: float) -> Number:
    """Return a number for JSON, None for one that is NaN or infinite."""
    return float(value) if math.isfinite(value) else None
