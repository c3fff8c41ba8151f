"""`recrun check`: check a model against the rules that every model must follow."""

from __future__ import annotations

import sys

import click

from recrun.cli._options import (
    completes,
    debug_option,
    echo,
    json_option,
    print_json,
)


@click.command("check")
@click.argument("model", shell_complete=completes("models"))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE ...]", shell_complete=completes("settings"))
@json_option
@debug_option
def command(model: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check a model against the rules that every model must follow.

    MODEL is a registered name, or ./file.py:Name. It is trained on small synthetic data, and each rule it breaks is
    explained. KEY=VALUE changes the settings of the model or its training. The exit code is 0 if the model follows
    every rule, 1 if it breaks one, and 2 if there is no such model or setting.

    \b
    Example:
        recrun check bprmf
    """
    wrong = [override for override in overrides if "=" not in override]
    if wrong:
        raise click.UsageError(f"expected KEY=VALUE, found {wrong[0]!r}")
    from recrun.workflows.check_model import check

    verdicts = check(model, overrides)
    ok = all(verdict.ok for verdict in verdicts)
    if as_json:
        print_json({"model": model, "ok": ok, "rules": [vars(verdict) for verdict in verdicts]})
    else:
        for verdict in verdicts:
            echo(f"{'ok    ' if verdict.ok else 'BROKEN'}  {verdict.rule}: {verdict.claim}")
            if verdict.message:
                echo(f"        {verdict.message}")
        kept = sum(verdict.ok for verdict in verdicts)
        echo(f"{model} follows {kept} of {len(verdicts)} rules")
    sys.exit(0 if ok else 1)
