"""`recrun list`: list the available components and configs, or past runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from recrun.cli._options import debug_option, json_option, print_json, runs_option
from recrun.errors import unknown

_MANY = 500
"""More rows than this are printed without rich, which would take seconds to lay them out."""


@click.command("list")
@click.argument("what")
@click.argument("conditions", nargs=-1, metavar="[CONDITION ...]")
@click.option("--sort", metavar="KEY", help="Sort runs by KEY in ascending order; by -KEY in descending order.")
@runs_option
@json_option
@debug_option
def command(what: str, conditions: tuple[str, ...], sort: str | None, runs: str, as_json: bool) -> None:
    """List models, data sets, configs, runs and more.

    WHAT is models, losses, datasets, metrics, metric_kinds, optimizers, lr_schedulers, samplers, splits, reporters,
    engines, formats, configs or runs.

    A CONDITION selects runs: KEY=VALUE, or another comparison (!= < <= > >=). KEY is a setting, a metric such as
    valid.ndcg@20, or one of status, best_epoch, started, test_evaluations and name.

    \b
    Example:
        recrun list runs model=bprmf "valid.ndcg@20>0.2" --sort lr
    """
    if what == "runs":
        _show_runs(runs, conditions, sort, as_json)
        return
    from recrun.registry import REGISTRIES

    choices = (*REGISTRIES, "configs", "runs")
    if what not in choices:
        raise click.UsageError(unknown("kind", what, choices))
    if conditions or sort is not None:
        raise click.UsageError(f"conditions and --sort are for runs, not for {what}")
    _show(_configs() if what == "configs" else _components(what), as_json, f"no {what}")


def _show(rows: list[dict[str, Any]], as_json: bool, nothing: str) -> None:
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(nothing, err=True)
        return
    values = [[" ".join(value) if isinstance(value, list) else value for value in row.values()] for row in rows]
    if len(rows) > _MANY:
        from recrun.report.terminal.plain_table import plain_table

        click.echo("\n".join(plain_table(list(rows[0]), values)))
        return
    from recrun.report.terminal.console import stdout_console
    from recrun.report.terminal.tables import table

    stdout_console().print(table(None, list(rows[0]), values))


def _show_runs(root: str, conditions: tuple[str, ...], sort: str | None, as_json: bool) -> None:
    from recrun.runs.listing import list_runs, read_filter

    rows = list_runs(root, conditions, sort)
    if as_json:
        print_json(rows)
        return
    keys = [read_filter(text, 1).key for text in conditions] + ([] if sort is None else [sort.removeprefix("-")])
    nothing = f"no runs in {root}" + (" meet the conditions" if conditions else "")
    _show([_flat(row, dict.fromkeys(keys)) for row in rows], False, nothing)
    for row in rows:
        if row["status"] == "damaged":
            click.echo(f"warning: {row['cause']}", err=True)


def _components(what: str) -> list[dict[str, Any]]:
    from recrun.registry import REGISTRIES
    from recrun.registry.traits import FormatTraits

    for problem in REGISTRIES[what].problems():
        click.echo(f"warning: {problem}", err=True)
    rows = []
    for component in REGISTRIES[what]:
        traits: dict[str, Any] = {"kind": component.traits.kind} if hasattr(component.traits, "kind") else {}
        if isinstance(component.traits, FormatTraits):
            traits["extensions"] = list(component.traits.extensions)
        rows.append({"name": component.name, **traits, "summary": component.summary})
    return rows


def _configs() -> list[dict[str, Any]]:
    from recrun.config.find import bundled_configs

    return [{"name": name, "summary": _summary(path)} for name, path in bundled_configs().items()]


def _summary(path: Path) -> str:
    """Return the first sentence of the comment that a config begins with."""
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# ") or line.startswith("#  "):
            break
        lines.append(line.removeprefix("# "))
        if line.endswith("."):
            break
    return " ".join(lines)


def _flat(row: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return the fields of a run for a table row, with the keys of the conditions and of --sort."""
    from recrun.registry.user_files import short_name
    from recrun.runs.listing import shown_value

    criterion = row["which4best"] or ""
    numbers = {split: (row[split] or {}).get(criterion) for split in ("valid", "test")}
    line = {
        "run": row["run"],
        "status": row["status"],
        "best epoch": row["best_epoch"],
        "criterion": short_name(criterion),
        **numbers,
        "test evaluations": row["test_evaluations"],
    }
    return line | {key: shown_value(row, key) for key in keys if key.replace("_", " ") not in line}
