"""Compare the metrics of a config with its expected values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from recrun.config.expected import KEY, Expected
from recrun.config.given.arguments import read_overrides
from recrun.config.resolve import Resolved, resolve
from recrun.config.same_settings import changes_of_result
from recrun.config.trackers import untracked
from recrun.errors import ConfigError, Fault, reading_order
from recrun.metrics.undefined import reason_in
from recrun.runs.folder import RunFolder, finished_record, open_run
from recrun.runs.records import read_json

_NOTHING: Final = (
    "the config has no expected value with a tolerance; add one (those of a config that it extends count only if it "
    "changes nothing that is computed)"
)


@dataclass(frozen=True)
class Claim:
    """A config and its expected values, ready to be run.

    Args:
        resolved: the config to run, with overrides.
        expected: the expected values of the config without overrides.
        changed: the settings that overrides change and that affect results, each with a description of the change.
    """

    resolved: Resolved
    expected: tuple[Expected, ...]
    changed: Mapping[str, str]


def read_claims(configs: Sequence[str | None], overrides: Sequence[str] = ()) -> list[Claim]:
    """Check configs, and that they have expected values.

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
    if "plots" not in read_overrides(overrides):
        resolved = replace(resolved, config=resolved.config.replace(plots=False))
    if "track" not in read_overrides(overrides):
        resolved = replace(resolved, config=untracked(resolved.config))
    if all(entry.tolerance is None for entry in written.expected):
        raise ConfigError(Fault(_NOTHING, KEY, written.path))
    settings = resolved.config
    faults = []
    for entry in written.expected:
        wanted = {"monitors": entry.metric in settings.monitors, f"eval_{entry.split}": settings[f"eval_{entry.split}"]}
        for key, is_measured in wanted.items():
            if not is_measured:
                message = f"{resolved.path} expects {entry.split} {entry.metric}, which is not measured here"
                faults.append(Fault(message, key))
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    changes = changes_of_result(written.config, settings)
    return Claim(resolved, written.expected, {key: str(change) for key, change in changes.items()})


def train(claim: Claim, runs: str | Path, verbose: int | None = None) -> dict[str, Any]:
    """Run a config in a new run folder, and return its final numbers (the content of metrics.json).

    Args:
        claim: the config.
        runs: the root of the run folders.
        verbose: how much is shown, whatever the config says.
    """
    # Imported here, because comparing a finished run needs no torch.
    from recrun.workflows.build import prepare

    fresh = replace(claim.resolved, config=claim.resolved.config.replace(resume=False))
    return prepare(fresh, runs=runs, verbose=verbose).fit()


def read_result(claim: Claim, path: str | Path) -> dict[str, Any]:
    """Return the final numbers of a finished run that has the settings of a claim.

    Raises:
        CheckpointError: there is no finished run.
        ConfigError: it has other settings.
    """
    run: RunFolder = open_run(path)
    finished_record(run)
    changes = changes_of_result(run.read_settings(), claim.resolved.config, any_seed=True)
    if changes:
        message = f"the run {run.path} has a different value, so it cannot verify this config: in the run it was"
        raise ConfigError([Fault(f"{message} {change.was}, here {change.now}", key) for key, change in changes.items()])
    return {**read_json(run.metrics_file), "run": str(run.path)}


def compare(claim: Claim, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison of a claim with a run's final numbers, as `recrun verify --json` prints it.

    A value is inside if its distance from the expected one is at most the tolerance; if that is null, the value is only
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
                "undefined": reason_in(result, entry.split, entry.metric),
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
    """Return the document of `compare` for a claim whose run failed: nothing was measured, and "cause" says why."""
    document = compare(claim, {"run": None})
    return {**document, "inside": False, "cause": str(error)}
