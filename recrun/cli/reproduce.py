"""`recrun reproduce`: repeat a run and compare every number."""

from __future__ import annotations

import sys
from typing import Any

import click

from recrun.cli._options import (
    Folder,
    completes,
    debug_option,
    echo,
    json_option,
    print_json,
    shown_detail,
    trust_option,
    verbosity_options,
    work_done,
)


@click.command("reproduce")
@click.argument("run", metavar="RUN", shell_complete=completes("runs"))
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE ...]", shell_complete=completes("settings"))
@click.option("--runs", metavar="DIR", type=Folder(), help="Folder for the new run [default: that of RUN].")
@trust_option
@json_option
@verbosity_options
@debug_option
def command(
    run: str, settings: tuple[str, ...], runs: str | None, trust: bool, as_json: bool, quiet: bool, loud: bool
) -> None:
    """Repeat a run in a new run folder and compare every number.

    The new run uses the config, threads and device of RUN. KEY=VALUE changes settings that do not affect results, such
    as root where the data has moved. The exit code is 0 if all numbers are equal to the last digit. Otherwise it is 1,
    and the command reports what has changed: data (by file), code, versions, machine. If the data has changed, nothing
    is trained.

    \b
    Example:
        recrun reproduce runs/latest
    """
    from recrun.workflows.reproduce import reproduce

    detail = shown_detail(list(settings), quiet, loud)
    document = reproduce(run, settings, runs=runs, trust=trust, verbose=detail)
    new = document["reproduction"]
    with work_done(f"the new run is done: {new}" if new else ""):
        if as_json:
            print_json(document)
        else:
            _print(document)
    sys.exit(0 if document["equal"] else 1)


def _print(document: dict[str, Any]) -> None:
    if document["equal"]:
        echo(f"reproduced: all {document['compared']} numbers are equal, in {document['reproduction']}")
        return
    from recrun.report.terminal.console import stdout_console
    from recrun.report.terminal.tables import table

    differences = document["differences"]
    if document["reproduction"] is None:
        echo("not reproduced: what it was made from has changed, so nothing was trained")
    else:
        echo(f"not reproduced: {len(differences)} of {document['compared']} numbers differ")
        rows = [(each["where"], repr(each["then"]), repr(each["now"])) for each in differences[:20]]
        stdout_console().print(table(None, ("number", "then", "now"), rows))
        if len(differences) > len(rows):
            echo(f"... and {len(differences) - len(rows)} more (--json lists all)")
    echo("changed since then:" if document["reasons"] else "no change is known that could explain this")
    for reason in document["reasons"]:
        echo(f"  {reason}")
