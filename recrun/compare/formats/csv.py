"""Write a comparison as CSV: a row for each metric and group, with unrounded numbers."""

from __future__ import annotations

import csv as files
import io
from collections.abc import Iterator
from typing import Any, Final

from recrun.compare.comparison import Comparison

HEADS: Final = (
    "split",
    "metric",
    "group",
    "n_seeds",
    "mean",
    "sd",
    "is_best",
    "is_close",
    "baseline",
    "difference",
    "low",
    "high",
    "p",
    "p_corrected",
    "correction",
    "effect",
    "test",
    "over",
    "n",
)


def csv(*comparisons: Comparison) -> str:
    """Return a table with a header row; what is not known, as the tests of the baseline, is empty.

    Comparisons for groups of users or items have a further column, the group.
    """
    text = io.StringIO()
    writer = files.writer(text, lineterminator="\n")
    writer.writerow([*HEADS, *(["part"] if comparisons[0].part else [])])
    for comparison in comparisons:
        part = [comparison.part.name] if comparison.part else []
        writer.writerows([*row, *part] for row in _rows(comparison))
    return text.getvalue()


def _rows(comparison: Comparison) -> Iterator[list[Any]]:
    tests = {(test.metric, test.group): test for test in comparison.tests}
    for metric in comparison.metrics:
        close = comparison.undistinguished.get(metric, ())
        for group in comparison.groups:
            row: list[Any] = [comparison.split, metric, group.name, group.n_seeds, group.mean[metric], group.sd[metric]]
            row += [_word(group.name == comparison.best.get(metric)), _word(group.name in close)]
            test = tests.get((metric, group.name))
            if test is not None:
                row += [comparison.baseline, test.difference, *test.interval, test.p, test.p_corrected]
                row += [comparison.correction, test.effect, test.test, test.over, test.n]
            yield row + [None] * (len(HEADS) - len(row))


def _word(is_so: bool) -> str:
    return "true" if is_so else "false"
