"""From a resolved config to a running experiment: the one place that knows all the parts, and that seeds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from recrun import devices
from recrun.architectures import n_parameters
from recrun.checkpoint import load_checkpoint
from recrun.configfile import read_overrides
from recrun.dict2obj import Config
from recrun.errors import CheckpointError, ConfigError, Fault, nearest
from recrun.launcher import Coach, ReporterFactory
from recrun.monitors import Reporter
from recrun.registry import DATASETS, LOSSES, MODELS, OPTIMIZERS, SAMPLERS, SCHEDULERS
from recrun.resolve import Resolved, resolve, resolve_given
from recrun.resume import FREE, refused_changes
from recrun.runs import RunFolder
from recrun.runsearch import locate_checkpoint, resumable
from recrun.state import last_line, refuse_other_data
from recrun.userfiles import is_file_reference
from recrun.utils import draw_seed, seed_everything
from recrun.yamlfile import Given

EVALUATION_KEYS: Final = frozenset({"monitors", "which4best", "device", "threads", "eval_memory", "root", "verbose"})
"""What `recrun eval` may change: how to evaluate and where things are, not what was trained."""
_EVALUATED: Final = ("dataset", "model")
"""The components that an evaluation builds."""


def prepare(
    resolved: Resolved,
    *,
    runs: str | Path = "runs",
    run: RunFolder | None = None,
    reporters: ReporterFactory | None = None,
) -> Coach:
    """Build everything a config names and open its run folder; `fit()` is all that is left to do.

    Args:
        resolved: a checked config.
        runs: where run folders are made.
        run: the run to continue; a new one (or the one that `resume: true` finds) when None.
        reporters: makes those who are told of the run; the usual ones when None.

    Raises:
        ConfigError, DataError, CheckpointError: it cannot be built; no run folder was made.
    """
    resolved = _settle_seed(resolved, runs)
    coach = build(resolved)
    settings = _portable(resolved)
    coach.compile(settings, settings.monitors, run=run, runs=runs, reporters=reporters)
    return coach


def build(resolved: Resolved, *, to_train: bool = True) -> Coach:
    """Build the data set, the model and (if asked) what trains it, seeded, without touching any run folder."""
    config = resolved.config
    _set_up_torch(config)
    device = devices.select(config.device)
    seed_everything(config.seed)
    dataset = DATASETS.get(resolved.components["dataset"].name)(config.root, **resolved.arguments("dataset"))
    data = dataset.training_data()
    model: nn.Module = MODELS.get(resolved.components["model"].name)(data, **resolved.arguments("model"))
    if not resolved.trains or not to_train:
        return Coach(model=model, dataset=dataset, device=device)
    model.to(device)
    optimizer_spec = resolved.components["optimizer"]
    if optimizer_spec.traits.get("sparse"):
        _use_sparse_gradients(model)
    optimizer = OPTIMIZERS.get(optimizer_spec.name)(model.parameters(), **resolved.arguments("optimizer"))
    scheduler = SCHEDULERS.get(config.lr_scheduler)(optimizer, config.epochs, **resolved.arguments("lr_scheduler"))
    criterion = LOSSES.get(resolved.components["loss"].name)(**resolved.arguments("loss"))
    criterion.bind(data.n_items)
    return Coach(
        model=model,
        dataset=_training_pipe(resolved, dataset, data),
        criterion=criterion,
        optimizer=optimizer,
        lr_scheduler=scheduler,
        device=device,
    )


def plan(resolved: Resolved) -> dict[str, Any]:
    """Return what a run would do, without training: sizes, steps, device, data."""
    coach = build(_settle_seed(resolved))
    config = resolved.config
    return {
        "config": resolved.path,
        "model": config.model,
        "n_parameters": n_parameters(coach.model),
        "device": str(coach.device),
        "dataset": config.dataset,
        "statistics": coach.dataset.base.describe(),
        "epochs": config.epochs if resolved.trains else 1,
        "steps_per_epoch": coach.dataset.n_batches("train") if resolved.trains else None,
        "notes": list(coach.dataset.base.notes),
    }


def evaluate(
    path: str | Path, overrides: Sequence[str] = (), *, split: str = "test", reporters: Sequence[Reporter] = ()
) -> dict[str, Any]:
    """Score a checkpoint on one split, and record it in the run when that split is test.

    Args:
        path: a run folder, one of its checkpoints, or a checkpoint file.
        overrides: `KEY=VALUE` for the settings of evaluation (`EVALUATION_KEYS`).
        split: "valid" or "test".
        reporters: who is told of the progress.

    Returns:
        The document of `recrun eval --json`.

    Raises:
        CheckpointError: there is no checkpoint, or it does not fit its config or the data.
        ConfigError: an override is not one of evaluation, or there is no such split.
    """
    run, file = locate_checkpoint(path)
    content = load_checkpoint(file)
    resolved = _resolve_checkpoint(run, file, content, overrides)
    coach = _build_to_evaluate(resolved, file, content)
    if not coach.dataset.base.describe()[split]:
        raise ConfigError(f"the data has no {split} part to evaluate on")
    place = _enter(run, file) if split == "test" and run is not None else None
    values = coach.score(split, resolved.config, resolved.config.monitors, reporters)
    if place is not None and run is not None:
        run.end_test_evaluation(place, values)
    return {
        "run": None if run is None else str(run.path),
        "checkpoint": str(file),
        "split": split,
        "metrics": values,
        "users": coach.progress.users[split][0],
    }


def resolve_run(run: RunFolder, overrides: Sequence[str] = ()) -> Resolved:
    """Resolve the config that a run was started with, for continuing it.

    Args:
        run: the run.
        overrides: `KEY=VALUE` for settings that do not decide what is computed (`recrun.resume.FREE`), and a larger
            number of `epochs`.

    Raises:
        ConfigError: the run's config is damaged, does not fit this version, or an override changes what is computed.
    """
    before = resolve(run.config_file)
    if not overrides:
        return before
    given = read_overrides(overrides)
    now, problem = before, None
    try:
        now = resolve(run.config_file, overrides)
        refused = refused_changes(before.config, now.config)
    except ConfigError as error:
        # Another model would make faults of all settings of this one; what matters is that it cannot be changed.
        problem, refused = error, {key: "" for key in given if key in before.config and key not in (*FREE, "epochs")}
    faults = [value.fault(_refusal(refused[key]), key) for key, value in given.items() if key in refused]
    if faults:
        raise ConfigError(faults)
    if problem is not None:
        raise problem
    return now


def _refusal(change: str) -> str:
    allowed = f"{', '.join(FREE)}, and epochs to go on longer"
    return f"cannot be changed in a run that is resumed{f': {change}' if change else ''}; what can be: {allowed}"


def _resolve_checkpoint(
    run: RunFolder | None, file: Path, content: dict[str, Any], overrides: Sequence[str]
) -> Resolved:
    """Return the config that a checkpoint carries, with the settings of evaluation changed.

    A checkpoint is data: code that it names is only run if the config of its run names it as well, or the caller does.
    """
    config = content.get("config")
    if not all(isinstance(content.get(part), dict) for part in ("config", "data", "model")) or config is None:
        raise CheckpointError(f"{file} holds no model with its config")
    named = {key: config[key] for key in _EVALUATED if is_file_reference(str(config.get(key)))}
    given = read_overrides(overrides)
    faults = [
        value.fault(
            "cannot be changed for an evaluation; it is part of what was trained", key, nearest(key, EVALUATION_KEYS)
        )
        for key, value in given.items()
        if key not in EVALUATION_KEYS and key not in named
    ]
    if faults:
        raise ConfigError(faults)
    known = run.read_settings() if run is not None and named.keys() - given.keys() else {}
    for key, reference in named.items():
        if key not in given and known.get(key) != reference:
            raise CheckpointError(
                f"{file} names code as its {key}: {reference}. A checkpoint alone does not run code; to load that "
                f"file, name it yourself with {key}={reference}"
            )
    if "monitors" in given and "which4best" not in given:
        config["which4best"] = None
    carried = {str(key): Given(value) for key, value in config.items()}
    return resolve_given(carried | given, str(file))


def _build_to_evaluate(resolved: Resolved, file: Path, content: dict[str, Any]) -> Coach:
    """Build the data set and the model of a checkpoint, which must fit it."""
    try:
        coach = build(resolved, to_train=False)
    except (RuntimeError, MemoryError) as error:
        raise CheckpointError(f"the model of {file} cannot be built: {last_line(error)}") from error
    refuse_other_data(f"the model of {file}", content["data"], coach.dataset.base.hashes)
    try:
        coach.model.load_state_dict(content["model"])
    except (RuntimeError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file} does not fit its config and data: {last_line(error)}") from None
    return coach


def _enter(run: RunFolder, file: Path) -> int:
    """Enter into a run's ledger that test is about to be scored."""
    try:
        return run.begin_test_evaluation(file.parent.name, by="eval")
    except OSError as error:
        raise CheckpointError(
            f"an evaluation on test is entered into {run.run_file}, which cannot be written: {error.strerror}; "
            "use --split valid, or a copy of the run"
        ) from error


