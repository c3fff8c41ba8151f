"""`recrun train`: train a model from a config."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.core import ParameterSource

from recrun.cli._hints import with_sweep
from recrun.cli._options import (
    completes,
    config_arguments,
    debug_option,
    echo,
    json_option,
    print_json,
    print_notes,
    runs_option,
    shown_detail,
    split_arguments,
    trust_option,
    verbosity_options,
    without_plots,
    work_done,
)
from recrun.errors import ConfigError
from recrun.training.parallel.environment import leads, was_launched

if TYPE_CHECKING:
    from recrun.config.resolve import Resolved
    from recrun.runs.folder import RunFolder
    from recrun.training.coach import Coach


@click.command("train")
@config_arguments
@click.option(
    "--resume",
    "resumed",
    metavar="RUN",
    help="Continue this run from its last checkpoint.",
    shell_complete=completes("runs"),
)
@click.option(
    "--until",
    type=int,
    metavar="EPOCH",
    help="Pause after the evaluation at this epoch, or the first later one; --resume goes on.",
)
@click.option(
    "--floors", metavar="FILE", hidden=True, help="Pause below a value at an epoch, as the trials of a sweep."
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Train by N processes of this machine that share each batch.",
)
@click.option(
    "--shard-embeddings",
    "shards",
    is_flag=True,
    help="Divide large tables by rows among the processes, so that each holds a part of them.",
)
@click.option("--print-config", is_flag=True, help="Print the resolved config and stop.")
@click.option("--dry-run", is_flag=True, help="Check everything, print what the run takes by a short one, and stop.")
@click.option("--keep-latest", is_flag=True, hidden=True, help="Leave `latest` as it is, as for the trials of a sweep.")
@click.option("--profile", is_flag=True, help="Print the time spent on each activity at the end.")
@trust_option
@click.option("--no-plots", is_flag=True, help="Draw no plots at the end of the run.")
@runs_option
@json_option
@verbosity_options
@debug_option
def command(
    arguments: tuple[str, ...],
    resumed: str | None,
    until: int | None,
    floors: str | None,
    processes: int,
    shards: bool,
    print_config: bool,
    dry_run: bool,
    keep_latest: bool,
    profile: bool,
    trust: bool,
    no_plots: bool,
    runs: str,
    as_json: bool,
    quiet: bool,
    loud: bool,
) -> None:
    """Train a model and evaluate its best epoch on test.

    CONFIG is a path or the name of a bundled config (`recrun list configs`); without it, recrun.yaml in the working
    folder, else the bundled bprmf. KEY=VALUE overrides a setting for this run.

    With --resume, a run continues in its folder with its own config. KEY=VALUE may then only raise epochs, or change
    where and how it computes (device, threads, ...). With --until, it pauses on the way; the numbers of a run do not
    depend on its pauses.

    \b
    Example:
        recrun train configs/bprmf.yaml lr=5e-4 epochs=10
    """
    config, overrides = split_arguments(arguments)
    verbose = shown_detail(overrides, quiet, loud)
    overrides = without_plots(overrides, no_plots)
    _refuse_contradictions(config, resumed, trust=trust, dry_run=dry_run, processes=processes, shards=shards)
    from recrun.training.pause import Pause, Paused

    pause = Pause.read(until, floors)
    resolved, run = _resolve(config, overrides) if resumed is None else _resolve_run(resumed, overrides, trust)
    if print_config:
        _print_config(resolved)
        return
    verbose = (resolved.config.verbose if verbose is None else verbose) if leads() else 0
    if processes > 1 and not was_launched():
        _launch(resolved, processes, shards=shards)
    if verbose:
        echo(f"config: {resolved.path}", err=True)
    if dry_run:
        _print_plan(resolved, runs, as_json)
        return
    coach = _prepare(resolved, shards=shards, runs=runs, run=run, latest=not keep_latest, verbose=verbose)
    coach.pause = pause
    try:
        result = _train(coach, profile)
    except Paused as paused:
        if as_json:
            print_json(paused.result)
        elif verbose:
            echo(str(paused))
        return
    with work_done(f"the run is done: {result['run']}"):
        if as_json:
            print_json(result)
        elif verbose:
            _print_result(result)


def _refuse_contradictions(
    config: str | None, resumed: str | None, *, trust: bool, dry_run: bool, processes: int, shards: bool
) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageError: some do.
    """
    if resumed is not None and config is not None:
        raise click.UsageError("--resume continues a run with its own config; remove CONFIG")
    source = click.get_current_context().get_parameter_source("runs")
    if resumed is not None and source is ParameterSource.COMMANDLINE:
        raise click.UsageError("--resume continues a run in its own folder; remove --runs")
    if resumed is None and trust:
        raise click.UsageError("--trust is for --resume; a CONFIG that you name may name code")
    if dry_run and processes > 1:
        raise click.UsageError("--dry-run estimates one process; remove --processes")
    if shards and processes == 1 and not was_launched():
        raise click.UsageError("--shard-embeddings divides tables among processes; give --processes, or remove it")


