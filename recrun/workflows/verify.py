"""Comparing what a config gives with the numbers that it says it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from recrun.config.expected import KEY, Expected
from recrun.config.resolve import Resolved, resolve
from recrun.config.same_settings import changes_of_result
from recrun.errors import ConfigError, Fault, reading_order
from recrun.runs.folder import RunFolder, finished_record, open_run, read_json

_NOTHING: Final = (
    "the config says no number with a tolerance, so there is nothing to verify (those of a config that it extends "
    "count only where it changes nothing that is computed)"
)


@dataclass(frozen=True)
class Claim:
    """A config with its expected numbers, ready to be run.

    Args:
        resolved: what is to be run, overrides included.
        expected: the numbers of the config as it is written.
        changed: the settings that overrides have changed, each with how; the numbers are not of these.
    """

    resolved: Resolved
    expected: tuple[Expected, ...]
    changed: Mapping[str, str]


def read_claims(configs: Sequence[str | None], overrides: Sequence[str] = ()) -> list[Claim]:
    """Check configs, and that they say what to expect.

    Raises:
        ConfigError: with every fault found in all of them.
    """
    claims, faults = [], []
    for config in configs:
        try:
            claims.append(_read_claim(config, overrides))
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(sorted(dict.fromkeys(faults), key=reading_order))
    return claims


def _read_claim(config: str | None, overrides: Sequence[str]) -> Claim:
    written = resolve(config)
    resolved = resolve(config, overrides) if overrides else written
    if all(entry.tolerance is None for entry in written.expected):
        raise ConfigError(Fault(_NOTHING, KEY, written.path))
    settings = resolved.config
    faults = []
    for entry in written.expected:
        wanted = {"monitors": entry.metric in settings.monitors, f"eval_{entry.split}": settings[f"eval_{entry.split}"]}
        for key, is_measured in wanted.items():
            if not is_measured:
                message = f"{entry.split} {entry.metric} is expected by {resolved.path}, and is not measured so"
                faults.append(Fault(message, key))
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    changes = changes_of_result(written.config, settings)
    return Claim(resolved, written.expected, {key: str(change) for key, change in changes.items()})


def train(claim: Claim, runs: str | Path) -> dict[str, Any]:
    """Run a config in a new run folder, and return its final numbers (the content of metrics.json)."""
    # Only here: a finished run is compared without torch.
    from recrun.training.stop_signals import Interrupts
    from recrun.workflows.build import prepare

    fresh = replace(claim.resolved, config=claim.resolved.config.replace(resume=False))
    with Interrupts(at_once=True):
        coach = prepare(fresh, runs=runs)
    return coach.fit()


def read_result(claim: Claim, path: str | Path) -> dict[str, Any]:
    """Return the final numbers of a finished run that was made with the settings of a claim.

    Raises:
        CheckpointError: there is no finished run.
        ConfigError: it was made with other settings.
    """
    run: RunFolder = open_run(path)
    finished_record(run)
    changes = changes_of_result(run.read_settings(), claim.resolved.config, any_seed=True)
    if changes:
        message = f"the run {run.path} was made with another value, so it cannot verify this config: in the run it was"
        raise ConfigError([Fault(f"{message} {change.was}, here {change.now}", key) for key, change in changes.items()])
    return {**read_json(run.metrics_file), "run": str(run.path)}


def compare(claim: Claim, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison of a claim with a run's final numbers, as `recrun verify --json` prints it.

    A number is inside when it lies no further from the expected one than the tolerance; where that is null, it is only
    shown.
    """
    numbers = []
    for entry in claim.expected:
        measured = (result.get(entry.split) or {}).get(entry.metric)
        off = None if measured is None else measured - entry.value
        inside = None if entry.tolerance is None else off is not None and abs(off) <= entry.tolerance
        numbers.append(
            {
                "metric": entry.metric,
                "split": entry.split,
                "from": entry.origin,
                "value": entry.value,
                "measured": measured,
                "difference": off,
                "tolerance": entry.tolerance,
                "inside": inside,
                "source": entry.source,
                "protocol": entry.protocol,
            }
        )
    return {
        "config": claim.resolved.path,
        "run": result["run"],
        "inside": all(number["inside"] is not False for number in numbers),
        "cause": None,
        "changed": dict(claim.changed),
        "numbers": numbers,
    }


def failed(claim: Claim, error: Exception) -> dict[str, Any]:
    """Return what `compare` does for a claim whose run failed: nothing was measured, and the cause says why."""
    document = compare(claim, {"run": None})
    return {**document, "inside": False, "cause": str(error)}
