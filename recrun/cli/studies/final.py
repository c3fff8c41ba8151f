"""`recrun final`: train what a sweep chose on train and valid, and score test once."""

from __future__ import annotations

import sys
from typing import Any

import click

from recrun.cli._options import (
    completes,
    debug_option,
    json_option,
    print_json,
    quiet_option,
    trust_option,
)
from recrun.cli.studies._last_step import finish, print_finals
from recrun.cli.studies._study_options import engine_options


@click.command("final")
@click.argument("sweep", metavar="SWEEP", shell_complete=completes("runs"))
@click.option("--point", type=click.IntRange(min=0), metavar="N", help="This point instead of the one that was chosen.")
@click.option(
    "--seeds", type=click.IntRange(min=1), metavar="N", help="Train with N seeds, more or fewer than the search had."
)
@click.option("--train-only", is_flag=True, help="Train nothing: score the runs of the sweep, trained on train alone.")
@click.option("--again", is_flag=True, help="Also if there was a last step of another choice.")
@engine_options
@trust_option
@json_option
@quiet_option
@debug_option
def command(
    sweep: str,
    point: int | None,
    seeds: int | None,
    train_only: bool,
    again: bool,
    engine: dict[str, Any],
    trust: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a sweep's choice on train and valid; score test once.

    The best point of SWEEP, the folder of a finished sweep, is trained for each of its seeds, for the median of the
    best epochs that its trials had on validation; where several data sets were swept, the best of each. Printed are the
    means on test with 95 % intervals, which are entered in sweep.json.

    Repeat the command to continue: what is done is neither trained nor scored again.

    \b
    Example:
        recrun final runs/sweeps/bprmf-1c5d0f8a2e
    """
    from recrun.sweep.engines import choose_engine
    from recrun.sweep.final.run import Wish

    make_engine = choose_engine(engine["name"], engine["settings"])
    finished = finish(sweep, Wish(point, train_only, again, trust, seeds), make_engine, engine["jobs"], quiet=quiet)
    if as_json:
        print_json(finished.document())
    else:
        print_finals(finished)
    sys.exit(finished.exit_code)