def _launch(resolved: Resolved, processes: int, *, shards: bool) -> NoReturn:
    """Run this command in several processes, and end with the exit code of the one that leads."""
    from recrun.workflows.train_together import launch

    click.get_current_context().exit(launch(resolved, processes, sys.argv[1:], shards=shards))


def _prepare(resolved: Resolved, *, shards: bool, **run: Any) -> Coach:
    """Return the Coach of a run; in a process that only takes part in it, end when the run does."""
    if not was_launched():
        from recrun.workflows.build import prepare

        return prepare(resolved, **run)
    from recrun.workflows.train_together import take_part

    coach = take_part(resolved, shards=shards, **run)
    if coach is None:
        click.get_current_context().exit(0)
    return coach


def _print_result(result: dict[str, Any]) -> None:
    from recrun.report.terminal.console import stdout_console
    from recrun.report.terminal.tables import groups_tables, result_table

    stdout_console().print(result_table(result))
    for split, groups in list((result.get("groups") or {}).items())[-1:]:
        stdout_console().print(groups_tables(groups, split))


def _print_config(resolved: Resolved) -> None:
    from recrun.config.expected import dump_expected
    from recrun.config.find import TUNED_FOR
    from recrun.config.yaml_writer import dump_mapping

    print_notes(resolved.notes)
    tuned_for = {TUNED_FOR: list(resolved.tuned_for)} if resolved.tuned_for else {}
    echo(dump_mapping({**resolved.config, **tuned_for}) + dump_expected(resolved.expected), nl=False)


def _resolve(config: str | None, overrides: list[str]) -> tuple[Resolved, None]:
    from recrun.config.resolve import resolve

    try:
        return resolve(config, overrides), None
    except ConfigError as error:
        raise with_sweep(error, "train", config, overrides) from None


def _resolve_run(path: str, overrides: list[str], trust: bool) -> tuple[Resolved, RunFolder]:
    from recrun.runs.folder import open_run
    from recrun.runs.resume import resolve_run

    run = open_run(path)
    return resolve_run(run, overrides, trust=trust), run


def _train(coach: Coach, profile: bool) -> dict[str, Any]:
    if not profile:
        return coach.fit()
    from recrun.report.terminal.console import stderr_console
    from recrun.report.terminal.tables import time_table
    from recrun.training.pause import Paused
    from recrun.training.stopwatch import Stopwatch

    coach.stopwatch = Stopwatch(coach.device, waits=True)
    try:
        result = coach.fit()
    except Paused:
        stderr_console().print(time_table(coach.stopwatch.table()))
        raise
    stderr_console().print(time_table(coach.stopwatch.table()))
    return result


def _print_plan(resolved: Resolved, runs: str, as_json: bool) -> None:
    from recrun.workflows.dry_run.estimate import estimate, lines_of

    document = estimate(resolved, runs, start=time.process_time())
    if as_json:
        print_json(document)
        return
    from recrun.report.terminal.lines import facts, more_facts

    # The path of the config has been printed.
    found = facts(document) + more_facts({**document, "n_steps": document["steps_per_epoch"]})
    notes = [f"note: {text}" for label, text in found if label == "note"]
    for line in (*(f"{label}: {text}" for label, text in found if label != "note"), *lines_of(document), *notes):
        echo(line)