def _settle_seed(resolved: Resolved, runs: str | Path | None = None) -> Resolved:
    """Draw the seed where the config says -1; a run that `resume: true` continues has drawn it already."""
    if resolved.config.seed != -1:
        return resolved
    resumed = resumable(_portable(resolved), runs) if resolved.config.resume and runs is not None else None
    seed = draw_seed() if resumed is None else resumed.read_settings()["seed"]
    return replace(resolved, config=resolved.config.replace(seed=seed))


def _portable(resolved: Resolved) -> Config:
    """Return the config with whole paths, so that the run can be read from anywhere."""
    return resolved.config.replace(root=str(Path(resolved.config.root).resolve()), **_absolute_references(resolved))


def _absolute_references(resolved: Resolved) -> dict[str, str]:
    """Return the settings that name a user's own file, with its whole path."""
    absolute = {}
    for setting, component in resolved.components.items():
        path, _, attribute = component.name.rpartition(":")
        if path.endswith(".py"):
            absolute[setting] = f"{Path(path).resolve()}:{attribute}"
    return absolute


def _set_up_torch(config: Config) -> None:
    # Running means of rows that are rarely drawn fade into denormal numbers, on which Adam is ten times slower. The
    # threads of torch take this over only from before their first work.
    torch.set_flush_denormal(True)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    # cuBLAS is only reproducible with a fixed workspace; it must be set before its first use.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = config.benchmark
    # As `use_deterministic_algorithms(..., warn_only=True)`, which imports torch's compiler: two seconds for nothing.
    torch.set_deterministic_debug_mode("default" if config.benchmark else "warn")


def _use_sparse_gradients(model: nn.Module) -> None:
    embeddings = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    n_embedded = sum(embedding.weight.numel() for embedding in embeddings)
    if n_embedded != n_parameters(model):
        raise ConfigError(Fault("trains embeddings only, and this model has other parameters", key="optimizer"))
    for embedding in embeddings:
        embedding.sparse = True


def _training_pipe(resolved: Resolved, dataset: Any, data: Any) -> Any:
    """Return the pipe of a training epoch: users (B, 1) and items (B, 1 + K), the positive first."""
    config = resolved.config
    if "sampler" not in resolved.components:
        return dataset.shard_().shuffle_().tensor_().split_(config.batch_size)
    sampler = SAMPLERS.get(config.sampler)(data, **resolved.arguments("sampler"))
    if config.positives == "users":
        pipe = dataset.shard_().uniform_sampling_(sampler=sampler)
    else:
        pipe = dataset.shard_().shuffle_().negatives_for_train_(sampler=sampler)
    return pipe.tensor_().split_(config.batch_size)
