"""`recrun train`: train a model from a config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from recrun.cli.options import (
    config_arguments,
    debug_option,
    json_option,
    print_json,
    runs_option,
    split_arguments,
    verbosity_options,
    with_verbosity,
)

if TYPE_CHECKING:
    from recrun.resolve import Resolved


@click.command("train")
@config_arguments
@click.option("--resume", "resumed", metavar="RUN", help="Continue this run from its last checkpoint.")
@click.option("--print-config", is_flag=True, help="Print the resolved config and stop.")
@click.option("--dry-run", is_flag=True, help="Build and check everything, print sizes and steps, and stop.")
@runs_option
@json_option
@verbosity_options
@debug_option
def command(
    arguments: tuple[str, ...],
    resumed: str | None,
    print_config: bool,
    dry_run: bool,
    runs: str,
    as_json: bool,
    quiet: bool,
    loud: bool,
) -> None:
    """Train a model, keep the one that is best on validation, and score it on test.

    CONFIG is a path or the name of a bundled config (`recrun list configs`); without it, recrun.yaml in the working
    folder, else the bundled bprmf. KEY=VALUE overrides a setting for this run.

    \b
    Example:
        recrun train configs/bprmf.yaml lr=5e-4 epochs=10
    """
    from recrun.resolve import resolve

    config, overrides = split_arguments(arguments)
    overrides = with_verbosity(overrides, quiet, loud)
    run = None
    if resumed is not None:
        from recrun.runs import open_run

        run = open_run(resumed)
        if config is not None:
            raise click.UsageError("--resume continues a run with its own config; leave CONFIG out")
        config = str(run.config_file)
    resolved = resolve(config, overrides)
    if print_config:
        from recrun.yamltext import dump_mapping

        click.echo(dump_mapping(dict(resolved.config)), nl=False)
        return
    if resolved.config.verbose:
        click.echo(f"config: {resolved.path}", err=True)
    if dry_run:
        _print_plan(resolved, as_json)
        return
    result = _train(resolved, runs, run)
    if as_json:
        print_json(result)
    elif resolved.config.verbose:
        from recrun.report.console import stdout_console
        from recrun.report.tables import result_table

        stdout_console().print(result_table(result))


def _train(resolved: Resolved, runs: str, run: Any) -> dict[str, Any]:
    from recrun.experiment import prepare

    return prepare(resolved, runs=runs, run=run).fit()


def _print_plan(resolved: Resolved, as_json: bool) -> None:
    from recrun.experiment import plan

    document = plan(resolved)
    if as_json:
        print_json(document)
        return
    for key, value in document.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {number}" for name, number in value.items())
        click.echo(f"{key}: {value}")
