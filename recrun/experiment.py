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
from recrun.dict2obj import Config
from recrun.errors import CheckpointError, ConfigError, Fault, nearest
from recrun.launcher import Coach, ReporterFactory
from recrun.monitors import Reporter
from recrun.configfile import read_overrides
from recrun.registry import DATASETS, LOSSES, MODELS, OPTIMIZERS, SAMPLERS, SCHEDULERS
from recrun.resolve import Resolved, resolve, resolve_given
from recrun.runs import RunFolder, locate_checkpoint, run_for
from recrun.utils import draw_seed, seed_everything
from recrun.yamlfile import Given

EVALUATION_KEYS: Final = frozenset({"monitors", "which4best", "device", "threads", "eval_memory", "root", "verbose"})
"""What `recrun eval` may change: how to evaluate and where things are, not what was trained."""


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
    resolved = _settle_seed(resolved)
    coach = build(resolved)
    settings = resolved.config
    root = str(Path(settings.root).resolve())
    settings = settings.replace(root=root, **_absolute_references(resolved))
    run = run or run_for(settings, runs)
    coach.compile(settings, settings.monitors, run=run, reporters=reporters)
    return coach


def build(resolved: Resolved) -> Coach:
    """Build the data set, the model and what trains it, seeded, without touching any run folder."""
    config = resolved.config
    _set_up_torch(config)
    device = devices.select(config.device)
    seed_everything(config.seed)
    dataset = DATASETS.get(resolved.components["dataset"].name)(config.root, **resolved.arguments("dataset"))
    data = dataset.training_data()
    model: nn.Module = MODELS.get(resolved.components["model"].name)(data, **resolved.arguments("model"))
    if not resolved.trains:
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
    state = load_checkpoint(file)
    resolved = _resolve_checkpoint(file, state, overrides)
    coach = build(resolved)
    if not len(coach.dataset.base.interactions(split)):
        raise ConfigError(f"the data set has no {split} part to evaluate on")
    try:
        coach.model.load_state_dict(state["model"])
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{file} does not fit its config and data: {reason}") from None
    values = coach.score(split, resolved.config, resolved.config.monitors, reporters)
    if split == "test" and run is not None:
        run.record_test_evaluation(values, str(file.parent.name), "eval")
    return {
        "run": None if run is None else str(run.path),
        "checkpoint": str(file),
        "split": split,
        "metrics": values,
        "users": coach.users[split][0],
    }


def resolve_run(run: RunFolder, overrides: Sequence[str] = ()) -> Resolved:
    """Resolve the config that a run was started with, for continuing it.

    Raises:
        ConfigError: the run's config is damaged, or does not fit this version.
    """
    return resolve(run.config_file, overrides)


def _resolve_checkpoint(file: Path, state: dict[str, Any], overrides: Sequence[str]) -> Resolved:
    """Return the config that a checkpoint carries, with the settings of evaluation changed."""
    given = read_overrides(overrides)
    faults = [
        value.fault(
            "cannot be changed for an evaluation; it is part of what was trained", key, nearest(key, EVALUATION_KEYS)
        )
        for key, value in given.items()
        if key not in EVALUATION_KEYS
    ]
    if faults:
        raise ConfigError(faults)
    config = state.get("config")
    if not isinstance(config, dict) or "model" not in state:
        raise CheckpointError(f"{file} holds no model with its config")
    if "monitors" in given and "which4best" not in given:
        config["which4best"] = None
    carried = {key: Given(value) for key, value in config.items()}
    return resolve_given(carried | given, str(file))


def _settle_seed(resolved: Resolved) -> Resolved:
    if resolved.config.seed != -1:
        return resolved
    return replace(resolved, config=resolved.config.replace(seed=draw_seed()))


def _absolute_references(resolved: Resolved) -> dict[str, str]:
    """Return the settings that name a user's own file, with its whole path, so that the run can be read from anywhere."""
    absolute = {}
    for setting, component in resolved.components.items():
        path, _, attribute = component.name.rpartition(":")
        if path.endswith(".py"):
            absolute[setting] = f"{Path(path).resolve()}:{attribute}"
    return absolute


def _set_up_torch(config: Config) -> None:
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    # cuBLAS is only reproducible with a fixed workspace; it must be set before its first use.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = config.benchmark
    torch.use_deterministic_algorithms(not config.benchmark, warn_only=True)


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
