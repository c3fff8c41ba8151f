"""A comparison of runs as an object: its groups, and the tests of their differences."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from recrun.errors import ConfigError, Fault
from recrun.notebook.html import markup, near
from recrun.notebook.run import Run
from recrun.notebook.sweep import Sweep
from recrun.notebook.wording import worded

if TYPE_CHECKING:
    import polars as pl

    from recrun.compare.comparison import Comparison as Compared

Comparable: TypeAlias = "Run | Sweep | str | os.PathLike[str]"
"""What can be compared: runs, the trials of sweeps, folders of these, and conditions on runs."""


class Comparison:
    """Groups of runs that differ in their seeds alone, and tests of their differences. `recrun.compare` makes it.

    Args:
        found: the comparison; several, if runs are compared for groups of users or items.
    """

    def __init__(self, found: Sequence[Compared]) -> None:
        self._found = tuple(found)

    @property
    def groups(self) -> pl.DataFrame:
        """The groups, a row for each metric and group, best first by the first metric.

        The columns are `metric`, `group`, `n_seeds`, `mean` and `sd` over seeds (null for one seed), and `best`; with
        `by`, the `part` comes first.
        """
        import polars as pl

        rows = [
            {
                **_part(each),
                "metric": metric,
                "group": group.name,
                "n_seeds": group.n_seeds,
                "mean": group.mean[metric],
                "sd": group.sd[metric],
                "best": each.best.get(metric) == group.name,
            }
            for each in self._found
            for metric in each.metrics
            for group in each.groups
        ]
        return pl.DataFrame(rows, schema_overrides={"mean": pl.Float64, "sd": pl.Float64})

    @property
    def tests(self) -> pl.DataFrame:
        """The tests of each group against the baseline, a row for each metric and group; no rows without tests.

        The columns are `metric`, `group`, `baseline`, `difference`, `low` and `high` (the 95 % interval), `p`,
        `p_corrected`, `effect`, `test`, `over` and `n`; with `by`, the `part` comes first.
        """
        import polars as pl

        numbers = ("difference", "low", "high", "p", "p_corrected", "effect")
        texts = ("metric", "group", "baseline", "test", "over")
        heads = ["metric", "group", "baseline", *numbers, "test", "over", "n"]
        heads = [*(_part(self._found[0])), *heads]
        rows = [
            {
                **_part(each),
                "metric": test.metric,
                "group": test.group,
                "baseline": each.baseline,
                "difference": test.difference,
                "low": test.interval[0],
                "high": test.interval[1],
                "p": test.p,
                "p_corrected": test.p_corrected,
                "effect": test.effect,
                "test": test.test,
                "over": test.over,
                "n": test.n,
            }
            for each in self._found
            for test in each.tests
        ]
        kinds: dict[str, Any] = {**dict.fromkeys(numbers, pl.Float64), **dict.fromkeys((*texts, "part"), pl.String)}
        return pl.DataFrame(rows, schema={head: kinds.get(head, pl.Int64) for head in heads})

    @property
    def notes(self) -> list[str]:
        """What a reader should know, such as runs that were left out."""
        return list(dict.fromkeys(note for each in self._found for note in each.notes))

    @worded
    def to(self, format: Literal["md", "latex", "csv", "html", "json"]) -> str:
        """Return the comparison as a text to write to a file.

        Args:
            format: "md" for Markdown, "latex", "csv", "html" for a whole page, or "json".

        Raises:
            ConfigError: there is no such format.
        """
        from recrun.compare.formats.write import text

        return text(self._found, format)

    def __repr__(self) -> str:
        first = self._found[0]
        names = ", ".join(group.name for group in first.groups)
        return f"Comparison({len(first.groups)} groups on {first.split}: {names})"

    def _repr_html_(self) -> str:
        from recrun.compare.formats.html import body

        return markup(*body(*self._found))


@worded
def compare(
    compared: Comparable | Iterable[Comparable],
    *,
    baseline: Run | str | None = None,
    metrics: str | Sequence[str] = (),
    split: Literal["test", "valid"] = "test",
    test: Literal["t", "wilcoxon", "permutation", "bootstrap"] = "t",
    over: Literal["users", "seeds", "both"] | None = None,
    correction: Literal["holm", "bh", "none"] = "holm",
    descriptive: bool = False,
    by: str | None = None,
    runs: str | os.PathLike[str] = "runs",
) -> Comparison:
    """Compare groups of finished runs, and test their differences; runs that differ in their seed alone are one group.

    Args:
        compared: runs, sweeps, paths of these or of folders that hold runs, and conditions such as "dataset=Synthetic",
            which all runs must meet.
        baseline: the group with which the others are compared: one of its runs, or its name; None for the best one.
        metrics: the metrics; empty for all that every run has.
        split: which numbers.
        test: how differences are tested.
        over: what varies in a test; None for "both" where each group has several seeds, and "users" otherwise.
        correction: how p values are corrected for the number of tests.
        descriptive: show numbers without tests, also of runs that do not compare.
        by: compare for each group of users or items: a grouping of the runs, as "gender", or one group, as "gender=F".
        runs: the folder of runs that is meant where only conditions are given.

    Raises:
        ConfigError: the runs do not compare, or not in this way.
        CheckpointError: a run is damaged.
    """
    from recrun.compare.compare import How, compare_by
    from recrun.compare.compare import compare as compare_runs

    choices = {
        "split": (split, ("test", "valid")),
        "test": (test, ("t", "wilcoxon", "permutation", "bootstrap")),
        "over": (over, (None, "users", "seeds", "both")),
        "correction": (correction, ("holm", "bh", "none")),
    }
    faults = [
        Fault(f"expected one of {', '.join(str(each) for each in allowed)}, found {given!r}", name)
        for name, (given, allowed) in choices.items()
        if given not in allowed
    ]
    if faults:
        raise ConfigError(faults)
    asked = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    against = str(baseline.path) if isinstance(baseline, Run) else baseline
    how = How(against, asked, split, test, over, correction, descriptive)
    arguments = _arguments(compared)
    folder = os.fspath(runs)
    return Comparison([compare_runs(arguments, folder, how)] if by is None else compare_by(arguments, by, folder, how))


def _arguments(compared: Any) -> list[str]:
    """Return what is compared as paths and conditions.

    Raises:
        ConfigError: something cannot be compared, or there is nothing.
    """
    single = isinstance(compared, (str, os.PathLike))
    found = []
    for each in [compared] if single else compared:
        if isinstance(each, (str, os.PathLike)):
            found.append(near(os.fspath(each)) if isinstance(each, (Run, Sweep)) else os.fspath(each))
        else:
            raise ConfigError(f"expected runs, sweeps, paths or conditions to compare, found a {type(each).__name__}")
    if not found:
        raise ConfigError("there is nothing to compare; give runs, sweeps, paths or conditions")
    return found


def _part(compared: Compared) -> dict[str, str]:
    return {} if compared.part is None else {"part": compared.part.name}
