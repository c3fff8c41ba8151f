"""`recrun check`: check a model against the rules that every model must follow."""

from __future__ import annotations

import sys
from typing import Final

import click

from recrun.cli._options import (
    completes,
    debug_option,
    echo,
    json_option,
    print_json,
)
from recrun.errors import ConfigError, RegistryError

_DATA = "check makes its own small data; remove it (to use other data: recrun train --dry-run)"
_LENGTH = "check trains for as long as its rules need; remove it"
_RECORDS = "check keeps no run and measures nothing else; remove it"
_UNUSED: Final = {
    **dict.fromkeys(("dataset", "root", "path"), _DATA),
    **dict.fromkeys(("epochs", "early_stop_patience", "lr_scheduler"), _LENGTH),
    **dict.fromkeys(
        ("monitors", "which4best", "eval_freq", "eval_valid", "eval_test", "checkpoint_freq", "checkpoint_minutes"),
        _RECORDS,
    ),
    **dict.fromkeys(("description", "id", "resume", "plots", "track", "verbose"), _RECORDS),
    **dict.fromkeys(("groups", "user_file", "item_file", "per_user"), _RECORDS),
}
"""The settings that a check does not use, and why."""


@click.command("check")
@click.argument("model", shell_complete=completes("models"))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE ...]", shell_complete=completes("settings"))
@json_option
@debug_option
def command(model: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check a model against the rules that every model must follow.

    MODEL is a registered name, or ./file.py:Name. It is trained on small synthetic data, and each rule it breaks is
    explained. KEY=VALUE changes the settings of the model or its training, but not the data nor the number of epochs.
    The exit code is 0 if the model follows every rule, 1 if it breaks one, and 2 if there is no such model or setting.

    \b
    Example:
        recrun check bprmf
    """
    wrong = [override for override in overrides if "=" not in override]
    if wrong:
        raise click.UsageError(f"expected KEY=VALUE, found {wrong[0]!r}")
    from recrun.config.given.arguments import read_overrides
    from recrun.config.suggestions.own_files import explain_python

    if model.endswith(".py"):
        raise RegistryError(f"{model} is a file: {explain_python(model, 'model')}")
    given = read_overrides(overrides)
    if unused := [each.key_fault(_UNUSED[key], key) for key, each in given.items() if key in _UNUSED]:
        raise ConfigError(unused)
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
