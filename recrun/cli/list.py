"""`recrun list`: list the available components and configs, or past runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from recrun.cli._options import (
    completes,
    debug_option,
    echo,
    json_option,
    print_csv,
    print_json,
    runs_option,
)
from recrun.errors import unknown
from recrun.memory import collection_paused
from recrun.visible import on_one_line


@click.command("list")
@click.argument("what", shell_complete=completes("kinds"))
@click.argument("conditions", nargs=-1, metavar="[CONDITION ...]")
@click.option("--sort", metavar="KEY", help="Sort runs by KEY in ascending order; by -KEY in descending order.")
@click.option("--columns", metavar="KEY,KEY,...", help="Show these columns of runs.")
@click.option(
    "--format",
    "layout",
    type=click.Choice(["table", "csv", "md"]),
    default="table",
    show_default=True,
    help="Print runs as a table for reading, as CSV, or as a Markdown table, the latter two unrounded.",
)
@runs_option
@json_option
@debug_option
def command(
    what: str,
    conditions: tuple[str, ...],
    sort: str | None,
    columns: str | None,
    layout: str,
    runs: str,
    as_json: bool,
) -> None:
    """List models, data sets, configs, runs and more.

    WHAT is models, losses, datasets, metrics, metric_kinds, optimizers, lr_schedulers, samplers, splits, reporters,
    engines, formats, configs or runs.

    A CONDITION selects runs: KEY=VALUE, or another comparison (!= < <= > >=). KEY is a setting, a metric such as
    valid.ndcg@20, or one of status, best_epoch, seconds, started, test_evaluations and name. --columns takes
    the same keys.

    \b
    Example:
        recrun list runs model=bprmf "valid.ndcg@20>0.2" --sort lr
    """
    if as_json and layout != "table":
        raise click.UsageError(f"--json and --format {layout} exclude each other; give only one")
    if what == "runs":
        _show_runs(runs, conditions, sort, columns, "json" if as_json else layout)
        return
    from recrun.registry import REGISTRIES

    choices = (*REGISTRIES, "configs", "runs")
    if what not in choices:
        raise click.UsageError(unknown("kind", what, choices))
    if conditions or sort is not None or columns is not None or layout != "table":
        raise click.UsageError(f"conditions, --sort, --columns and --format are for runs, not for {what}")
    _show(_configs() if what == "configs" else _components(what), as_json, f"no {what}")


def _show(rows: list[dict[str, Any]], as_json: bool, nothing: str) -> None:
    if as_json:
        print_json(rows)
        return
    if not rows:
        echo(nothing, err=True)
        return
    from recrun.report.terminal.columns import Field
    from recrun.report.terminal.console import stdout_console
    from recrun.report.terminal.tables import table

    fields = [Field(name, wraps=name == "summary") for name in rows[0]]
    values = [[" ".join(value) if isinstance(value, list) else value for value in row.values()] for row in rows]
    stdout_console().print(table(None, fields, values))


@collection_paused()
def _show_runs(root: str, conditions: tuple[str, ...], sort: str | None, columns: str | None, layout: str) -> None:
    from recrun.runs.listing import list_runs, read_filter

    chosen = None if columns is None else [key.strip() for key in columns.split(",")]
    if chosen is not None and not all(chosen):
        raise click.UsageError(f"--columns: expected KEY,KEY,..., found {columns!r}")
    rows = list_runs(root, conditions, sort, chosen or ())
    if layout == "json":
        print_json(rows)
        return
    if not rows:
        echo(on_one_line(f"no runs in {root}") + (" meet the conditions" if conditions else ""), err=True)
    asked = [read_filter(text, 1).key for text in conditions] + ([] if sort is None else [sort.removeprefix("-")])
    asked += _protocols(rows)
    if layout != "table":
        _print_text(rows, chosen, asked, layout)
    elif rows:
        _print_runs(rows, chosen, asked)
    for row in rows:
        if row["status"] == "damaged":
            echo(f"warning: {row['cause']}", err=True)


def _protocols(rows: list[dict[str, Any]]) -> list[str]:
    """Return the settings of candidates, samples and indexes that some runs have, whose numbers are of their own."""
    known = [row["settings"] or {} for row in rows]
    drawn = ["candidates", "candidates_by"] if any(each.get("candidates") is not None for each in known) else []
    return drawn + [
        key
        for key in ("candidates_path", "eval_users", "eval_index")
        if any(each.get(key) is not None for each in known)
    ]


def _print_text(rows: list[dict[str, Any]], chosen: list[str] | None, asked: list[str], layout: str) -> None:
    """Print runs as CSV or Markdown: the chosen columns, or those of the table; headings are keys of conditions."""
    from recrun.report.files.text_tables import csv_table, markdown_table
    from recrun.runs.listing import found_value

    if chosen is None:
        criteria = list(dict.fromkeys(row["which4best"] for row in rows if row["which4best"]))
        scores = [f"{split}.{criterion}" for criterion in criteria for split in ("valid", "test")]
        chosen = ["status", "best_epoch", "which4best", *scores, "test_evaluations", *asked]
    keys = list(dict.fromkeys(["run", *chosen]))
    cells = [[found_value(row, key) for key in keys] for row in rows]
    if layout == "csv":
        print_csv(csv_table(keys, cells))
    else:
        echo(markdown_table(keys, cells), nl=False)


def _print_runs(rows: list[dict[str, Any]], chosen: list[str] | None, asked: list[str]) -> None:
    """Print the table of runs: the chosen columns, or the usual ones and the keys of the conditions and of --sort."""
    from recrun.registry.user_files import short_name
    from recrun.report.terminal.columns import Field
    from recrun.report.terminal.console import stdout_console
    from recrun.report.terminal.tables import table
    from recrun.runs.listing import shown_value

    if chosen is not None:
        fields = [Field(key) for key in dict.fromkeys(["run", *chosen])]
        cells = [[shown_value(row, field.name) for field in fields] for row in rows]
    else:
        criteria = {row["which4best"] for row in rows if row["which4best"]}
        only = f" {short_name(str(next(iter(criteria))))}" if len(criteria) == 1 else ""
        usual = [Field("run"), Field("status"), Field("best epoch", 2)]
        usual += [Field(f"valid{only}"), Field(f"test{only}", 1)]
        usual += [] if only else [Field("criterion", 0)]
        usual += [Field("test evaluations", 4)]
        shown = {field.name for field in usual}
        more = [key for key in dict.fromkeys(asked) if key.replace("_", " ").replace(".", " ", 1) not in shown]
        fields = [*usual, *map(Field, more)]
        cells = [
            [
                row["run"],
                row["status"],
                row["best_epoch"],
                *(_criterion_value(row, split) for split in ("valid", "test")),
                *([] if only else [short_name(str(row["which4best"] or "")) or "-"]),
                row["test_evaluations"],
                *(shown_value(row, key) for key in more),
            ]
            for row in rows
        ]
    stdout_console().print(table(None, fields, cells, more="--columns chooses, --json has all"))


def _criterion_value(row: dict[str, Any], split: str) -> Any:
    return (row[split] or {}).get(row["which4best"] or "")


def _components(what: str) -> list[dict[str, Any]]:
    from recrun.registry import REGISTRIES
    from recrun.registry.traits import FormatTraits

    for problem in REGISTRIES[what].problems():
        echo(f"warning: {problem}", err=True)
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
