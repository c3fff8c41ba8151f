"""`recrun compare`: compare finished runs, with tests of their differences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from recrun.cli._options import debug_option, echo, json_option, names_of_metrics, print_json, print_notes, runs_option
from recrun.cli._output_file import refuse_place, write
from recrun.cli.conclusions._shared import (
    comparison_options,
    refuse_tests,
    runs_argument,
)

if TYPE_CHECKING:
    from recrun.compare.comparison import Comparison
    from recrun.compare.entry import Split

_FORMATS: Final = ("table", "md", "latex", "csv", "html", "json")
_ENDINGS: Final = {".md": "md", ".tex": "latex", ".csv": "csv", ".html": "html", ".json": "json"}


@click.command("compare")
@runs_argument
@comparison_options("test")
@click.option("--by", metavar="GROUPING[=GROUP]", help="Compare for each group of users or items: gender, gender=F.")
@click.option("--format", "format_", type=click.Choice(_FORMATS), help="How the result is written.  [default: table]")
@click.option(
    "--to", metavar="FILE", type=click.Path(dir_okay=False), help="Write to FILE; its ending tells the format."
)
@runs_option
@json_option
@debug_option
def command(
    arguments: tuple[str, ...],
    baseline: str | None,
    metrics: tuple[str, ...],
    split: Split,
    test: str,
    over: str | None,
    correction: str,
    descriptive: bool,
    by: str | None,
    format_: str | None,
    to: str | None,
    runs: str,
    as_json: bool,
) -> None:
    """Compare groups of finished runs, and test their differences.

    Runs that differ in their seed alone are one group. Shown are means over seeds, and differences to a baseline with
    intervals and corrected p values. The best group is the baseline, unless --baseline names another.

    Give runs, sweeps, folders of runs, and conditions as of `recrun list runs`; with conditions alone, the runs in
    --runs that meet all of them are compared.

    \b
    Example:
        recrun compare dataset=MovieLens100K --baseline popularity
    """
    kind = _format(format_, to, as_json)
    if to is not None:
        refuse_place(to)
    if descriptive:
        refuse_tests()
    asked = names_of_metrics(metrics)
    from recrun.compare.compare import How, compare, compare_by
    from recrun.compare.formats.write import document, text

    how = How(baseline, asked, split, test, over, correction, descriptive)
    found = [compare(arguments, runs, how)] if by is None else compare_by(arguments, by, runs, how)
    if to is not None:
        write(to, text(found, kind))
        echo(f"wrote {to}", err=True)
    elif kind == "table":
        for comparison in found:
            _print(comparison)
    elif kind == "json":
        print_json(document(found))
    else:
        echo(text(found, kind), nl=False)
    if kind != "table":
        print_notes(list(dict.fromkeys(note for comparison in found for note in comparison.notes)))


def _format(format_: str | None, to: str | None, as_json: bool) -> str:
    """Return the format that was asked for.

    Raises:
        click.UsageError: two were, or the ending of the file tells none.
    """
    if as_json and format_ not in (None, "json"):
        raise click.UsageError(f"--json and --format {format_} exclude each other; give only one")
    asked = "json" if as_json else format_
    if to is not None and asked == "table":
        raise click.UsageError("a table is for the terminal; --to takes the formats md, latex, csv, html and json")
    if asked is not None or to is None:
        return asked or "table"
    ending = Path(to).suffix.lower()
    if ending not in _ENDINGS:
        known = ", ".join(_ENDINGS)
        raise click.UsageError(f"--to {to}: its ending tells no format ({known}); add --format")
    return _ENDINGS[ending]


def _print(comparison: Comparison) -> None:
    """Print the tables, and below them how the comparison was made."""
    from recrun.compare.formats.blocks import blocks
    from recrun.compare.formats.captions import captions
    from recrun.report.terminal.comparison import BEST, CLOSE, block_table
    from recrun.report.terminal.console import in_ascii, stdout_console
    from recrun.report.terminal.tables import Prose

    console = stdout_console()
    if comparison.part is not None:
        console.print(Prose(comparison.part.name, "bold"))
    for block in blocks(comparison):
        console.print(block_table(block))
        console.print()
    for text in captions(comparison, in_ascii(BEST, console.options.ascii_only), CLOSE):
        console.print(Prose(text, "dim"))
    for note in comparison.notes:
        console.print(Prose(f"note: {note}"))
