"""`recrun validate`: check configs without running them."""

from __future__ import annotations

from typing import Any

import click

from recrun.cli._options import (
    completes,
    debug_option,
    echo,
    json_option,
    print_json,
)
from recrun.errors import Fault


@click.command("validate")
@click.argument("configs", nargs=-1, required=True, metavar="CONFIG ...", shell_complete=completes("configs"))
@json_option
@debug_option
def command(configs: tuple[str, ...], as_json: bool) -> None:
    """Check configs without running them.

    Checks keys, types, ranges, names, settings that cannot work together, and what a section of a sweep varies. Prints
    every fault as file:line:column: key: message, and notes on what a user should know. The exit code is 2 if there is
    a fault. No data is read.

    \b
    Example:
        recrun validate configs/bprmf.yaml configs/ease.yaml
    """
    reports = [{"path": config, **_report(config)} for config in configs]
    if as_json:
        for report in reports:
            report["faults"] = [vars(fault) for fault in report["faults"]]
        print_json({"configs": reports})
    else:
        for report in reports:
            for fault in report["faults"]:
                echo(str(fault))
            for note in report["notes"]:
                echo(f"{report['path']}: note: {note}")
            if report["ok"]:
                echo(f"{report['path']}: ok")
    if not all(report["ok"] for report in reports):
        raise SystemExit(2)


def _report(config: str) -> dict[str, Any]:
    from recrun.config.resolve import resolve
    from recrun.errors import ConfigError, reading_order
    from recrun.sweep.planning.own_section import section_faults

    faults: list[Fault] = []
    notes: list[str] = []
    try:
        notes = list(resolve(config).notes)
    except ConfigError as error:
        faults = error.faults
    found = sorted(dict.fromkeys([*faults, *section_faults(config)]), key=reading_order)
    return {"ok": not found, "faults": found, "notes": [] if found else notes}
