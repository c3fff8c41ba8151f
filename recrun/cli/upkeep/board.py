"""`recrun board`: write tables of results from run folders."""

from __future__ import annotations

import click

from recrun.cli._options import (
    completes,
    debug_option,
    echo,
    json_option,
    names_of_metrics,
    print_json,
    print_notes,
    runs_option,
)
from recrun.cli._output_file import refuse_place, write
from recrun.visible import on_one_line


@click.command("board")
@click.argument(
    "what", nargs=-1, required=True, metavar="DIR|RUN|SWEEP|CONDITION|FILE.json ...", shell_complete=completes("runs")
)
@click.option(
    "--to",
    "target",
    default="-",
    show_default=True,
    metavar="FILE",
    help="A page (.md, .html), a file to write pages from (.json), or - for Markdown on stdout.",
)
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Show this metric; repeatable.  [default: all]"
)
@runs_option
@json_option
@debug_option
def command(what: tuple[str, ...], target: str, metrics: tuple[str, ...], runs: str, as_json: bool) -> None:
    """Write tables of results from finished runs.

    A table is of runs on the same parts of a data set. Each row has the model, the mean and the standard deviation of
    its runs on test, published numbers of its config, time and memory, and the command that trains it.

    Arguments name runs as for `recrun compare`. FILE.json holds tables that were written before with --to FILE.json;
    runs are added to them. In a page of Markdown that exists, the tables are replaced and the rest stays.

    \b
    Example:
        recrun board runs --to results.md
    """
    from recrun.errors import ConfigError
    from recrun.upkeep.board.collect import collect
    from recrun.upkeep.board.document import to_document
    from recrun.upkeep.board.pages import content_for, existing, markdown

    if as_json and target != "-":
        raise click.UsageError("--json prints the tables, and --to FILE.json writes them; give only one")
    asked = names_of_metrics(metrics)
    before = None
    if target != "-":
        refuse_place(target)
        before = existing(target)
    tables, notes = collect(what, runs, asked)
    print_notes(map(on_one_line, notes))
    if as_json:
        print_json(to_document(tables))
    elif target == "-":
        echo(markdown(tables), nl=False)
    else:
        content = content_for(target, tables)
        if existing(target) != before:  # by another `recrun board`, whose rows would be lost
            raise ConfigError(f"{target} was changed meanwhile; run the command again")
        write(target, content)
        n_rows = sum(len(table.rows) for table in tables)
        echo(on_one_line(f"{target}: {len(tables)} tables with {n_rows} rows"))
