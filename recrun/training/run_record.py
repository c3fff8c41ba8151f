"""Lock a run, describe it at its start and its numbers at its end, and keep its record in run.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from shlex import quote
from typing import Any, Final

from recrun.architectures.base import n_parameters
from recrun.config.monitor_names import LOSS
from recrun.errors import CheckpointError
from recrun.evaluation.evaluator import Evaluator
from recrun.evaluation.protocol import Protocol
from recrun.evaluation.protocol_text import on_split, protocol_text
from recrun.evaluation.user_sample import note_on_lists
from recrun.metrics.undefined import as_nulls, from_nulls, undefined_entry
from recrun.runs.folder import RunFolder, now
from recrun.runs.ids import write_ids
from recrun.runs.provenance import code_hashes, cost, environment
from recrun.training.loop_state import TrainingState
from recrun.training.pause import Paused
from recrun.training.run_settings import RunParts, RunSettings

_OF_RUN: Final = ("device", "code", "processes", "shard_embeddings")
"""What a run that is resumed may have changed of how it computes."""


@contextmanager
def locked(run: RunFolder, is_new: bool) -> Iterator[None]:
    """Lock a run; the folder of a new one that cannot be locked is removed."""
    with ExitStack() as stack:
        try:
            stack.enter_context(run.lock())
        except CheckpointError:
            if is_new and not run.is_running:
                run.remove_new()
            raise
        yield


def describe_run(
    run: RunFolder,
    parts: RunParts,
    settings: RunSettings,
    resumed_from: int | None,
    notes: Sequence[str] = (),
    origin: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what reporters are notified of when a run begins, and record it in run.json, and its ids beside that.

    Args:
        run: the folder of the run.
        parts: what is trained, on what.
        settings: the settings of the run.
        resumed_from: the epoch of the checkpoint that it continues from; None for one that starts.
        notes: on the settings; a resumed run has those with which it was started.
        origin: where the model's values come from, if they are not drawn; of a resumed run it is recorded already.

    Raises:
        ConfigError: the model is to start from a trained run, and does not.
    """
    if resumed_from is None:
        settings.require_origin(origin)
    base, cfg = parts.dataset.base, settings.cfg
    statistics = base.describe()
    record = run.read_run()
    protocol = protocol_entry(Protocol.of(cfg), base)
    told = protocol_text(protocol.get("protocol")), note_on_lists(protocol.get("protocol"), settings.metrics)
    notes = [*notes, *filter(None, told)]
    document = {
        "description": cfg.get("description"),
        "model": cfg.get("model") or type(parts.model).__name__,
        "dataset": cfg["dataset"],
        "n_parameters": n_parameters(parts.model),
        "device": str(parts.device),
        "seed": cfg["seed"],
        "which4best": str(settings.which4best),
        "statistics": statistics,
        "data": dict(base.hashes),
        "code": code_hashes(cfg),
        **({"processes": parts.n_processes} if parts.n_processes > 1 else {}),
        **({"shard_embeddings": True} if parts.divided is not None else {}),
        **protocol,
        **({} if origin is None else {"init_from": dict(origin)}),
    }
    write_ids(run, base)
    if "started" not in record:
        run.update_run(
            **document, **environment(), notes=list(notes), started=now(), status="running", test_evaluations=[]
        )
    else:
        entry = {"at": now(), "epoch": resumed_from, "changes": _changes(record, document)}
        forgotten = {"paused": None} if "paused" in record else {}
        run.update_run(
            resumed=[*record.get("resumed", []), entry], status="running", cause=None, ended=None, **forgotten
        )
    return {
        **document,
        "epochs": settings.epochs,
        "n_steps": None if parts.optimizer is None else parts.dataset.n_batches("train"),
        "run": str(run.path),
        "monitors": [LOSS, *map(str, settings.metrics)],
        "resumed_from": resumed_from,
        "notes": [*(record.get("notes") or notes), *getattr(base, "notes", [])],
    }


