"""Say how a comparison was made, in sentences that stand below its tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from recrun.compare.comparison import Comparison, TestResult
from recrun.evaluation.protocol_text import protocol_text
from recrun.registry.user_files import short_name
from recrun.report.terminal.lines import counted

_TESTS: Final = {
    "t": "t test",
    "wilcoxon": "Wilcoxon's rank test",
    "permutation": "permutation test",
    "bootstrap": "bootstrap",
}
_OVER: Final = {"users": "over users", "seeds": "over seeds", "both": "over users and seeds"}
_CORRECTIONS: Final = {
    "holm": "corrected by Holm's method for {n}",
    "bh": "corrected by the method of Benjamini and Hochberg for {n}",
    "none": "not corrected for the number of tests",
}
NAMES: Final = {"holm": "p Holm", "bh": "p BH", "none": "p"}
"""The heading of corrected p values."""


def means_caption(comparison: Comparison) -> str:
    """Return what the table of means shows."""
    seeds = sorted({group.n_seeds for group in comparison.groups})
    n_seeds = f"{seeds[0]} to {seeds[-1]} seeds" if len(seeds) > 1 else counted(seeds[0], "seed")
    users = sorted({test.n for test in comparison.tests if test.over != "seeds"})
    over = f"{users[-1]:,} users, " if users else ""
    spread = " (standard deviation over seeds)" if seeds[-1] > 1 else ""
    part = "validation" if comparison.split == "valid" else "test"
    ranked = protocol_text(comparison.protocol)
    group = "" if comparison.part is None else f" for the {comparison.part.of} of {comparison.part.name}"
    return f"Means on {part}{group}{spread}: {over}{n_seeds} of each group{f', {ranked}' if ranked else ''}."


def marks_caption(comparison: Comparison, best: str, close: str) -> str:
    """Return what the marks mean, "" without any.

    Args:
        comparison: the comparison.
        best: how the best are marked.
        close: how those are marked that cannot be told from the best.
    """
    if not comparison.best:
        return ""
    if not comparison.tests:
        return f"{best}: best."
    p = "p" if comparison.correction == "none" else "corrected p"
    return f"{best}: best. {close}: not distinguishable from the best ({p} >= 0.05)."


def tests_caption(comparison: Comparison) -> str:
    """Return how the differences were tested, "" if they were not."""
    if not comparison.tests:
        return ""
    kinds = "; ".join(dict.fromkeys(_kind(comparison.tests, over) for over in _overs(comparison.tests)))
    n_tests = sum(test.p is not None for test in comparison.tests)
    correction = _CORRECTIONS[comparison.correction].format(n=counted(n_tests, "test"))
    interval = {"wilcoxon": " (of the t test)", "permutation": " (of the t test)"}.get(comparison.tests[0].test, "")
    return (
        f"Differences to {comparison.baseline} with 95 % intervals{interval}: {kinds}; p values {correction}. "
        f"Effects: {_effects(comparison.tests)}."
    )


def choice_caption(comparison: Comparison) -> str:
    """Return why a test is over what it is over, "" where that needs no word."""
    overs = _overs(comparison.tests)
    if "both" in overs:
        return (
            "Tests over users and seeds ask whether a difference holds for other users and other seeds; over users "
            "alone, or seeds alone, tests find differences too often where there are none."
        )
    if "users" in overs and any(max(test.n_seeds) > 1 for test in comparison.tests):
        return "Tests over users alone take the seeds for all there are, and find differences too often."
    if "seeds" in overs and any(test.over == "seeds" and test.n_seeds[0] > 1 for test in comparison.tests):
        return "Tests over seeds alone take the users for all there are, and find differences too often."
    return ""


def captions(comparison: Comparison, best: str, close: str) -> Iterator[str]:
    """Yield all of these that say something; arguments as for `marks_caption`."""
    lines = [means_caption(comparison), marks_caption(comparison, best, close), tests_caption(comparison)]
    yield from filter(None, [*lines, choice_caption(comparison)])


def _overs(tests: Sequence[TestResult]) -> list[str]:
    return list(dict.fromkeys(test.over for test in tests))


def _kind(tests: Sequence[TestResult], over: str) -> str:
    """Return how the tests over something were made."""
    of_kind = [test for test in tests if test.over == over]
    paired = {test.is_paired for test in of_kind}
    pairs = "" if over == "users" or len(paired) > 1 else "paired seeds" if True in paired else "different seeds"
    seeds = sorted({n for test in of_kind for n in test.n_seeds})
    n_seeds = counted(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    users = sorted({test.n for test in of_kind})
    n_users = "" if over == "seeds" else f"{users[-1]:,} users"
    counts = ", ".join(filter(None, [n_users, n_seeds if over != "users" or seeds[-1] > 1 else "", pairs]))
    averaged = ", averaged over seeds" if over == "users" and seeds[-1] > 1 else ""
    several = len(_overs(tests)) > 1
    metrics = ", ".join(short_name(metric) for metric in dict.fromkeys(test.metric for test in of_kind))
    which = f" of {metrics}" if several else ""
    return f"{_TESTS[of_kind[0].test]} {_OVER[over]}{which} ({counts}{averaged})"


def _effects(tests: Sequence[TestResult]) -> str:
    if tests[0].test == "wilcoxon":
        return "rank-biserial correlation"
    of = {"users": "the users' differences", "both": "the users' differences", "seeds": "the seeds"}
    return "in standard deviations of " + " or ".join(dict.fromkeys(of[over] for over in _overs(tests)))
