"""Build an experiment from a resolved config: seed, then create the data set, the model and what trains it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from recrun.architectures.base import RecSysArch, n_parameters, trains_only_embeddings
from recrun.config.config import Config
from recrun.config.resolve import Resolved
from recrun.config.settings import AUTO, COMPONENTS
from recrun.config.trackers import require_packages
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError, Fault
from recrun.evaluation.protocol import Protocol
from recrun.randomness import draw_seed, seed_everything
from recrun.registry.user_files import checked
from recrun.runs.find import resumable
from recrun.runs.folder import RunFolder
from recrun.training import devices, torch_workarounds
from recrun.training.coach import Coach
from recrun.training.pipes import training_pipe
from recrun.training.run_keeper import ReporterFactory
from recrun.training.steps.parameter_groups import parameter_groups
from recrun.workflows.start_source import absolute_start
from recrun.workflows.threads import ENTRY, Threads, choose_threads, threads_of, with_threads
from recrun.workflows.warm_start import start_from


def prepare(
    resolved: Resolved,
    *,
    runs: str | Path = "runs",
    run: RunFolder | None = None,
    reporters: ReporterFactory | None = None,
    latest: bool = False,
    verbose: int | None = None,
    kind: Callable[..., Coach] = Coach,
) -> Coach:
    """Build everything that a config names and open its run folder; call `fit()` on the result to train.

    Args:
        resolved: a checked config.
        runs: the root of the run folders.
        run: the run to continue; None starts a new one, or continues the one that `resume: true` finds.
        reporters: makes the reporters of the run; None for the usual ones.
        latest: whether `latest` is to point at the run.
        verbose: how much is shown now, whatever the config says; it is not stored in the run.
        kind: makes what is returned of the parts.

    Raises:
        ConfigError, DataError, CheckpointError: it cannot be built; no run folder is created.
    """
    require_packages(resolved.config.track)
    resolved = settle_seed(resolved, runs)
    settled, threads = _settle_threads(resolved, _continued(resolved, runs, run))
    coach = build(settled, kind=kind)
    open_run(resolved, coach, runs=runs, run=run, reporters=reporters, latest=latest, verbose=verbose)
    if threads is not None:
        coach.notes.append(str(threads))
        coach.run.update_run(**{ENTRY: threads.entry()})
    return coach


def open_run(
    resolved: Resolved,
    coach: Coach,
    *,
    runs: str | Path,
    run: RunFolder | None,
    latest: bool,
    verbose: int | None,
    reporters: ReporterFactory | None = None,
) -> None:
    """Open the folder of the run that a Coach of `build` trains; arguments as for `prepare`."""
    settings = portable(resolved)
    coach.notes = list(resolved.notes)
    start(resolved, coach, _continued(resolved, runs, run))
    coach.compile(settings, settings.monitors, run=run, runs=runs, reporters=reporters, latest=latest)
    if verbose is not None:
        coach.show(verbose)


def _continued(resolved: Resolved, runs: str | Path, run: RunFolder | None) -> RunFolder | None:
    """Return the run that is continued: the given one, or the one that `resume: true` finds."""
    settings = portable(resolved)
    return run or (resumable(settings, runs) if settings.resume else None)


def build(
    resolved: Resolved,
    *,
    to_train: bool = True,
    kind: Callable[..., Coach] = Coach,
    model_of: Callable[[Resolved, TrainingData], nn.Module] | None = None,
) -> Coach:
    """Seed, and build the data set, the model and, with `to_train`, what trains it; no run folder is opened.

    With `threads: auto`, torch keeps the number of threads that it has; see `prepare`.

    Args:
        resolved: a checked config.
        to_train: whether it is to be trained.
        kind: makes what is returned of the parts.
        model_of: builds the model; `build_model` if None.
    """
    config = resolved.config
    threads = None if config.threads == AUTO else config.threads
    torch_workarounds.set_up(threads=threads, benchmark=config.benchmark)
    device = devices.select(config.device)
    seed_everything(config.seed)
    dataset = build_data(resolved)
    data = dataset.training_data()
    model = (model_of or build_model)(resolved, data)
    if not resolved.trains or not to_train:
        return kind(model=model, dataset=dataset, device=device)
    model.to(device)
    if config.compile_model:
        model.compile()
    optimizer_spec = resolved.components["optimizer"]
    if optimizer_spec.traits.sparse:
        layered = resolved.components["model"].traits.gradients == "layered" and optimizer_spec.traits.layers
        _use_sparse_gradients(model, layered=layered)
    optimizer = made(resolved, "optimizer", parameter_groups(model, config.get("weight_decay_on", "all")))
    scheduler = made(resolved, "lr_scheduler", optimizer, config.epochs)
    criterion = made(resolved, "loss")
    criterion.bind(data.n_items)
    if criterion.compares_vectors and getattr(type(model), "vectors", None) is RecSysArch.vectors:
        message = f"{config.loss} compares vectors of users and items, but model {config.model} defines no vectors()"
        raise ConfigError(Fault(message, key="loss"))
    return kind(
        model=model,
        dataset=training_pipe(resolved, dataset, data, device),
        criterion=criterion,
        optimizer=optimizer,
        lr_scheduler=scheduler,
        device=device,
    )


def build_data(resolved: Resolved) -> Any:
    """Build the data set of a config."""
    config = resolved.config
    dataset = made(resolved, "dataset", config.root)
    if config.train_on == "train_valid":
        dataset.train_on_valid()
    if resolved.components["model"].traits.item_vectors:
        dataset.use_item_vectors(config.item_vectors)
    Protocol.of(config).record_in(dataset.hashes)
    return dataset


def start(resolved: Resolved, coach: Coach, continued: RunFolder | None = None) -> None:
    """Fill the model with the values of the run that `init_from` names, if it does.

    Args:
        resolved: the config that the coach was built from.
        coach: holds the model and the data.
        continued: the run that is continued; None for a new one.

    Raises:
        ConfigError: there is no such run, or its model does not fit.
    """
    start_from(resolved, coach, partial(build_model, resolved), continued)


def build_model(resolved: Resolved, data: TrainingData) -> nn.Module:
    """Build the model of a config from train data."""
    model: nn.Module = made(resolved, "model", data)
    return model


def made(resolved: Resolved, setting: str, *handed: Any) -> Any:
    """Make the component that a setting chooses, of what recrun hands over and of its own settings."""
    name = resolved.components[setting].name
    return checked(setting, name, COMPONENTS[setting].get(name)(*handed, **resolved.arguments(setting)))


def describe(resolved: Resolved, coach: Coach) -> dict[str, Any]:
    """Return what a run does, from what is built for it: model size, steps, device and data."""
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
        "init_from": coach.origin,
        "notes": [*resolved.notes, *coach.notes, *coach.dataset.base.notes],
    }


def settle_seed(resolved: Resolved, runs: str | Path | None = None) -> Resolved:
    """Draw the seed if the config says -1; if `resume: true` continues a run, use that run's seed."""
    if resolved.config.seed != -1:
        return resolved
    resumed = resumable(portable(resolved), runs) if resolved.config.resume and runs is not None else None
    seed = draw_seed() if resumed is None else resumed.read_settings()["seed"]
    return replace(resolved, config=resolved.config.replace(seed=seed))


def _settle_threads(resolved: Resolved, continued: RunFolder | None) -> tuple[Resolved, Threads | None]:
    """Replace `threads: auto` by the number of the run that is continued, else by what is measured and returned."""
    if resolved.config.threads != AUTO:
        return resolved, None
    number = threads_of(continued)
    if number is not None:
        return with_threads(resolved, number), None
    # Both times on one device: what was built first leaves traces on its GPU, by which another would have more room.
    device = str(devices.select(resolved.config.device))
    resolved = replace(resolved, config=resolved.config.replace(device=device))
    threads = choose_threads(resolved, build)
    return with_threads(resolved, threads.number), threads


def portable(resolved: Resolved) -> Config:
    """Return the config with absolute paths, so that the run does not depend on the working folder."""
    config, start = resolved.config, resolved.config.get("init_from")
    moved = {} if start is None else {"init_from": absolute_start(start)}
    return config.replace(root=str(Path(config.root).resolve()), **moved)


def _use_sparse_gradients(model: nn.Module, *, layered: bool) -> None:
    if not (layered or trains_only_embeddings(model)):
        raise ConfigError(Fault("trains embeddings only, but this model has other parameters", key="optimizer"))
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.sparse = True
