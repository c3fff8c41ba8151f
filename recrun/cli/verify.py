"""`recrun verify`: run configs and compare their metrics with their expected values."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from recrun.cli._options import (
    completes,
    debug_option,
    json_option,
    print_json,
    runs_option,
    shown_detail,
    verbosity_options,
    work_done,
)


@click.command("verify")
@click.argument(
    "arguments",
    nargs=-1,
    required=True,
    metavar="CONFIG ... [KEY=VALUE ...]",
    shell_complete=completes("config_and_settings"),
)
@click.option(
    "--run",
    "finished",
    metavar="RUN",
    help="Compare this finished run of CONFIG instead of training.",
    shell_complete=completes("runs"),
)
@runs_option
@json_option
@verbosity_options
@debug_option
def command(
    arguments: tuple[str, ...], finished: str | None, runs: str, as_json: bool, quiet: bool, loud: bool
) -> None:
    """Run configs and compare their metrics with expected values.

    Each CONFIG is run in a new run folder; published, expected and measured values are shown side by side. The exit
    code is 0 if every value lies within its tolerance, 1 if one does not or a run fails, and 2 if a config is faulty
    or has no expected values. If a run fails, the other configs are still run. KEY=VALUE overrides
    settings in all configs; the result names those that change what is computed.

    \b
    Example:
        recrun verify configs/bprmf.yaml
    """
    configs = [argument for argument in arguments if "=" not in argument]
    overrides = [argument for argument in arguments if "=" in argument]
    verbose = shown_detail(overrides, quiet, loud)
    if not configs:
        raise click.UsageError("expected a CONFIG to verify")
    if finished is not None and len(configs) > 1:
        raise click.UsageError("--run compares a run of one config; give only that config")
    from recrun.errors import RecrunError
    from recrun.workflows.verify import compare, failed, read_claims, read_result, train

    claims = read_claims(configs, overrides)
    documents = []
    for claim in claims:
        try:
            result = train(claim, runs, verbose) if finished is None else read_result(claim, finished)
            document = compare(claim, result)
        except RecrunError as error:
            if len(claims) == 1:
                raise
            document = failed(claim, error)
        documents.append(document)
        if not as_json:
            with work_done(f"the run is done: {document['run']}" if document.get("run") and not finished else ""):
                _print(document)
    inside = all(document["inside"] for document in documents)
    if as_json:
        print_json({"inside": inside, "configs": documents})
    sys.exit(0 if inside else 1)


def _print(document: Mapping[str, Any]) -> None:
    from recrun.report.terminal.console import stdout_console
    from recrun.report.terminal.tables import Prose
    from recrun.report.terminal.verification import verification_lines, verification_table

    output = stdout_console()
    if document["cause"] is None:
        output.print(verification_table(document))
    for line in verification_lines(document):
        output.print(Prose(line))
