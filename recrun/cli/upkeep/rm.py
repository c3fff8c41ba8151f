"""`recrun rm`: remove runs and sweeps."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from recrun.cli._options import completes, debug_option, echo, json_option, print_json, runs_option
from recrun.visible import on_one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recrun.upkeep.remove import Item


@click.command("rm")
@click.argument("what", nargs=-1, required=True, metavar="RUN|SWEEP|CONDITION ...", shell_complete=completes("runs"))
@click.option("-y", "--yes", is_flag=True, help="Do not ask, and remove what is to be confirmed as well.")
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and stop.")
@runs_option
@json_option
@debug_option
def command(what: tuple[str, ...], yes: bool, dry_run: bool, runs: str, as_json: bool) -> None:
    """Remove runs, and sweeps with the runs of their trials.

    The runs of a sweep's last step, as of `recrun final`, stay unless they are named; a line says which.

    A RUN or SWEEP is a folder. CONDITIONs, as of `recrun list runs`, choose the runs that meet all of them. What is
    running, or holds files that recrun did not make, is refused, and then nothing is removed.

    On a terminal, the command asks. Elsewhere, a run that is the best of its kind or of its sweep, or that another run
    names, is only removed with --yes.

    \b
    Example:
        recrun rm status=failed --dry-run
    """
    from recrun.upkeep.remove import plan_removal, remove

    items = plan_removal(what, runs)
    if not items and not as_json:
        echo(on_one_line(f"no runs in {runs} meet the conditions"), err=True)
        return
    if dry_run:
        _print_plan(items) if not as_json else print_json(_document(items, dry_run=True))
        return
    if items and not yes:
        _confirm(items)
    done = remove(items)
    if as_json:
        print_json(_document(done.removed, dry_run=False, failed=done.failed, latest=done.latest))
    else:
        echo(f"removed {_sum(done.removed)}")
        _say_kept(done.removed)
        for path in done.latest:
            echo(f"latest is now {path}")
    for item, cause in done.failed:
        echo(on_one_line(f"error: {item.target.path} was not removed: {cause}"), err=True, fg="red")
    sys.exit(1 if done.failed else 0)


def _confirm(items: Sequence[Item]) -> None:
    """Ask on a terminal; elsewhere, refuse to remove what is to be confirmed.

    Raises:
        ConfigError: something is to be confirmed, and there is nobody to ask.
    """
    from recrun.errors import ConfigError, Fault

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        faults = [
            Fault(f"{item.target.path} is removed only with --yes: {'; '.join(item.reasons)}")
            for item in items
            if item.reasons
        ]
        if faults:
            raise ConfigError(faults)
        return
    for item in items:
        notes = f": {'; '.join(item.reasons)}" if item.reasons else ""
        echo(on_one_line(f"{item.target.kind} {item.target.path}{notes}"), err=True)
    _say_kept(items, err=True)
    if not click.confirm(f"Remove {_sum(items)}?", err=True):
        echo("nothing was removed", err=True)
        sys.exit(1)


def _print_plan(items: Sequence[Item]) -> None:
    from recrun.report.terminal.columns import Field
    from recrun.report.terminal.console import stdout_console
    from recrun.report.terminal.lines import size
    from recrun.report.terminal.tables import table

    rows = [
        (item.target.kind, str(item.target.path), len(item.contents.files), size(item.contents.size), _reasons(item))
        for item in items
    ]
    fields = [Field("kind", 2), Field("path"), Field("files", 1), Field("size"), Field("only with --yes", wraps=True)]
    stdout_console().print(table(None, fields, rows))
    echo(f"would remove {_sum(items)}")
    _say_kept(items)


def _say_kept(items: Sequence[Item], *, err: bool = False) -> None:
    """Say which runs of last steps stay."""
    from recrun.report.terminal.lines import counted

    for item in items:
        if item.keeps:
            n, path = counted(len(item.keeps), "run"), item.target.path
            echo(on_one_line(f"{n} of the last step of {path} stay: {' '.join(item.keeps)}"), err=err)


def _reasons(item: Item) -> str | None:
    return "; ".join(item.reasons) or None


def _sum(items: Sequence[Item]) -> str:
    from recrun.report.terminal.lines import counted, size

    counts = {kind: sum(item.target.kind == kind for item in items) for kind in ("run", "sweep")}
    named = [counted(n, kind) for kind, n in counts.items() if n] or ["nothing"]
    return f"{' and '.join(named)}, {size(sum(item.contents.size for item in items))}"


def _document(
    items: Sequence[Item], *, dry_run: bool, failed: Sequence[tuple[Item, str]] = (), latest: Sequence[object] = ()
) -> dict[str, Any]:
    return {
        "would_remove" if dry_run else "removed": [item.document() for item in items],
        "failed": [{**item.document(), "cause": cause} for item, cause in failed],
        "bytes": sum(item.contents.size for item in items),
        "latest": [str(path) for path in latest],
    }
