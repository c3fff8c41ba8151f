"""Load the model of a checkpoint together with its data, to evaluate it or to put it to use."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recrun.config.given.arguments import Overrides, read_overrides
from recrun.config.reading import Given
from recrun.config.resolve import Resolved, resolve_given
from recrun.config.settings import CANDIDATES, EVALUATED_USERS, INDEX, OF_EVALUATION
from recrun.config.suggestions.keys import meant_setting
from recrun.errors import CheckpointError, ConfigError
from recrun.evaluation.protocol import Protocol
from recrun.runs.checkpoint import load_checkpoint
from recrun.runs.find import locate_checkpoint
from recrun.runs.folder import RunFolder
from recrun.runs.provenance import refuse_strange_code
from recrun.training.checkpoint_state import last_line, refuse_other_data
from recrun.training.coach import Coach
from recrun.workflows.build import build
from recrun.workflows.threads import with_threads_of

_NAMING_CODE: Final = ("dataset", "split", "model", "monitors", "which4best")
"""The settings that may name code which a loaded checkpoint runs."""


@dataclass(frozen=True)
class Loaded:
    """The model of a checkpoint, with what it was trained on.

    Args:
        run: its run; None for a checkpoint outside of a run.
        file: the checkpoint.
        resolved: its config, with the overrides.
        coach: holds the model, with its weights, and the data.
        protocol_of_run: which items the run itself ranks in its evaluations.
    """

    run: RunFolder | None
    file: Path
    resolved: Resolved
    coach: Coach
    protocol_of_run: Protocol


def load(
    path: str | Path,
    overrides: Overrides = (),
    *,
    may_change: Collection[str] = OF_EVALUATION,
    trust: bool = False,
) -> Loaded:
    """Load the model of a checkpoint: build its data set and its model, and fill in its weights.

    Args:
        path: a run folder, one of its checkpoints, or a checkpoint file.
        overrides: `KEY=VALUE`, or Python values by key, for settings that change nothing of what was trained.
        may_change: the settings that `overrides` may name.
        trust: whether code of the user's own that the checkpoint names may be run although it was not run here before.

    Raises:
        CheckpointError: there is no checkpoint, it does not fit its config, or it names code that may not be run.
        DataError: the data is missing, or has changed since the training.
        ConfigError: an override is not among `may_change`.
    """
    run, file = locate_checkpoint(path)
    content = load_checkpoint(file)
    resolved = with_threads_of(_resolve(file, content, overrides, may_change, trust=trust), run)
    of_run = Protocol.of(content["config"])
    return Loaded(run, file, resolved, _build(resolved, file, content, of_run), of_run)


def _resolve(
    file: Path, content: dict[str, Any], overrides: Overrides, may_change: Collection[str], *, trust: bool
) -> Resolved:
    """Return the config in a checkpoint, with the overrides applied."""
    config = content.get("config")
    if not all(isinstance(content.get(part), dict) for part in ("config", "data", "model")) or config is None:
        raise CheckpointError(f"{file} holds no model with its config")
    given = read_overrides(overrides)
    if "monitors" in given and "which4best" not in given:
        config["which4best"] = None
    if not given.keys().isdisjoint(("candidates", "candidates_path")):  # other candidates are given as a whole
        config = {key: value for key, value in config.items() if key not in CANDIDATES}
    for setting, group in (("eval_users", EVALUATED_USERS), ("eval_index", INDEX)):  # so are samples and indexes
        config = {key: value for key, value in config.items() if setting not in given or key not in group}
    named = {key: config[key] for key in _NAMING_CODE if ".py:" in str(config.get(key))}
    faults = [
        value.fault(
            "cannot be changed for an evaluation; only settings of evaluation can"
            if set(may_change) == set(OF_EVALUATION)
            else f"cannot be changed here; only {', '.join(may_change)} can",
            key,
            meant_setting(key, may_change),
        )
        for key, value in given.items()
        if key not in may_change and key not in named
    ]
    if faults:
        raise ConfigError(faults)
    refuse_strange_code(str(file), named, named=given, trust=trust)
    carried = {str(key): Given(value) for key, value in config.items()}
    return resolve_given(carried | given, str(file))


def _build(resolved: Resolved, file: Path, content: dict[str, Any], of_run: Protocol) -> Coach:
    """Build the data set and the model of a checkpoint, and load its weights; other candidates are no other data."""
    try:
        coach = build(resolved, to_train=False)
    except (RuntimeError, MemoryError) as error:
        raise CheckpointError(f"the model of {file} cannot be built: {last_line(error)}") from error
    before, now, protocol = dict(content["data"]), dict(coach.dataset.base.hashes), Protocol.of(resolved.config)
    if protocol.path != of_run.path:
        before.pop(of_run.path, None)
        now.pop(str(protocol.path), None)
    refuse_other_data(f"the model of {file}", before, now)
    try:
        coach.model.load_state_dict(content.pop("model"))  # a large model is not held twice while it is scored
    except (RuntimeError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file} does not fit its config and data: {last_line(error)}") from None
    return coach
