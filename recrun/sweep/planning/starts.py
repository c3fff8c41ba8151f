"""Check the runs that trials start from (`init_from`) before the first trial begins, and name them for good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from recrun.config.resolve import Resolved
from recrun.config.yaml_writer import dump_value
from recrun.errors import CheckpointError, Fault
from recrun.sweep.space.variation import Variation


def missing_starts(trials: Sequence[Resolved], variations: Sequence[Variation]) -> Iterator[Fault]:
    """Yield a fault, where it was given, for each run that trials are to start from and that cannot be read."""
    for path, trial in {str(each.config["init_from"]): each for each in trials if _starts(each)}.items():
        # Imported here, because reading a checkpoint needs torch.
        from recrun.workflows.start_source import read_source

        try:
            read_source(path)
        except CheckpointError as error:
            places = (each.place("init_from", path) for each in variations)
            place = next((each for each in places if each is not None), None)
            if place is not None:
                yield place.fault(str(error), "init_from")
            else:  # it is in the config
                yield trial.given["init_from"].fault(str(error), "init_from")


def with_absolute_start(trial: Resolved) -> Resolved:
    """Return a trial that starts from the run that `init_from` names now, wherever `latest` points later."""
    if not _starts(trial):
        return trial
    from recrun.workflows.start_source import absolute_start

    return replace(trial, config=trial.config.replace(init_from=absolute_start(trial.config["init_from"])))


def with_absolute_argument(arguments: Sequence[str], config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the arguments of a trial with the path that its config has."""
    return tuple(
        f"init_from={dump_value(config['init_from'])}" if each.startswith("init_from=") else each for each in arguments
    )


def _starts(trial: Resolved) -> bool:
    return trial.config.get("init_from") is not None
