"""`recrun sweep`: train on the points of a space and compare the trials on validation."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    verbosity_options,
    with_verbosity,
    work_done,
)
from recrun.cli.studies._last_step import make_final, refuse_final
from recrun.cli.studies._study_options import engine_options, study_options
from recrun.errors import ConfigError, Fault, RegistryError

if TYPE_CHECKING:
    from recrun.sweep.engines.engine import MakeEngine
    from recrun.sweep.ledger import Ledger
    from recrun.sweep.planning.request import Request
    from recrun.sweep.planning.study import Plan


@click.command("sweep")
@click.argument(
    "arguments",
    nargs=-1,
    metavar="[CONFIG ...] KEY=V1,V2|LOW..HIGH ... [KEY=VALUE ...]",
    shell_complete=completes("config_and_settings"),
)
@study_options
@engine_options
@click.option("--final", "with_final", is_flag=True, help="Then do what `recrun final` does with the chosen point.")
@click.option("--print-config", is_flag=True, help="Print the study as a config with a section `sweep:`, and stop.")
@click.option("--dry-run", is_flag=True, help="Print the number of trials and what they cost by a short one, and stop.")
@runs_option
@json_option
@verbosity_options
@debug_option
def command(
    arguments: tuple[str, ...],
    request: Request,
    engine: dict[str, Any],
    with_final: bool,
    print_config: bool,
    dry_run: bool,
    runs: str,
    as_json: bool,
    quiet: bool,
    loud: bool,
) -> None:
    """Train on the points of a space and rank them on validation.

    A key with several values is varied; a key with one value is the same for all trials. KEY=LOW..HIGH is a range, with
    a step (0..0.5:0.1) or on a logarithmic scale (1e-4..1e-2:log); 1..5 is short for 1,2,3,4,5. Commas inside [...],
    {...} or quotes belong to the value. Each trial is a separate `recrun train`. Without --search, all points are
    tried.

    With several configs, each is swept with the settings that it has, and all are ranked together.

    Seeds and folds (seed, split_seed, test_fold, --seeds) are repeats: their trials are averaged, never ranked.
    Settings that change the data are not ranked either. A sweep that ranks never evaluates on test; one that has
    nothing to rank, such as a cross-validation, tests each trial once.

    Repeat the command to continue a sweep: finished trials are kept, interrupted ones go on where they were, and failed
    ones are run again.

    \b
    Example:
        recrun sweep bprmf lr=1e-3,1e-4 embedding_dim=32,64 epochs=20 --jobs 2
        recrun sweep bprmf lr=1e-4..1e-1:log --search tpe --trials 20 --prune asha --seeds 3
        recrun sweep popularity split=k_fold test_fold=1..5
    """
    from recrun.report.terminal.console import stderr_console
    from recrun.sweep.engines.engine import choose_engine
    from recrun.sweep.ledger import Ledger
    from recrun.sweep.run import run_sweep
    from recrun.sweep.same_data import mixed_files
    from recrun.sweep.view.listeners import view_of

    if print_config and dry_run:
        raise click.UsageError("--print-config and --dry-run exclude each other")
    configs, settings = _split(arguments)
    with_verbosity([], quiet, loud)  # only the check: they set what the sweep shows, not the trials' `verbose`
    try:
        make_engine = choose_engine(engine["name"], engine["settings"])
    except (ConfigError, RegistryError) as error:  # said with all other faults
        found = error.faults if isinstance(error, ConfigError) else [Fault(str(error))]
        _planned(configs, settings, replace(request, faults=(*request.faults, *found)), Path(runs))
        raise
    plan = _planned(configs, settings, request, Path(runs))
    if with_final:
        refuse_final(plan, Path(runs))
    print_notes(plan.notes)
    if print_config:
        from recrun.sweep.planning.print_study import printed

        echo(printed(plan, configs[0]), nl=False)
        return
    if dry_run:
        _print_estimate(plan, engine, make_engine, as_json=as_json, quiet=quiet)
        return
    jobs = engine["jobs"] if engine["jobs"] is None else min(engine["jobs"], max(1, plan.most_at_once))
    view = view_of(stderr_console(), verbose=0 if quiet else 2 if loud else 1)
    with Ledger(plan, Path(runs), say=lambda text: echo(text, err=True)) as ledger:
        print_notes(ledger.notes)
        made = make_engine(jobs)
        exit_code = run_sweep(ledger, made, made.jobs, listener=view)
    for name in mixed_files(ledger.rows):
        echo(f"warning: {name} changed during the sweep, so not all trials are of the same data; repeat it", err=True)
    if not as_json:
        _print_results(ledger, as_json=False)
    if with_final and exit_code == 0:
        exit_code = make_final(ledger, make_engine, engine["jobs"], as_json=as_json, quiet=quiet)
    if as_json:  # at last, so that it has the last step
        _print_results(ledger, as_json=True)
    sys.exit(exit_code)


def _print_results(ledger: Ledger, *, as_json: bool) -> None:
    from recrun.report.terminal.console import stdout_console
    from recrun.sweep.document import document
    from recrun.sweep.view.closing import closing_lines
    from recrun.sweep.view.result import result_tables

    with work_done(f"the sweep's results are in {ledger.folder}"):
        if as_json:
            print_json(document(ledger))
        else:
            output = stdout_console()
            for each in (*result_tables(ledger), *closing_lines(ledger)):
                output.print(each)


def _print_estimate(plan: Plan, engine: dict[str, Any], make_engine: MakeEngine, *, as_json: bool, quiet: bool) -> None:
    from recrun.sweep.estimate import estimate, lines_of

    jobs = make_engine(engine["jobs"]).jobs if engine["name"] == "local" else engine["jobs"] or 1
    found = estimate(plan, jobs, lambda text: None if quiet else echo(text, err=True))
    if as_json:
        print_json(found.document())
    else:
        for line in lines_of(found):
            echo(line)


def _split(arguments: tuple[str, ...]) -> tuple[list[str | None], list[str]]:
    """Return the configs, which come first, and the settings; [None] where there is no config.

    Raises:
        click.UsageError: a shell has taken an argument apart at its blanks.
    """
    from recrun.cli._hints import of_scattered_words
    from recrun.config.find import bundled_config

    n_configs = next((n for n, each in enumerate(arguments) if "=" in each), len(arguments))
    configs, settings = list(arguments[:n_configs]), list(arguments[n_configs:])
    are_there = all(bundled_config(each) is not None or os.path.exists(each) for each in configs)
    is_apart = bool(settings) and settings[0].startswith("=")
    hint = of_scattered_words(settings if are_there and not is_apart else arguments)
    if hint is not None:
        raise click.UsageError(hint)
    files = [_file_of(each) for each in configs]
    repeated = next((each for n, each in enumerate(configs) if files[n] in files[:n]), None)
    if repeated is not None:
        raise click.UsageError(f"the config {repeated} is given twice; give it once")
    return [*configs] or [None], settings


def _file_of(config: str) -> str:
    """Return the same text for each name of a config."""
    from recrun.config.find import find_config

    try:
        return os.path.realpath(find_config(config))
    except ConfigError:
        return config  # that it is not there is said with all other faults


def _planned(configs: list[str | None], settings: list[str], request: Request, runs: Path) -> Plan:
    from recrun.config.resolve import resolve
    from recrun.sweep.planning.extend import plan_extended
    from recrun.sweep.space.arguments import parse_settings

    try:
        return plan_extended(configs, settings, request, runs)
    except ConfigError as error:
        if len(configs) > 1:
            raise
        varies = any(each.is_axis for each in parse_settings(settings)[0])
        if not varies and any("=[" in each for each in settings):
            try:
                resolve(configs[0], settings)
            except ConfigError as found:
                raise with_sweep(found, "sweep", configs[0], settings) from None
        raise with_sweep(error, "sweep", configs[0], settings) from None
