"""Estimate what a run takes, by a short one in a folder that is removed: time, memory and disk."""

from __future__ import annotations

import gc
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from recrun.config.config import Config
from recrun.config.resolve import Resolved
from recrun.config.trackers import require_packages, untracked
from recrun.data.large.scratch import LARGE
from recrun.memory import available_memory
from recrun.report.terminal.lines import counted, duration, size
from recrun.runs.cost import epochs_of, evaluations_of, run_seconds
from recrun.training.reporter import make_reporters
from recrun.workflows.build import build_data, describe, prepare
from recrun.workflows.dry_run.fits import existing, memory_guarded, refuse_large_tables, refuse_on_disk
from recrun.workflows.dry_run.short_run import FIT_SECONDS, Measured, ShortCoach


def estimate(resolved: Resolved, runs: str | Path = "runs", *, start: float = 0.0) -> dict[str, Any]:
    """Return what a run does, see `describe`, and under "estimate" what it takes.

    A short run is made in a temporary folder, which is removed; only the cache of the data stays.

    Args:
        resolved: a checked config.
        runs: the folder in which the run is to be.
        start: the seconds in which the process started, which are part of the run.

    Raises:
        ConfigError: it cannot be built, or does not fit in memory or on disk.
        DataError: its data cannot be read.
        Interrupted: it was asked to stop.
    """
    require_packages(resolved.config.track)
    dataset = build_data(resolved)  # by now it is cached, so that it is read at once below
    cached = getattr(dataset, "cached_in", None)
    written = refuse_large_tables(resolved, dataset, runs)
    del dataset
    gc.collect()
    # In memory or on a small disk, the folder of temporary files may have no room for what the run has room for.
    beside = existing(runs) if shutil.disk_usage(tempfile.gettempdir()).free < 2 * written else None
    with tempfile.TemporaryDirectory(prefix="recrun-estimate-", dir=beside) as folder:
        short = replace(resolved, config=_short(resolved.config))
        begun = time.perf_counter() - start
        with memory_guarded(resolved) as guard:
            coach: Any = prepare(
                short,
                runs=folder,
                reporters=lambda run, resumed_from: make_reporters(run, short.config, resumed_from),
                kind=ShortCoach,
            )
            guard.coach = coach
            measured = coach.measure(time.perf_counter() - begun)
    document = describe(resolved, coach)
    free = shutil.disk_usage(existing(runs)).free
    found = _estimate(resolved.config, measured, coach, cached, free)
    refuse_on_disk(found["disk_bytes"]["while_writing"], free, runs, resolved.config)
    return {**document, "notes": list(dict.fromkeys(document["notes"])), "estimate": found}


def _short(config: Config) -> Config:
    """Return the config of the short run: quiet, new, and without trackers."""
    return untracked(config.replace(verbose=0, resume=False, id="estimate"))


def _estimate(
    config: Config, measured: Measured, coach: ShortCoach, cached: Path | None, free_disk: int
) -> dict[str, Any]:
    is_closed = coach.settings.closed_form
    is_fitted = not is_closed or measured.fit is not None
    cache = sum(file.stat().st_size for file in cached.iterdir()) if cached is not None and cached.is_dir() else 0
    folder = measured.folder_size(epochs_of(config)) if is_fitted else None
    per_user = sum(bytes_ for name, bytes_ in measured.files.items() if name.startswith("per_user"))
    if folder is not None and coach.settings.validates and config.eval_test:
        folder += per_user
    if folder is not None and not is_closed and epochs_of(config) % config.eval_freq:
        folder += measured.best_checkpoint  # the last evaluation is not due, and no checkpoint follows it
    free = available_memory()
    return {
        "seconds": {**_seconds(config, measured, coach), "is_most": config.get("early_stop_patience") is not None},
        "n_evaluations": _n_evaluations(config, coach),
        "measured": {
            "batches": measured.batches,
            "n_batches": measured.n_batches,
            "share_of_evaluation": measured.share if measured.evaluation is not None else None,
        },
        "memory_bytes": {"peak": measured.memory if is_fitted else None, "gpu_peak": measured.gpu_memory}
        | {"measured": measured.memory},
        "disk_bytes": {
            "run": folder,
            # A new checkpoint is written beside the old one, and the best one is kept until the last is written.
            "while_writing": None if folder is None else folder + measured.largest_file + measured.best_checkpoint,
            "cache": cache,
        },
        "free_bytes": {"memory": None if free is None else free + _resident(), "disk": free_disk},
    }


