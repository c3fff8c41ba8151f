"""`recrun export`: write a trained model to files that are used without recrun."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal

import click

from recrun.cli._options import (
    as_of_option,
    completes,
    debug_option,
    echo,
    json_option,
    print_json,
    print_notes,
    quiet_option,
    split_arguments,
    trust_option,
    work_done,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMATS = ("npz", "parquet", "safetensors", "onnx", "faiss")


@click.command("export")
@click.argument("run", metavar="RUN", shell_complete=completes("runs"))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE ...]", shell_complete=completes("settings"))
@click.option("--to", required=True, metavar="DIR", type=click.Path(), help="Folder to be made.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(_FORMATS),
    help="Format that is written; may be repeated.  [default: parquet, or onnx for a model that is a network only]",
)
@as_of_option("end")
@click.option("--no-users", is_flag=True, help="Write nothing of users: neither ids, nor vectors, nor interactions.")
@click.option("--no-seen", is_flag=True, help="Write no interactions of users.")
@click.option(
    "--neighbors", type=click.IntRange(min=1), metavar="N", help="Keep the N largest weights of each item only."
)
@click.option(
    "--index",
    type=click.Choice(["auto", "flat", "hnsw", "ivf"]),
    default="auto",
    show_default=True,
    help="Kind of the index of --format faiss; auto is flat up to 20,000 items, and then hnsw.",
)
@click.option("--force", is_flag=True, help="Replace DIR if it holds an export and nothing else.")
@trust_option
@json_option
@quiet_option
@debug_option
def command(
    run: str,
    overrides: tuple[str, ...],
    to: str,
    formats: tuple[str, ...],
    as_of: Literal["valid", "test", "end"],
    no_users: bool,
    no_seen: bool,
    neighbors: int | None,
    index: Literal["auto", "flat", "hnsw", "ivf"],
    force: bool,
    trust: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a trained model to a folder that is used without recrun.

    The folder holds the model in each format, the catalogue, users and what they have interacted with, a manifest, and
    a README that shows how to recommend with numpy, ONNX Runtime or faiss alone. Nothing in it is a pickle. Networks
    are compared with the model, and indexes with exact lists.

    RUN is a run folder, a checkpoint folder in it, or a checkpoint file. KEY=VALUE changes root, threads, eval_memory.

    \b
    Example:
        recrun export runs/latest --to exported --format npz --format onnx
    """
    from recrun.report.terminal.console import is_live, stderr_console, stdout_console
    from recrun.workflows.export import Wish, export

    config, given = split_arguments(overrides)
    if config is not None:
        raise click.UsageError(f"expected KEY=VALUE, found {config!r}")
    wish = Wish(formats, as_of, not no_users, not no_seen, neighbors, index, force)
    console = stderr_console()
    shows = not quiet and is_live(console)
    with console.status("") if shows else nullcontext() as status:
        document = export(
            run, to, given, wish, trust=trust, notice=(lambda _: None) if status is None else status.update
        )
    with work_done(f"the export is in {document['export']}"):
        if as_json:
            print_json(document)
        elif not quiet:
            stdout_console().print(_table(document))
            for line in _checks(document["checks"]):
                echo(line)
            if document["also"]:
                print_notes([f"this model can also be exported with --format {', '.join(document['also'])}"])


def _table(document: Mapping[str, Any]) -> Any:
    """Return the table of an export's files."""
    from recrun.report.terminal.columns import Field
    from recrun.report.terminal.lines import duration, size
    from recrun.report.terminal.tables import table

    rows = [(name, size(entry["bytes"]), entry["sha256"][:16]) for name, entry in document["files"].items()]
    title = f"{document['model']} on {document['dataset']}, in {document['export']} ({duration(document['seconds'])})"
    return table(title, [Field("file", 1), Field("size", 1), Field("sha256")], rows)


def _checks(checks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each format that was compared with the model."""
    lines = []
    if "cut" in checks:
        found = checks["cut"]
        same = "undefined" if found["same_top_20"] is None else f"{found['same_top_20']:.4f}"
        lines.append(
            f"weights: {found['kept']} of each item kept; share of the top 20 that is the same as with all: {same}, "
            f"over {found['users']:,} users"
        )
    if "onnx" in checks:
        found = checks["onnx"]
        lines.append(
            f"onnx: scores differ from the model's by at most {found['largest_difference']:.2g} "
            f"({found['relative_difference']:.1g} of the largest) on {found['rows']} inputs; "
            f"the top 20 is the same for {found['same_top_20']} of them"
        )
    if "faiss" in checks:
        found = checks["faiss"]
        recall, of = found["recall@20"], "users" if "users" in found else "items"
        shown = "undefined" if recall is None else f"{recall:.4f}"
        lines.append(f"faiss: {found['index']} index, recall@20 {shown} of the exact lists of {found[of]:,} {of}")
    return lines
