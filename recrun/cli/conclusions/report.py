"""`recrun report`: write a page on finished runs or a sweep."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recrun.cli._options import debug_option, echo, json_option, names_of_metrics, print_json, print_notes, runs_option
from recrun.cli._output_file import refuse_place, write
from recrun.cli.conclusions._shared import (
    comparison_options,
    refuse_tests,
    runs_argument,
    test_options_given,
)

if TYPE_CHECKING:
    from recrun.compare.entry import Split


@click.command("report")
@runs_argument
@click.option(
    "--to",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    default="report.html",
    show_default=True,
    help="Write the page to FILE.",
)
@click.option("--title", metavar="TEXT", help="Title of the page.")
@comparison_options(None)
@runs_option
@json_option
@debug_option
def command(
    arguments: tuple[str, ...],
    to: str,
    title: str | None,
    baseline: str | None,
    metrics: tuple[str, ...],
    split: Split | None,
    test: str,
    over: str | None,
    correction: str,
    descriptive: bool,
    runs: str,
    as_json: bool,
) -> None:
    """Write a page of HTML on finished runs or a sweep.

    The page is one file that needs no network: tables that sort, curves, differences with intervals, bars of groups of
    users and items; of a sweep also its axes and how much each matters. Runs, sweeps and options are those of `recrun
    compare`. Where runs do not compare, the page says why, and shows their numbers without tests.

    \b
    Example:
        recrun report dataset=MovieLens100K --to report.html
    """
    if Path(to).suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(f"--to {to}: a report is a page; expected a name that ends in .html")
    if title is not None and not title.strip():
        raise click.UsageError("--title: expected a text, found nothing")
    refuse_place(to)
    if descriptive:
        refuse_tests()
    asked = names_of_metrics(metrics)
    from recrun.compare.compare import How
    from recrun.compare.report.build import report
    from recrun.compare.report.material import gather
    from recrun.report.terminal.lines import counted

    how = How(baseline, asked, split or "test", test, over, correction, descriptive)
    material = gather(arguments, runs, how, split, is_asked=bool(test_options_given()))
    write(to, report(material, to, title))
    comparison, n_bytes = material.comparison, os.path.getsize(to)
    notes = [*([f"no tests: {material.reason}"] if material.reason else []), *comparison.notes, *material.notes]
    if as_json:
        document = {
            "report": to,
            "bytes": n_bytes,
            "split": comparison.split,
            "groups": material.names,
            "runs": len(material.runs),
            "tests": len(comparison.tests),
            "reason": material.reason or None,
            "notes": notes,
        }
        print_json(document)
        return
    print_notes(notes)
    echo(f"wrote {to} ({n_bytes / 1000:,.0f} KB, {counted(len(material.runs), 'run')})", err=True)
