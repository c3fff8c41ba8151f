"""`recrun doctor`: check the installation and the machine."""

from __future__ import annotations

import sys
from dataclasses import asdict
from itertools import groupby

import click

from recrun.cli._options import Folder, debug_option, echo, json_option, print_json, runs_option

_MARKS = {"ok": " ", "note": "-", "problem": "!"}


@click.command("doctor")
@click.option(
    "--root", default="data", show_default=True, metavar="DIR", type=Folder(), help="Folder that holds the data sets."
)
@runs_option
@json_option
@debug_option
def command(root: str, runs: str, as_json: bool) -> None:
    """Check the installation and the machine.

    Looks at versions, devices, threads, folders, locks, the terminal, extras and what is trusted, and says what to do
    about what is wrong. The exit code is 0 if nothing stops recrun from working, else 1.

    \b
    Example:
        recrun doctor
    """
    # Without rich, which may be what is broken.
    from recrun.report.terminal.lines import counted
    from recrun.upkeep.doctor.examine import examine

    findings = list(examine(runs, root))
    problems = [each for each in findings if each.level == "problem"]
    if as_json:
        print_json({"ok": not problems, "findings": [asdict(each) for each in findings]})
        sys.exit(1 if problems else 0)
    width = max(len(each.name) for each in findings)
    for area, members in groupby(findings, key=lambda each: each.area):
        echo(area)
        for each in members:
            echo(f"{_MARKS[each.level]} {each.name:{width}}  {each.value}", fg=_colour(each.level))
            if each.remedy:
                echo(f"  {'':{width}}  -> {each.remedy}")
    n_notes = sum(each.level == "note" for each in findings)
    notes = f"; {counted(n_notes, 'note')} (-)" if n_notes else ""
    if problems:
        echo(f"{counted(len(problems), 'problem')} (!){notes}")
    else:
        echo(f"nothing stops recrun from working{notes}")
    sys.exit(1 if problems else 0)


def _colour(level: str) -> str | None:
    return {"note": "yellow", "problem": "red"}.get(level)
