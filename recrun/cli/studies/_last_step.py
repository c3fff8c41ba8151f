"""Make the last step of a sweep: what `recrun final` does, and `recrun sweep --final` after the sweep."""

from __future__ import annotations

from contextlib import suppress
from shlex import quote
from typing import TYPE_CHECKING

from recrun.cli._options import echo, print_notes
from recrun.errors import CheckpointError, ConfigError
from recrun.sweep.storage import as_argument

if TYPE_CHECKING:
    from pathlib import Path

    from recrun.sweep.engines.engine import MakeEngine
    from recrun.sweep.final.run import Finished, Wish
    from recrun.sweep.ledger import Ledger
    from recrun.sweep.planning.study import Plan


def refuse_final(plan: Plan, runs: Path) -> None:
    """Refuse a last step of a sweep that will not choose a point.

    Args:
        plan: the sweep.
        runs: the folder of all runs.

    Raises:
        ConfigError: it has nothing to choose, or several criteria.
    """
    if not any(lane.space.dimensions for lane in plan.lanes) and plan.of_subject is None:
        raise ConfigError("--final: the sweep varies repeats or the data alone, so it chooses nothing to train")
    if len(plan.criteria) > 1:
        from recrun.runs.records import read_json
        from recrun.sweep.final.choice import read_choices
        from recrun.sweep.storage import LEDGER, SWEEPS

        folder = runs / SWEEPS / plan.name
        with suppress(CheckpointError):  # a sweep that is damaged is refused when it is opened
            if (folder / LEDGER).is_file() and read_json(folder / LEDGER).get("status") == "done":
                read_choices(folder)  # it names the front
        named = quote(as_argument(folder))
        raise ConfigError(
            f"--final: by {len(plan.criteria)} criteria ({', '.join(plan.criteria)}), no single point is the best; "
            f"leave it out, and choose one of the front afterwards with 'recrun final {named} --point N'"
        )


def make_final(ledger: Ledger, make_engine: MakeEngine, jobs: int | None, *, as_json: bool, quiet: bool) -> int:
    """Make the last step of a sweep that has ended, print it unless as JSON, and return the exit code."""
    from recrun.sweep.final.run import Wish
    from recrun.sweep.row import DONE

    if ledger.status != DONE:
        print_notes(["the time was up before all trials were done, so --final trained nothing; repeat the command"])
        return 0
    finished = finish(ledger.folder, Wish(), make_engine, jobs, quiet=quiet)
    if not as_json:
        print_finals(finished)
    return finished.exit_code


def finish(folder: str | Path, wish: Wish, make_engine: MakeEngine, jobs: int | None, *, quiet: bool) -> Finished:
    """Make the last step of the sweep in a folder, and say what it does and what should be known."""
    from recrun.sweep.final.run import run_final

    def tell(text: str) -> None:
        if not quiet:
            echo(text, err=True)

    finished = run_final(folder, wish, make_engine, jobs=jobs, tell=tell)
    print_notes(finished.notes)
    return finished


def print_finals(finished: Finished) -> None:
    """Print the metrics of a last step."""
    from recrun.report.terminal.console import stdout_console
    from recrun.sweep.final.view import final_lines

    output = stdout_console()
    for final in finished.finals:
        for each in final_lines(final):
            output.print(each)
