"""`recrun similar`: find the items, or users, that a trained model takes to be similar."""

from __future__ import annotations

from typing import Literal

import click

from recrun.cli._options import (
    checkpoint_option,
    completes,
    debug_option,
    json_option,
    print_json,
    print_notes,
    split_arguments,
    trust_option,
)


@click.command("similar")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE ...]", shell_complete=completes("settings"))
@checkpoint_option
@click.option("--item", "items", multiple=True, metavar="ID", help="Find items similar to this one. May be repeated.")
@click.option("--user", "users", multiple=True, metavar="ID", help="Find users similar to this one. May be repeated.")
@click.option("-k", "k", type=click.IntRange(min=1), default=10, show_default=True, help="Entries of each list.")
@click.option("--skip-unknown", is_flag=True, help="Leave out ids that the data does not have.")
@trust_option
@json_option
@debug_option
def command(
    overrides: tuple[str, ...],
    checkpoint: str,
    items: tuple[str, ...],
    users: tuple[str, ...],
    k: int,
    skip_unknown: bool,
    trust: bool,
    as_json: bool,
) -> None:
    """Find the items, or users, most similar to some.

    They are compared by the cosine of their vectors. For a model without vectors, the items similar to an item are
    those that it would recommend to a new user who has this item only.

    KEY=VALUE changes where the data is and how lists are computed: root, device, threads, eval_memory.

    \b
    Example:
        recrun similar --checkpoint runs/latest --item 42
    """
    if bool(items) == bool(users):
        wrong = "both cannot be asked for at once" if items else "one of them is needed"
        raise click.UsageError(f"--item finds similar items, --user similar users; {wrong}")
    config, given = split_arguments(overrides)
    if config is not None:
        raise click.UsageError(f"expected KEY=VALUE, found {config!r}; the run's own config is used")
    from recrun.workflows.recommend import similar

    kind: Literal["item", "user"] = "item" if items else "user"
    document = similar(checkpoint, items or users, kind, k, given, skip_unknown=skip_unknown, trust=trust)
    print_notes(document["notes"])
    if as_json:
        print_json(document)
        return
    from recrun.report.terminal.console import stdout_console
    from recrun.report.terminal.recommendations import similar_table

    stdout_console().print(similar_table(document))
