"""`recrun recommend`: write the items that a trained model recommends."""

from __future__ import annotations

import os
from typing import Any, Literal

import click

from recrun.cli._options import (
    as_of_option,
    checkpoint_option,
    completes,
    debug_option,
    echo,
    json_option,
    print_json,
    print_notes,
    quiet_option,
    split_arguments,
    trust_option,
    work_done,
)
from recrun.cli._output_file import refuse_place

_MOST_SHOWN = 50
"""The most users whose lists are shown on a terminal."""


@click.command("recommend")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE ...]", shell_complete=completes("settings"))
@checkpoint_option
@click.option("--users", metavar="FILE|ID,...|all", help="Users of the data: a file that lists them, or their ids.")
@click.option(
    "--histories", metavar="FILE", type=click.Path(), help="Interactions of new users, to recommend to these instead."
)
@click.option("-k", "k", type=click.IntRange(min=1), default=20, show_default=True, help="Items of each list.")
@click.option("--to", metavar="FILE", type=click.Path(), help="File to write: .parquet, .csv or .jsonl.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="seen|none|FILE",
    help="Items that are left out: those seen before, or those of a file. May be repeated.  [default: seen]",
)
@click.option("--items", metavar="FILE", type=click.Path(), help="The only items that are recommended, in a file.")
@as_of_option("test")
@click.option("--scores/--no-scores", default=True, help="Whether there is a column of scores.  [default: scores]")
@click.option("--skip-unknown", is_flag=True, help="Leave out ids that the data does not have.")
@trust_option
@json_option
@quiet_option
@debug_option
def command(
    overrides: tuple[str, ...],
    checkpoint: str,
    users: str | None,
    histories: str | None,
    k: int,
    to: str | None,
    exclude: tuple[str, ...],
    items: str | None,
    as_of: Literal["valid", "test", "end"],
    scores: bool,
    skip_unknown: bool,
    trust: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Recommend items to users, with a trained model.

    The lists are those that the evaluation ranks: exact, and without the items that a user has seen. Users and items
    have their original ids. With --as-of end, all interactions of the data are known, as is usual for production; with
    --as-of test those of test are not, so that the lists can be evaluated on it.

    KEY=VALUE changes where the data is and how lists are computed: root, device, threads, eval_memory.

    \b
    Example:
        recrun recommend --checkpoint runs/latest --as-of end -k 10 --to recommendations.csv
    """
    if users is not None and histories is not None:
        raise click.UsageError("--users names users of the data, --histories new ones; give only one of the two")
    config, given = split_arguments(overrides)
    if config is not None:
        raise click.UsageError(f"expected KEY=VALUE, found {config!r}; the run's own config is used")
    if to is not None:
        refuse_place(to)
    from pathlib import Path

    from recrun.report.terminal.console import stderr_console, stdout_console
    from recrun.report.terminal.progress import progress_bar
    from recrun.workflows.recommend import Wish, recommend

    wish = Wish(
        users=_users(users),
        histories=None if histories is None else Path(histories),
        k=k,
        exclude=exclude or ("seen",),
        items=None if items is None else Path(items),
        as_of=as_of,
        skip_unknown=skip_unknown,
        scores=scores,
    )
    found = recommend(checkpoint, wish, given, to=None if to is None else Path(to), trust=trust)
    print_notes(found.notes)
    if to is None and not as_json and len(found.targets) > _MOST_SHOWN:
        raise click.UsageError(
            f"lists of {len(found.targets):,} users are too long to be shown; write them to a file (--to "
            f"FILE.parquet), name up to {_MOST_SHOWN} users (--users), or use --json"
        )
    with progress_bar(stderr_console(), "ranking users", is_quiet=quiet) as progress:
        document: dict[str, Any] = found.document(progress) if to is None else found.write(Path(to), progress)
    print_notes(document["notes"][len(found.notes) :])
    with work_done("" if to is None else f"wrote {to}"):
        if as_json:
            print_json(document)
        elif to is not None:
            if not quiet:
                echo(f"wrote {to} ({document['rows']:,} rows, {document['users']:,} users)")
        else:
            from recrun.report.terminal.recommendations import lists_table

            stdout_console().print(lists_table(document))


def _users(text: str | None) -> Any:
    """Return whom --users names: "all", a file, or ids.

    Raises:
        click.UsageError: it names no one.
    """
    from pathlib import Path

    if text is None or text == "all":
        return "all"
    if os.path.isfile(text):
        if os.sep not in text and "." not in text:
            raise click.UsageError(
                f"--users {text}: is it the file of that name, or a user? Write ./{text} for the file, "
                f"{text}, (with the comma) for the user"
            )
        return Path(text)
    if os.sep in text or text.lower().endswith((".csv", ".tsv", ".txt", ".parquet", ".jsonl")):
        raise click.UsageError(f"--users {text}: there is no such file")
    ids = [each.strip() for each in text.split(",") if each.strip()]
    if not ids:
        raise click.UsageError("--users: expected a file, ids of users, or all")
    return ids
