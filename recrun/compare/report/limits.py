"""Say how much of each thing a report shows, so that the page stays small."""

from __future__ import annotations

from dataclasses import dataclass

MOST_BYTES = 500_000
"""The most bytes of a page."""


@dataclass(frozen=True)
class Limits:
    """How much is shown; what is left out is counted where it would stand.

    Args:
        rows: rows of a table.
        metrics: metrics in tables, and settings that differ.
        groups: groups in figures.
        lines: lines of a figure.
        points: points of all the lines of curves together.
        trials: trials in figures of a sweep.
        categories: groups of users or items in a figure.
    """

    rows: int = 200
    metrics: int = 24
    groups: int = 24
    lines: int = 60
    points: int = 8_000
    trials: int = 400
    categories: int = 24

    def smaller(self) -> Limits:
        """Return limits for a page of about half the size."""
        return Limits(
            rows=max(self.rows // 2, 5),
            metrics=max(self.metrics // 2, 2),
            groups=max(self.groups // 2, 4),
            lines=max(self.lines // 2, 6),
            points=max(self.points // 2, 200),
            trials=max(self.trials // 2, 20),
            categories=max(self.categories // 2, 4),
        )


def cut(n_shown: int, n_all: int, what: str) -> str:
    """Return a sentence on what is left out, "" if nothing is.

    >>> cut(200, 1234, "runs")
    'Shown are 200 of 1,234 runs.'
    """
    return f"Shown are {n_shown:,} of {n_all:,} {what}." if n_shown < n_all else ""
