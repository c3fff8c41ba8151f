"""Repeat a run, compare every number, and find the reasons why numbers may differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from recrun.config.given.arguments import read_overrides
from recrun.config.resolve import resolve
from recrun.config.same_settings import FREE
from recrun.config.settings import AUTO
from recrun.config.trackers import require_packages, untracked
from recrun.errors import ConfigError
from recrun.metrics.undefined import as_nulls
from recrun.runs.find import folder_of_runs
from recrun.runs.folder import RunFolder, finished_record, open_run
from recrun.runs.history import read_history
from recrun.runs.provenance import code_hashes, data_differences, environment, refuse_strange_code
from recrun.runs.records import read_json
from recrun.workflows.build import build, portable, start
from recrun.workflows.threads import with_threads_of

_COMPARED: Final = ("valid", "test", "best_epoch", "which4best", "epochs", "users")
_NOWHERE: Final = "absent"
_REFUSAL: Final = f"cannot be changed when a run is reproduced; can be changed: {', '.join(FREE)}"


@dataclass(frozen=True)
class Difference:
    """A number that differs between a run and its reproduction.

    Args:
        where: the number, such as "test ndcg@20" or "epoch 3 train loss".
        then: its value in the run.
        now: its value in the reproduction.
    """

    where: str
    then: Any
    now: Any


def reproduce(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    runs: str | Path | None = None,
    trust: bool = False,
    verbose: int | None = None,
) -> dict[str, Any]:
    """Run a finished run again, in a new run folder, and compare every number.

    Args:
        path: the run's folder.
        overrides: `KEY=VALUE` settings that do not change results (`root`), or `init_from` if that run has moved.
            Plots are drawn only with `plots=true`, and it is reported to trackers only if `track` is given.
        runs: the root of the new run folder; None for that of the given run (see `folder_of_runs`).
        trust: whether code of the user's own that the run names may be run although it was not run here before.
        verbose: how much is shown now, whatever the config says; None for what the config says.

    Returns:
        The document of `recrun reproduce --json`. "reproduction" is None if the data has changed: then nothing is
        trained.

    Raises:
        CheckpointError: there is no finished run, it is damaged, or it names code that may not be run.
        ConfigError: its config does not fit this version, or an override may change results.
    """
    run = open_run(path)
    record = finished_record(run)
    changed = read_overrides(overrides)
    # Where the run that it started from has moved to may be said, since that is recognised by its digest.
    free = (*FREE, "init_from") if isinstance(record.get("init_from"), Mapping) else FREE
    faults = [value.fault(_REFUSAL, key) for key, value in changed.items() if key not in free]
    if faults:
        raise ConfigError(faults)
    no_plots = [] if "plots" in changed else ["plots=false"]
    conditions = [each for each in conditions_of(record, run.read_settings()) if each.partition("=")[0] not in changed]
    given = [*conditions, *no_plots, *overrides]
    resolved = resolve(run.config_file, given)
    if "track" not in changed:
        resolved = replace(resolved, config=untracked(resolved.config))
    require_packages(resolved.config.track)
    refuse_strange_code(f"the run {run.path}", resolved.config, named=(), trust=trust)
    resolved = with_threads_of(resolved, run)
    coach = build(resolved)
    hashes = dict(coach.dataset.base.hashes)
    document: dict[str, Any] = {"run": str(run.path), "reproduction": None, "equal": False, "compared": 0}
    if data_differences(record.get("data") or {}, hashes):
        now = {"data": hashes, "code": code_hashes(resolved.config), "device": str(coach.device), **environment()}
        return {**document, "differences": [], "reasons": reasons(record, now)}
    start(resolved, coach)
    changed_start = _changed_start(record.get("init_from"), coach.origin)
    if changed_start:
        return {**document, "differences": [], "reasons": changed_start}
    settings = portable(resolved)
    coach.compile(settings, settings.monitors, runs=folder_of_runs(run) if runs is None else runs, repeats=True)
    if verbose is not None:
        coach.show(verbose)
    coach.fit()
    compared, differences = compare(run, coach.run)
    return {
        **document,
        "reproduction": str(coach.run.path),
        "equal": not differences,
        "compared": compared,
        "differences": [vars(each) for each in differences],
        "reasons": reasons(record, coach.run.read_run()) if differences else [],
    }


def _changed_start(then: Any, now: Mapping[str, Any] | None) -> list[str]:
    """Return the reason why a run does not start from the values that it started from the first time, if so."""
    if now is None or not isinstance(then, Mapping) or then.get("sha256") == now["sha256"]:
        return []
    digests = f"(SHA-256 {str(then.get('sha256'))[:12]}... then, {now['sha256'][:12]}... now)"
    return [f"init_from: {now['checkpoint']} has changed {digests}"]


def conditions_of(record: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """Return overrides with the threads and the device that a run used, if its config does not fix them.

    Args:
        record: its run.json.
        settings: its config.
    """
    overrides = []
    threads = (record.get("hardware") or {}).get("threads")
    if settings.get("threads") in (None, AUTO) and isinstance(threads, int):
        overrides.append(f"threads={threads}")
    device = record.get("device")
    if settings.get("device") == "auto" and isinstance(device, str):
        overrides.append(f"device={device}")
    return overrides


def compare(run: RunFolder, other: RunFolder) -> tuple[int, list[Difference]]:
    """Compare all numbers of two runs: their results, and every value of every epoch.

    Returns:
        How many numbers were compared, and those that differ in any digit.
    """
    then, now = dict(_numbers(run)), dict(_numbers(other))
    if run.read_run().get("resumed"):
        # A run whose epochs were raised was also evaluated at its original end.
        then = {where: value for where, value in then.items() if where in now or not where.startswith("epoch ")}
    names = list(dict.fromkeys([*then, *now]))
    differences = [
        Difference(where, then.get(where, _NOWHERE), now.get(where, _NOWHERE))
        for where in names
        if then.get(where, _NOWHERE) != now.get(where, _NOWHERE)
    ]
    return len(names), differences


def _numbers(run: RunFolder) -> Iterator[tuple[str, Any]]:
    result = read_json(run.metrics_file)
    for part in _COMPARED:
        yield from _flatten(part, result.get(part))
    for line in read_history(run.metrics_lines_file, strict=True):
        yield from _flatten(f"epoch {line['epoch']} {line['split']}", as_nulls(line["values"]))


def _flatten(where: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flatten(f"{where} {name}", item)
    else:
        yield where, value


def reasons(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the differences of two run.json on which numbers depend: data, code, versions, hardware, device."""
    found = [f"data: {text}" for text in data_differences(then.get("data") or {}, now.get("data") or {})]
    found += [
        f"code: {file} has changed" if file in (now.get("code") or {}) else f"code: {file} is missing"
        for file, digest in (then.get("code") or {}).items()
        if (now.get("code") or {}).get(file) != digest
    ]
    found += _commits(then.get("git"), now.get("git"))
    for part in ("versions", "hardware"):
        before, after = then.get(part) or {}, now.get(part) or {}
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                found.append(f"{part}: {name} {before.get(name)} then, {after.get(name)} now")
    if then.get("device") != now.get("device"):
        found.append(f"device: {then.get('device')} then, {now.get('device')} now")
    for entry in then.get("resumed") or []:
        changed = [name for name in entry.get("changes") or {} if name in ("device", "hardware", "versions", "code")]
        if changed:
            found.append(f"the run was resumed at epoch {entry.get('epoch')} with a different {', '.join(changed)}")
    if str(now.get("device", "")).startswith(("cuda", "mps")):
        found.append(f"device: some kernels of {now['device']} are not deterministic")
    return found


def _commits(then: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> Iterator[str]:
    before, after = then or {}, now or {}
    if before.get("commit") != after.get("commit"):
        yield f"code: recrun was at commit {before.get('commit')} then, {after.get('commit')} now"
    elif before.get("changes") != after.get("changes"):
        yield "code: the uncommitted changes in recrun's clone are different now"
