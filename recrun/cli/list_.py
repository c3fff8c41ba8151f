"""`recrun list`: what there is to choose from, and what was run."""

from __future__ import annotations

from typing import Any

import click

from recrun.cli.options import debug_option, json_option, print_json, runs_option
from recrun.errors import unknown


@click.command("list")
@click.argument("what")
@runs_option
@json_option
@debug_option
def command(what: str, runs: str, as_json: bool) -> None:
    """List what there is to choose from, or what was run.

    WHAT is models, losses, datasets, metrics, optimizers, lr_schedulers, samplers, formats, configs or runs.

    \b
    Example:
        recrun list models
    """
    from recrun.registry import REGISTRIES

    choices = (*REGISTRIES, "configs", "runs")
    if what not in choices:
        raise click.UsageError(unknown("kind", what, choices))
    rows = _runs(runs) if what == "runs" else _configs() if what == "configs" else _components(what)
    if as_json:
        print_json(rows)
        return
    from recrun.report.console import stdout_console
    from recrun.report.tables import table

    if not rows:
        click.echo(f"no {what}" + (f" in {runs}" if what == "runs" else ""), err=True)
        return
    shown = [_flat(row) for row in rows] if what == "runs" else rows
    stdout_console().print(table(None, list(shown[0]), [list(row.values()) for row in shown]))


def _components(what: str) -> list[dict[str, Any]]:
    from recrun.registry import REGISTRIES

    for problem in REGISTRIES[what].problems():
        click.echo(f"warning: {problem}", err=True)
    rows = []
    for component in REGISTRIES[what]:
        traits = {name: value for name, value in component.traits.items() if name == "kind"}
        rows.append({"name": component.name, **traits, "summary": component.summary})
    return rows


def _configs() -> list[dict[str, Any]]:
    from recrun.configfile import bundled_configs

    rows = []
    for name, path in bundled_configs().items():
        lines = path.read_text(encoding="utf-8").splitlines()
        rows.append({"name": name, "summary": lines[0].lstrip("# ") if lines and lines[0].startswith("#") else ""})
    return rows


def _runs(root: str) -> list[dict[str, Any]]:
    from recrun.errors import CheckpointError
    from recrun.runs import read_json
    from recrun.runsearch import find_runs

    rows = []
    for run in find_runs(root):
        try:
            record = run.read_run()
            metrics = read_json(run.metrics_file) if run.metrics_file.exists() else {}
        except CheckpointError:
            record, metrics = {"status": "damaged"}, {}
        rows.append(
            {
                "name": run.path.name,
                "run": str(run.path),
                "status": record.get("status", "damaged"),
                "config": str(run.config_file),
                "best_epoch": metrics.get("best_epoch"),
                "which4best": record.get("which4best"),
                "valid": metrics.get("valid"),
                "test": metrics.get("test"),
                "test_evaluations": len(record.get("test_evaluations", [])),
            }
        )
    return rows


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return what of a run fits a line of a table."""
    criterion = row["which4best"] or ""
    numbers = {split: (row[split] or {}).get(criterion) for split in ("valid", "test")}
    return {
        "run": row["run"],
        "status": row["status"],
        "best epoch": row["best_epoch"],
        "criterion": criterion,
        **numbers,
        "test evaluations": row["test_evaluations"],
    }
