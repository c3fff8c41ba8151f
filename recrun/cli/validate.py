"""`recrun validate`: check configs without running them."""

from __future__ import annotations

import click

from recrun.cli._options import debug_option, json_option, print_json
from recrun.errors import Fault


@click.command("validate")
@click.argument("configs", nargs=-1, required=True, metavar="CONFIG ...")
@json_option
@debug_option
def command(configs: tuple[str, ...], as_json: bool) -> None:
    """Check configs without running them.

    Checks keys, types, ranges, names, and settings that cannot work together. Prints every fault as
    file:line:column: key: message. The exit code is 2 if there is one. No data is read.

    \b
    Example:
        recrun validate configs/bprmf.yaml configs/ease.yaml
    """
    faults = {config: _faults_of(config) for config in configs}
    if as_json:
        reports = [
            {"path": config, "ok": not found, "faults": [vars(fault) for fault in found]}
            for config, found in faults.items()
        ]
        print_json({"configs": reports})
    else:
        for config, found in faults.items():
            for fault in found:
                click.echo(str(fault))
            if not found:
                click.echo(f"{config}: ok")
    if any(faults.values()):
        raise SystemExit(2)


def _faults_of(config: str) -> list[Fault]:
    from recrun.config.resolve import resolve
    from recrun.errors import ConfigError

    try:
        resolve(config)
    except ConfigError as error:
        return error.faults
    return []
