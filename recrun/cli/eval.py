"""`recrun eval`: evaluate a checkpoint."""

from __future__ import annotations

import click

from recrun.cli._hints import full_command
from recrun.cli._options import (
    completes,
    debug_option,
    json_option,
    print_json,
    split_arguments,
    trust_option,
    verbosity_options,
    with_verbosity,
    work_done,
)


@click.command("eval")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE ...]", shell_complete=completes("settings"))
@click.option(
    "--checkpoint",
    metavar="RUN_OR_FILE",
    shell_complete=completes("runs"),
    help="A run folder, a checkpoint folder in it, or a checkpoint file.",
)
@click.option(
    "--split",
    type=click.Choice(["valid", "test"]),
    default="test",
    show_default=True,
    help="The split to evaluate on.",
)
@trust_option
@json_option
@verbosity_options
@debug_option
def command(
    overrides: tuple[str, ...], checkpoint: str | None, split: str, trust: bool, as_json: bool, quiet: bool, loud: bool
) -> None:
    """Evaluate a trained model on validation or test.

    Every evaluation on test is recorded in the run, and the metrics of each user are kept in it. KEY=VALUE changes how
    the model is evaluated: monitors, which4best, groups, user_file, item_file, device, threads, eval_memory, per_user,
    root, verbose, mask_seen, the candidates that are ranked (candidates, candidates_path, ...) and the users that are
    evaluated (eval_users, ...), and an index that finds the items (eval_index, ...).

    \b
    Example:
        recrun eval --checkpoint runs/latest monitors=[recall@5,ndcg@5]
    """
    config, given = split_arguments(overrides)
    if checkpoint is None:
        line = full_command("eval", "--checkpoint", *(["RUN"] if config is None else [config]), *given)
        raise click.UsageError(f"Missing option '--checkpoint', which names the run; write: {line}")
    if config is not None:
        raise click.UsageError(f"expected KEY=VALUE, found {config!r}; the run's own config is used")
    from recrun.report.terminal.console import stderr_console
    from recrun.report.terminal.live import LiveReporter
    from recrun.workflows.evaluate import evaluate

    shown = [] if as_json or quiet else [LiveReporter(stderr_console(), 1)]
    result = evaluate(checkpoint, with_verbosity(given, quiet, loud), split=split, reporters=shown, trust=trust)
    is_recorded = split == "test" and result["run"] is not None
    with work_done(f"the evaluation is recorded in {result['run']}" if is_recorded else ""):
        if as_json:
            print_json(result)
            return
        from recrun.report.terminal.console import stdout_console
        from recrun.report.terminal.tables import evaluation_table, groups_tables

        stdout_console().print(evaluation_table(result))
        if result.get("groups"):
            stdout_console().print(groups_tables(result["groups"], split))
