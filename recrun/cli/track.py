"""`recrun track`: deliver runs to experiment trackers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from recrun.cli._options import (
    completes,
    debug_option,
    echo,
    json_option,
    print_json,
    trust_option,
    work_done,
)


@click.group("track")
def command() -> None:
    """Deliver runs to experiment trackers.

    \b
    Example:
        recrun track push runs/latest
    """


@command.command("push")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completes("runs"))
@click.option(
    "--to",
    multiple=True,
    metavar="TRACKER",
    help="Deliver to this tracker, whatever the run's `track` names; repeatable.",
)
@trust_option
@json_option
@debug_option
def push_command(runs: tuple[str, ...], to: tuple[str, ...], trust: bool, as_json: bool) -> None:
    """Deliver what trackers do not have of RUN.

    A tracker that was down while a run was trained lacks some or all of it. The run folder holds everything, and how
    far each tracker has come: only what is missing is sent, so the command may be repeated. Without --to, the trackers
    are those that the run names in `track`.

    The exit code is 1 if a tracker cannot be reached.

    \b
    Example:
        recrun track push runs/latest
        recrun track push runs/BPRMF/Synthetic/* --to mlflow
    """
    from recrun.workflows.push import push

    documents = push(runs, to, trust=trust)
    n_failed = sum(each["problem"] is not None for each in documents)
    with work_done(f"{len(documents) - n_failed} of {len(documents)} deliveries are done"):
        if as_json:
            print_json(documents)
        for each in () if as_json else documents:
            if each["problem"] is not None:
                echo(f"{each['run']}: {each['tracker']}: {each['problem']}", err=True)
                continue
            echo(f"{each['run']}: {each['tracker']}: {_done(each)}")
    sys.exit(1 if n_failed else 0)


def _done(document: Mapping[str, Any]) -> str:
    """Return what was delivered, in words."""
    if document["by_run"]:
        return "the run is still being trained, and delivers to it itself"
    what = f"{document['sent']} epochs and evaluations sent" if document["sent"] else "nothing was missing"
    if document["end_sent"]:
        what = f"{what}, and the end" if document["sent"] else "the end was sent"
    return what if document["complete"] else f"{what}; the run is still being trained"
