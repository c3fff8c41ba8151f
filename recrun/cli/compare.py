"""`recrun compare`: compare finished runs, with tests of their differences."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from recrun.cli._options import (
    completes,
    debug_option,
    echo,
    json_option,
    print_json,
    print_notes,
    runs_option,
)

if TYPE_CHECKING:
    from recrun.compare.comparison import Comparison

_FORMATS: Final = ("table", "md", "latex", "csv", "html", "json")
_ENDINGS: Final = {".md": "md", ".tex": "latex", ".csv": "csv", ".html": "html", ".json": "json"}


@click.command("compare")
@click.argument(
    "arguments", nargs=-1, required=True, metavar="RUN|SWEEP|DIR|CONDITION ...", shell_complete=completes("runs")
)
@click.option("--baseline", metavar="GROUP|RUN", help="Compare with this group: its name or one of its runs.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Compare this metric; repeatable.")
@click.option("--split", type=click.Choice(["test", "valid"]), default="test", show_default=True, help="Which numbers.")
@click.option(
    "--test",
    type=click.Choice(["t", "wilcoxon", "permutation", "bootstrap"]),
    default="t",
    show_default=True,
    help="How differences are tested.",
)
@click.option(
    "--over",
    type=click.Choice(["users", "seeds", "both"]),
    help="What varies in a test: users, seeds, or both.  [default: both; users where a group has one seed]",
)
@click.option(
    "--correction",
    type=click.Choice(["holm", "bh", "none"]),
    default="holm",
    show_default=True,
    help="How p values are corrected for the number of tests.",
)
@click.option("--descriptive", is_flag=True, help="Show numbers without tests, also of runs that do not compare.")
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
    split: str,
    test: str,
    over: str | None,
    correction: str,
    descriptive: bool,
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
        _refuse_place(to)
    if descriptive:
        _refuse_tests()
    from recrun.compare.compare import How, compare

    asked = tuple(name.strip() for text in metrics for name in text.split(",") if name.strip())
    if metrics and not asked:
        raise click.UsageError("--metric: expected the name of a metric, such as ndcg@20")
    how = How(baseline, asked, split, test, over, correction, descriptive)  # type: ignore[arg-type]
    comparison = compare(arguments, runs, how)
    if to is not None:
        _write(to, _text(comparison, kind))
        echo(f"wrote {to}", err=True)
    elif kind == "table":
        _print(comparison)
    elif kind == "json":
        print_json(comparison.document())
    else:
        echo(_text(comparison, kind), nl=False)
    if kind != "table":
        print_notes(comparison.notes)


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


def _refuse_place(path: str) -> None:
    """Refuse to write where something else than a file is, which would be replaced.

    Raises:
        click.UsageError: there is a link, FIFO, device or the like.
    """
    if os.path.islink(path):
        raise click.UsageError(f"--to {path}: it is a symbolic link; name the file itself")
    if os.path.lexists(path) and not os.path.isfile(path):
        raise click.UsageError(f"--to {path}: it is not a regular file")


def _refuse_tests() -> None:
    """Refuse options that say how to test, where nothing is tested."""
    context = click.get_current_context()
    by_default = click.core.ParameterSource.DEFAULT
    names = ("baseline", "test", "over", "correction")
    given = [f"--{name}" for name in names if context.get_parameter_source(name) is not by_default]
    if given:
        raise click.UsageError(f"--descriptive tests nothing; leave out either it or {', '.join(given)}")


def _print(comparison: Comparison) -> None:
    """Print the tables, and below them how the comparison was made."""
    from recrun.compare.formats.blocks import blocks
    from recrun.compare.formats.captions import captions
    from recrun.report.terminal.comparison import BEST, CLOSE, block_table
    from recrun.report.terminal.console import in_ascii, stdout_console
    from recrun.report.terminal.tables import Prose

    console = stdout_console()
    for block in blocks(comparison):
        console.print(block_table(block))
        console.print()
    for text in captions(comparison, in_ascii(BEST, console.options.ascii_only), CLOSE):
        console.print(Prose(text, "dim"))
    for note in comparison.notes:
        console.print(Prose(f"note: {note}"))


def _text(comparison: Comparison, kind: str) -> str:
    """Return the comparison as the content of a file."""
    from recrun.compare.formats.csv import csv
    from recrun.compare.formats.html import html
    from recrun.compare.formats.latex import latex
    from recrun.compare.formats.markdown import markdown
    from recrun.files import to_json

    if kind == "json":
        return to_json(comparison.document(), indent=2) + "\n"
    writers = {"md": markdown, "latex": latex, "csv": csv, "html": html}
    return writers[kind](comparison)


def _write(path: str, content: str) -> None:
    """Write a file atomically.

    Raises:
        RecrunError: it cannot be written.
    """
    from recrun.errors import RecrunError
    from recrun.files import atomic_write

    try:
        atomic_write(path, content)
    except OSError as error:
        raise RecrunError(f"cannot write {path}: {error.strerror}") from None
