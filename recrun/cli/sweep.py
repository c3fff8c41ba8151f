"""`recrun sweep`: train on every point of a grid and compare the trials on validation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from recrun.cli._options import debug_option, json_option, print_json, runs_option, verbosity_options


@click.command("sweep")
@click.argument("arguments", nargs=-1, metavar="[CONFIG] KEY=V1,V2 ... [KEY=VALUE ...]")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Trials that run at once.")
@runs_option
@json_option
@verbosity_options
@debug_option
def command(arguments: tuple[str, ...], jobs: int, runs: str, as_json: bool, quiet: bool, loud: bool) -> None:
    """Train on every point of a grid and rank trials on validation.

    A key with several values is an axis of the grid; a key with one value is the same in all trials. Commas inside
    [...], {...} or quotes belong to the value. Each trial is a `recrun train` of its own, and none reads test.

    Repeat the command to continue a sweep: finished trials are kept, failed and interrupted ones are run again.

    \b
    Example:
        recrun sweep bprmf lr=1e-3,1e-4 embedding_dim=32,64 epochs=20 --jobs 2
    """
    from recrun.report.terminal.console import stderr_console, stdout_console
    from recrun.sweep.engines import LocalEngine
    from recrun.sweep.ledger import Ledger
    from recrun.sweep.plan import plan_sweep
    from recrun.sweep.run import run_sweep
    from recrun.sweep.view import closing_lines, result_table, view_of

    if quiet and loud:
        raise click.UsageError("-q and -v contradict each other")
    config, settings = split_config(arguments)
    plan = plan_sweep(config, settings)
    jobs = min(jobs, len(plan.trials))
    view = view_of(stderr_console(), verbose=0 if quiet else 2 if loud else 1)
    with Ledger(plan, Path(runs)) as ledger:
        engine = LocalEngine(jobs, inherited=[ledger.lock_descriptor])
        exit_code = run_sweep(ledger, engine, jobs, listener=view)
    if as_json:
        print_json(ledger.document())
    else:
        output = stdout_console()
        output.print(result_table(ledger))
        for line in closing_lines(ledger):
            output.print(line, soft_wrap=True)
    sys.exit(exit_code)


def split_config(arguments: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Return the CONFIG that stands first, if one does, and the settings after it."""
    if arguments and "=" not in arguments[0]:
        return arguments[0], arguments[1:]
    return None, arguments
