"""`recrun validate`: check configs without running them."""

from __future__ import annotations

import click

from recrun.cli.options import debug_option, json_option, print_json
from recrun.errors import ConfigError, Fault
from recrun.resolve import resolve


@click.command("validate")
@click.argument("configs", nargs=-1, required=True, metavar="CONFIG ...")
@json_option
@debug_option
def command(configs: tuple[str, ...], as_json: bool) -> None:
    """Check configs: keys, types, ranges, names, and combinations that cannot work.

    Prints every fault as file:line:column: key: message, and exits with 2 if there is one. No data is read.

    \b
    Example:
        recrun validate configs/bprmf.yaml configs/ease.yaml
    """
    reports = [_check(config) for config in configs]
    if as_json:
        print_json({"configs": [{**report, "faults": [vars(fault) for fault in report["faults"]]} for report in reports]})
    else:
        for report in reports:
            for fault in report["faults"]:
                click.echo(str(fault))
            if report["ok"]:
                click.echo(f"{report['path']}: ok")
    if not all(report["ok"] for report in reports):
        raise SystemExit(2)


def _check(config: str) -> dict[str, object]:
    faults: list[Fault] = []
    try:
        resolve(config)
    except ConfigError as error:
        faults = error.faults
    return {"path": config, "ok": not faults, "faults": faults}
