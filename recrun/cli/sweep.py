"""`recrun sweep`: train on every point of a grid and compare the trials on validation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recrun.cli._hints import with_sweep
from recrun.cli._options import (
    completes,
    debug_option,
    echo,
    json_option,
    print_json,
    print_notes,
    runs_option,
    split_arguments,
    verbosity_options,
    with_verbosity,
    work_done,
)
from recrun.errors import ConfigError

if TYPE_CHECKING:
    from recrun.sweep.plan import Plan


@click.command("sweep")
@click.argument(
    "arguments",
    nargs=-1,
    metavar="[CONFIG] KEY=V1,V2 ... [KEY=VALUE ...]",
    shell_complete=completes("config_and_settings"),
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Trials that run at once.")
@click.option(
    "--engine",
    default="local",
    show_default=True,
    metavar="NAME",
    help="Where trials run: a registered engine, or ./file.py:Name.",
)
@click.option(
    "--engine-setting",
    "engine_settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the engine; repeatable.",
)
@runs_option
@json_option
@verbosity_options
@debug_option
def command(
    arguments: tuple[str, ...],
    jobs: int,
    engine: str,
    engine_settings: tuple[str, ...],
    runs: str,
    as_json: bool,
    quiet: bool,
    loud: bool,
) -> None:
    """Train on every point of a grid and rank them on validation.

    A key with several values is an axis of the grid; a key with one value is the same for all trials. 1..5 is short for
    1,2,3,4,5. Commas inside [...], {...} or quotes belong to the value. Each trial is a separate `recrun train`.

    Seeds and folds (seed, split_seed, test_fold) are repeats: their trials are averaged, never ranked. Settings that
    change the data are not ranked either. A sweep that ranks never evaluates on test; one that has nothing to rank,
    such as a cross-validation, tests each trial once.

    Repeat the command to continue a sweep: finished trials are kept, failed and interrupted ones are run again.

    \b
    Example:
        recrun sweep bprmf lr=1e-3,1e-4 embedding_dim=32,64 epochs=20 --jobs 2
        recrun sweep popularity split=k_fold test_fold=1..5
    """
    from recrun.report.terminal.console import stderr_console, stdout_console
    from recrun.sweep.engines import choose_engine
    from recrun.sweep.ledger import Ledger
    from recrun.sweep.run import run_sweep
    from recrun.sweep.same_data import mixed_files
    from recrun.sweep.view import closing_lines, result_tables, view_of

    config, settings = split_arguments(arguments)
    with_verbosity([], quiet, loud)  # only the check: they set what the sweep shows, not the trials' `verbose`
    make_engine = choose_engine(engine, engine_settings)
    plan = _planned(config, settings)
    print_notes(plan.notes)
    jobs = min(jobs, len(plan.trials))
    view = view_of(stderr_console(), verbose=0 if quiet else 2 if loud else 1)
    with Ledger(plan, Path(runs)) as ledger:
        print_notes(ledger.notes)
        exit_code = run_sweep(ledger, make_engine(jobs, [ledger.lock_descriptor]), jobs, listener=view)
    for name in mixed_files(ledger.rows):
        echo(f"warning: {name} changed during the sweep, so not all trials are of the same data; repeat it", err=True)
    with work_done(f"the sweep's results are in {ledger.folder}"):
        if as_json:
            print_json(ledger.document())
        else:
            output = stdout_console()
            for each in (*result_tables(ledger), *closing_lines(ledger)):
                output.print(each)
    sys.exit(exit_code)


def _planned(config: str | None, settings: list[str]) -> Plan:
    from recrun.config.resolve import resolve
    from recrun.sweep.plan import plan_sweep
    from recrun.sweep.space.arguments import parse_grid

    try:
        return plan_sweep(config, settings)
    except ConfigError as error:
        if not parse_grid(settings)[0].axes and any("=[" in each for each in settings):
            try:
                resolve(config, settings)
            except ConfigError as found:
                raise with_sweep(found, "sweep", config, settings) from None
        raise with_sweep(error, "sweep", config, settings) from None
