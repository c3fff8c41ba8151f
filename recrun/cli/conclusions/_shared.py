"""Define the options that choose how runs are compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from recrun.cli._options import completes

F = TypeVar("F", bound=Callable[..., Any])

TEST_OPTIONS = ("baseline", "test", "over", "correction")
"""Options that say how differences are tested."""

runs_argument = click.argument(
    "arguments", nargs=-1, required=True, metavar="RUN|SWEEP|DIR|CONDITION ...", shell_complete=completes("runs")
)


def comparison_options(default_split: str | None) -> Callable[[F], F]:
    """Return a decorator that adds the options of a comparison.

    Args:
        default_split: the split that is compared without --split; None for one that depends on the runs.
    """
    help_of_split = "Which numbers." + ("" if default_split else "  [default: test; valid where runs have no test]")
    options = [
        click.option("--baseline", metavar="GROUP|RUN", help="Compare with this group: its name or one of its runs."),
        click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Compare this metric; repeatable."),
        click.option(
            "--split",
            type=click.Choice(["test", "valid"]),
            default=default_split,
            show_default=True,
            help=help_of_split,
        ),
        click.option(
            "--test",
            type=click.Choice(["t", "wilcoxon", "permutation", "bootstrap"]),
            default="t",
            show_default=True,
            help="How differences are tested.",
        ),
        click.option(
            "--over",
            type=click.Choice(["users", "seeds", "both"]),
            help="What varies in a test: users, seeds, or both.  [default: both; users where a group has one seed]",
        ),
        click.option(
            "--correction",
            type=click.Choice(["holm", "bh", "none"]),
            default="holm",
            show_default=True,
            help="How p values are corrected for the number of tests.",
        ),
        click.option(
            "--descriptive", is_flag=True, help="Show numbers without tests, also of runs that do not compare."
        ),
    ]

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def test_options_given() -> list[str]:
    """Return the options that were given and say how differences are tested."""
    context = click.get_current_context()
    by_default = click.core.ParameterSource.DEFAULT
    return [f"--{name}" for name in TEST_OPTIONS if context.get_parameter_source(name) is not by_default]


def refuse_tests() -> None:
    """Refuse options that say how to test, where nothing is tested.

    Raises:
        click.UsageError: some were given.
    """
    given = test_options_given()
    if given:
        raise click.UsageError(f"--descriptive tests nothing; leave out either it or {', '.join(given)}")
