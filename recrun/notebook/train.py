"""Train a model, from Python as `recrun train` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from recrun.errors import ConfigError, Fault
from recrun.notebook.run import Run
from recrun.notebook.wording import worded


@worded
def train(
    config: str | Path | Mapping[str, Any] | None = None,
    *,
    runs: str | Path = "runs",
    progress: bool = True,
    until: int | None = None,
    **settings: Any,
) -> Run:
    """Train a model in this process, and evaluate its best epoch on test.

    Args:
        config: a path, the name of a bundled config, or a mapping of settings in place of a file; None for recrun.yaml
            in the working folder, else the bundled bprmf.
        runs: the folder that holds the run folders.
        progress: whether the progress is shown: in a notebook in the output of the cell, elsewhere on stderr. Warnings
            are shown in any case.
        until: the run pauses after the evaluation at this epoch, or the first later one; `resume()` continues it, and
            its numbers do not depend on its pauses. None to train to the end.
        **settings: settings, which override those of the config; `resume=True` continues an unfinished run with the
            same settings.

    Returns:
        The run; its status is "paused" if it has paused.

    Raises:
        ConfigError: with every fault of the settings; nothing was started.
        DataError, CheckpointError: the data or the run to continue cannot be used; nothing was started.
        TrainingError: the run failed.
        KeyboardInterrupt: the run was interrupted; its state is saved, and the message says how to continue.
    """
    from recrun.config.resolve import resolve
    from recrun.notebook.fitting import fit
    from recrun.training.pause import Pause

    pause = Pause.read(until)
    try:
        resolved = resolve(config, settings)
    except ConfigError as error:
        raise ConfigError([_with_sweep(fault, settings) for fault in error.faults]) from None
    return Run(fit(resolved, runs=runs, progress=progress, pause=pause))


def _with_sweep(fault: Fault, settings: Mapping[str, Any]) -> Fault:
    """Return a fault that names `recrun.sweep` if a list was given where one value is expected."""
    is_list = fault.key in settings and fault.message.endswith("(a list)")
    return replace(fault, message=f"{fault.message}; recrun.sweep tries each value of a list") if is_list else fault