def _n_evaluations(config: Config, coach: ShortCoach) -> int:
    """Return how often the run evaluates: on validation, once more for groups, and once on test."""
    on_valid = (evaluations_of(config) or 1) + bool(config.groups) if coach.settings.validates else 0
    return on_valid + bool(config.eval_test)


def _seconds(config: Config, measured: Measured, coach: ShortCoach) -> dict[str, float | None]:
    """Return the seconds of the parts of a run, and of all of it; None for what is not known."""
    evaluation = measured.evaluation or 0.0
    if coach.settings.closed_form:
        total = (
            None if measured.fit is None else measured.rest + measured.fit + _n_evaluations(config, coach) * evaluation
        )
        return {"fit": measured.fit, "evaluation": measured.evaluation, "rest": measured.rest, "total": total}
    n_checkpoints = epochs_of(config) // config.checkpoint_freq
    others = measured.rest + n_checkpoints * measured.checkpoint
    # Of the evaluations, those on validation are added by the number of epochs.
    on_valid = evaluations_of(config) if coach.settings.validates else 0
    others += (_n_evaluations(config, coach) - on_valid) * evaluation
    known = measured.epoch is not None or not epochs_of(config)
    each = evaluation if on_valid else 0.0
    return {
        "epoch": measured.epoch,
        "evaluation": measured.evaluation,
        "checkpoint": measured.checkpoint,
        "rest": measured.rest,
        "total": run_seconds(config, epoch=measured.epoch or 0.0, evaluation=each, rest=others) if known else None,
    }


def _resident() -> int:
    """Return the bytes of memory that this process has now, as far as the system says."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * 4096


def lines_of(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield an estimate as lines of text.

    Args:
        document: what `estimate` returned.
    """
    found = document["estimate"]
    seconds, memory, disk, free = (found[key] for key in ("seconds", "memory_bytes", "disk_bytes", "free_bytes"))
    parts = []
    if "fit" in seconds:
        long = f"not estimated: more than {duration(FIT_SECONDS)}"
        parts.append(f"fit {long if seconds['fit'] is None else duration(seconds['fit'])}")
    elif document["epochs"]:
        parts.append(f"an epoch {'not estimated' if seconds['epoch'] is None else duration(seconds['epoch'])}")
    if seconds["evaluation"] is not None:
        parts.append(f"an evaluation {duration(seconds['evaluation'])}")
    if seconds["total"] is not None:
        n_evaluations = counted(found["n_evaluations"], "evaluation")
        epochs = "" if "fit" in seconds else f"{counted(document['epochs'], 'epoch')} and "
        most = "at most " if seconds["is_most"] else ""
        parts.append(f"the run {most}{duration(seconds['total'])} ({epochs}{n_evaluations})")
    yield f"time: {', '.join(parts)}"
    room = "" if free["memory"] is None else f"; {size(free['memory'])} are free"
    gpu = "" if memory["gpu_peak"] is None else f", {size(memory['gpu_peak'])} on the GPU"
    if memory["peak"] is None:
        yield f"memory: not estimated, {size(memory['measured'])} so far{room}"
    else:
        mapped = ", with pages of the cached data that the system may drop" if disk["cache"] >= LARGE else ""
        yield f"memory: {size(memory['peak'])} at its peak{mapped}{gpu}{room}"
    cache = f", {size(disk['cache'])} for the cached data" if disk["cache"] else ""
    run = "not estimated" if disk["run"] is None else f"{size(disk['run'])} for the run"
    writing = "" if disk["run"] is None else f", {size(disk['while_writing'])} while it writes checkpoints"
    yield f"disk: {run}{writing}{cache}; {size(free['disk'])} are free"
    measured = found["measured"]
    if measured["batches"]:
        of = "" if measured["n_batches"] is None else f" of {measured['n_batches']:,}"
        share = measured["share_of_evaluation"]
        evaluated = (
            "" if share is None else ", " + ("a whole evaluation" if share == 1 else f"{share:.0%} of an evaluation")
        )
        yield f"measured: {measured['batches']:,}{of} batches of an epoch{evaluated}"