def _changes(record: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the code, versions and hardware of a resumed run that differ from those it was started with."""
    now_ = {**environment(), **{name: document.get(name) for name in _OF_RUN}}
    kept = ("git", "versions", "hardware", *_OF_RUN)
    return {name: now_[name] for name in kept if record.get(name) != now_[name]}


def result_of(
    run: RunFolder,
    parts: RunParts,
    settings: RunSettings,
    state: TrainingState,
    test: Mapping[str, float] | None,
    evaluator: Evaluator,
) -> dict[str, Any]:
    """Return the content of metrics.json; `state` has a best evaluation.

    Undefined metrics are null, with their reasons under "undefined".
    """
    assert state.best is not None
    valid = state.best.values if settings.validates else None
    parts_scored = {"valid": valid, "test": test}
    users = {split: counted for split, (counted, _) in state.users.items()}
    skipped = {split: left_out for split, (_, left_out) in state.users.items()}
    return {
        "run": str(run.path),
        "status": "done",
        "best_epoch": state.best.epoch,
        "which4best": str(settings.which4best),
        **{split: None if values is None else as_nulls(values) for split, values in parts_scored.items()},
        **undefined_entry({split: values or {} for split, values in parts_scored.items()}),
        **({"groups": dict(evaluator.groups)} if settings.groupings else {}),
        **_searches(evaluator, test is not None),
        "users": {**users, "skipped": skipped.get("test", skipped.get("valid", 0))},
        **rows_scored(parts, settings, state),
        **protocol_entry(evaluator.protocol, parts.dataset.base),
        "seconds": {**state.seconds, "total": sum(state.seconds.values())},
        "epochs": state.epoch,
        "stopped_early": state.stopped_early,
    }


def _searches(evaluator: Evaluator, is_tested: bool) -> dict[str, Any]:
    """Return {"index": {split: ...}} of the evaluations in which an approximate index was searched."""
    of_test = evaluator.searches.get("test") if is_tested else None
    found = {"valid": evaluator.best_search, "test": of_test}
    known = {split: each for split, each in found.items() if each is not None}
    return {"index": known} if known else {}


def end_test_evaluation(run: RunFolder, result: Mapping[str, Any]) -> None:
    """Enter the final numbers on test into the record of their evaluation, unless they are there already.

    Args:
        run: the run that evaluated test, as `RunFolder.begin_test_evaluation` recorded.
        result: the content of its metrics.json.
    """
    test, ledger = result.get("test"), run.read_run().get("test_evaluations")
    entries = ledger if isinstance(ledger, list) else []
    places = [n for n, entry in enumerate(entries) if isinstance(entry, dict) and entry.get("by") == "train"]
    if test is None or not places or entries[places[-1]].get("metrics") is not None:
        return
    values = from_nulls(test, result.get("undefined", {}).get("test", {}))
    run.end_test_evaluation(places[-1], values, **_named(on_split(result.get("protocol"), "test")))


def protocol_entry(protocol: Protocol, base: Any, split: str | None = None) -> dict[str, Any]:
    """Return {"protocol": ...} of candidates, seen items or a sample of users; nothing of all unseen items for all."""
    described = protocol.describe(base)
    return _named(described if split is None else on_split(described, split))


def _named(described: dict[str, Any] | None) -> dict[str, Any]:
    return {} if described is None else {"protocol": described}


def rows_scored(parts: RunParts, settings: RunSettings, state: TrainingState) -> dict[str, Any]:
    """Return {"rows": {split: count}} of the splits that were scored row by row; nothing for a model that ranks."""
    if settings.family.evaluation != "predictions":
        return {}
    counts = parts.dataset.base.describe()
    return {"rows": {split: counts[split] for split in state.users}}


def record_end(run: RunFolder, state: TrainingState, status: str, error: BaseException | None = None) -> bool:
    """Record in run.json how a run ended, and return whether that was possible.

    A folder that is gone or full must not hide the error that ended the run.

    Raises:
        OSError, CheckpointError: it cannot be recorded, and no error ended the run.
    """
    try:
        run.update_run(
            status=status,
            ended=now(),
            epochs_trained=state.epoch,
            cause=None if error is None else f"{type(error).__name__}: {error}",
            **({"paused": error.reason} if isinstance(error, Paused) else {}),
            cost=_total_cost(run.read_run()),
        )
    except (OSError, CheckpointError):
        if error is None:
            raise
        return False
    return True


def cannot_start(run: RunFolder, error: OSError) -> CheckpointError:
    """Return the error to raise for one of the file system that keeps a run from starting."""
    file = f": {error.filename}" if error.filename else ""
    return CheckpointError(f"the run {run.path} cannot start: {error.strerror or error}{file}")


def how_to_continue(run: RunFolder, settings: RunSettings) -> str:
    """Return how to continue a run: by a command, or by the settings of a script."""
    by_command = settings.cfg.get("model") is not None
    return f"recrun train --resume {quote(str(run.path))}" if by_command else f"resume: true, id: {run.path.name}"


def _total_cost(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the total cost of a run: that of this process and of the earlier ones that ended properly."""
    spent = cost()
    before = record.get("cost") or {}
    total = {name: round(spent[name] + before.get(name, 0.0), 3) for name in ("wall_seconds", "cpu_seconds")}
    return {**total, "peak_memory_mb": max(spent["peak_memory_mb"], before.get("peak_memory_mb", 0.0))}
