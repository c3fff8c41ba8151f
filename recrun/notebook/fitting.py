"""Train a run in this process, as a guest: the process goes on afterwards, and so do its random numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from recrun.config.find import bundled_configs
from recrun.config.resolve import Resolved
from recrun.notebook.display import cell_output
from recrun.notebook.html import near
from recrun.notebook.wording import for_python
from recrun.runs.folder import RunFolder
from recrun.training.pause import Pause, Paused
from recrun.training.stop_signals import Interrupted, keeping_the_process
from recrun.training.torch_workarounds import let_threads_sleep

if TYPE_CHECKING:
    from recrun.training.reporter import Reporter


def fit(
    resolved: Resolved,
    *,
    runs: str | Path = "runs",
    run: RunFolder | None = None,
    progress: bool = True,
    pause: Pause | None = None,
) -> RunFolder:
    """Train, and return the folder of the run.

    Args:
        resolved: a checked config.
        runs: the root of the run folders.
        run: the run to continue; None for a new one.
        progress: whether the progress is shown.
        pause: when the run pauses; None for never.

    Raises:
        RecrunError: the run cannot be built, or fails.
        Interrupted: it was asked to stop; its state is saved.
    """
    if "torch" not in sys.modules:
        let_threads_sleep()
    import torch

    from recrun.randomness import undisturbed_random_state
    from recrun.training.reporter import make_reporters
    from recrun.workflows.build import prepare

    verbose = resolved.config.verbose if progress else 0
    if verbose and cell_output() is None:
        say(f"config: {config_name(resolved.path)}")

    def reporters(folder: RunFolder, resumed_from: int | None) -> list[Reporter]:
        return make_reporters(folder, coach.cfg, resumed_from, live=_view(folder, resolved.path, verbose, resumed_from))

    with undisturbed_random_state(torch.device("cpu")), keeping_the_process():
        coach = prepare(resolved, runs=runs, run=run, reporters=reporters, latest=True, verbose=verbose)
        coach.pause = coach.pause if pause is None else pause
        try:
            coach.fit()
        except Paused as paused:
            if verbose and cell_output() is None:
                say(for_python(str(paused)))
        except Interrupted:
            path = near(coach.run.path)
            raise Interrupted(f"interrupted; continue with: recrun.load({path!r}).resume()") from None
    return coach.run


def say(text: str) -> None:
    """Print a line on stderr, among the progress."""
    from recrun.report.terminal.console import stderr_console

    stderr_console().print(text)


def say_notes(notes: Iterable[str]) -> None:
    """Print what a user should know about the settings, among the progress."""
    for note in notes:
        say(f"note: {note}")


def config_name(path: str) -> str:
    """Return what a config is called: the name of a bundled one, else its path."""
    names = {str(file): name for name, file in bundled_configs().items()}
    return names.get(path) or near(path)


def _view(run: RunFolder, config: str, verbose: int, resumed_from: int | None) -> Reporter | None:
    """Return what shows the progress in a notebook; None for what shows it elsewhere, and for warnings alone."""
    output = cell_output() if verbose else None
    if output is None:
        return None
    from recrun.notebook.progress import RunView
    from recrun.report.terminal.board import MAX_ROWS
    from recrun.runs.history import recent_history

    view = RunView(output, config_name(config), verbose)
    if resumed_from is not None:
        view.recall(recent_history(run.metrics_lines_file, 2 * MAX_ROWS))
    return view
