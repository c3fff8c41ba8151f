"""Build the pipe that draws a model's training batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from recrun.config.resolve import Resolved
from recrun.data.postprocessing.batch_negatives import Candidates, LogProbabilities, NegativesFromBatch, SharedByBatch
from recrun.data.postprocessing.on_device import OnDevice, fits
from recrun.data.postprocessing.sequences import TARGET
from recrun.data.sampling.foreign import CheckedSampler
from recrun.errors import ConfigError, Fault, unknown
from recrun.registry import SAMPLERS
from recrun.registry.user_files import checked, is_foreign

Pipe = Callable[[Resolved, Any, Any, torch.device], Any]
"""Makes a pipe from a checked config, its data set, the training part of that, and the device of the model."""

PIPES: Final[dict[str, Pipe]] = {}
"""The pipes of training rows, by kind of rows; the family of a model names its kind, see `recrun.config.family`."""


def training_pipe(resolved: Resolved, dataset: Any, data: Any, device: torch.device) -> Any:
    """Return the pipe of training batches, for the kind of rows that the family of the model is trained on.

    Raises:
        RegistryError: a user's own sampler is none.
        DataError: a user has interacted with every item in train, but negatives are needed.
        ConfigError: a user's own sampler does not give the probabilities that logq_correction needs, or there is no
            pipe for this kind of rows.
    """
    rows = resolved.family.rows
    if rows not in PIPES:
        raise ConfigError(Fault(unknown("kind of training rows", rows, PIPES), key="model"))
    return PIPES[rows](resolved, dataset, data, device)


def register_pipe(rows: str) -> Callable[[Pipe], Pipe]:
    """Return a decorator that registers a function as the pipe of a kind of rows."""

    def decorate(pipe: Pipe) -> Pipe:
        PIPES[rows] = pipe
        return pipe

    return decorate


_MEMBERS: Final = {
    "rows": ("draw",),
    "batch": ("draw_from_batch",),
    "candidates": ("draw", "n_candidates"),
    "shared": ("draw_shared", "find_seen"),
}
"""What a sampler must have, by its trait `draws`."""


def _sampler(resolved: Resolved, data: Any) -> Any:
    """Return the sampler of negatives that a config names."""
    chosen = resolved.components["sampler"]
    made = SAMPLERS.get(chosen.name)(data, **resolved.arguments("sampler"))
    sampler = checked("sampler", chosen.name, made, *_MEMBERS[chosen.traits.draws])
    if config_corrects(resolved) and not hasattr(sampler, "log_probability"):
        message = f"sampler {chosen.name} does not give the probabilities of its negatives: it has no log_probability()"
        raise ConfigError(Fault(message, key="logq_correction"))
    return CheckedSampler(sampler, chosen.name, data.n_items) if is_foreign(type(sampler)) else sampler


def config_corrects(resolved: Resolved) -> bool:
    """Return whether the loss of a config needs the probabilities of negatives."""
    return bool(resolved.config.get("logq_correction", False))


def _tell_frequencies(sampler: Any, data: Any, *, by_user: bool) -> None:
    """Tell a sampler that draws from the positives of a batch how often each item is one, unless they are all rows."""
    if not by_user or not hasattr(sampler, "take_frequencies"):
        return
    owners, items = data.csr().pairs()
    share_of_user = 1 / np.maximum(np.bincount(owners, minlength=data.n_users), 1)
    sampler.take_frequencies(np.bincount(items, share_of_user[owners], minlength=data.n_items))


@register_pipe("users")
def _users(resolved: Resolved, dataset: Any, data: Any, device: torch.device) -> Any:
    """Return the pipe of users (B, 1), each once per epoch."""
    return dataset.users_().shuffle_().tensor_().split_(resolved.config.batch_size)


@register_pipe("labels")
def _labels(resolved: Resolved, dataset: Any, data: Any, device: torch.device) -> Any:
    """Return the pipe of labelled rows: a column (B, 1) for each field."""
    return dataset.shuffle_().tensor_().split_(resolved.config.batch_size)


@register_pipe("sequences")
def _sequences(resolved: Resolved, dataset: Any, data: Any, device: torch.device) -> Any:
    """Return the pipe of histories with their next items, and negatives if the loss needs them.

    See `Sequences`, and `Prefixes` for rows whose last items alone are predicted.
    """
    config = resolved.config
    sampler: Any = None
    shares: Any = None
    if "sampler" in resolved.components:
        sampler = _sampler(resolved, data)
        if resolved.components["sampler"].traits.draws == "shared":
            sampler, shares = None, sampler
    timed_by = resolved.components["model"].traits.timed_by
    columns = {"sampler": sampler, "times": bool(timed_by and config[timed_by])}
    rows = dataset
    if config.sequence_rows == "prefixes":
        pipe = rows.prefixes_(config.max_length, n_targets=config.get("n_targets", 1), **columns)
    elif config.sequence_rows == "windows":
        pipe = rows.sequences_(config.max_length + 1, step=config.window_step or config.max_length, **columns)
    else:
        pipe = rows.sequences_(config.max_length + 1, **columns)
    correct = config_corrects(resolved)
    if shares is not None:
        target = TARGET if config.sequence_rows == "prefixes" else None
        if target is not None and hasattr(shares, "take_frequencies"):
            shares.take_frequencies(pipe.target_counts(), config.get("n_targets", 1))
        return SharedByBatch(pipe.split_(config.batch_size), shares, target, logs=correct).tensor_()
    return (LogProbabilities(pipe, sampler) if correct else pipe).tensor_().split_(config.batch_size)


@register_pipe("interactions")
def _interactions(resolved: Resolved, dataset: Any, data: Any, device: torch.device) -> Any:
    """Return the pipe of users (B, 1) and items (B, 1 + K), the positive first; or of positives (B, 1) with candidates.

    A loss over all items needs no negatives (K = 0). With `draw_on: auto`, rows are drawn on the device if it is a CUDA
    device with enough memory for the interactions and the negatives are uniform; other negatives are drawn on the host.
    """
    config = resolved.config
    by_user = config.get("positives", "interactions") == "users"
    correct = config_corrects(resolved)
    uniform = config.get("sampler", "uniform") == "uniform"
    room = uniform and fits(len(data.interactions), device)
    draw_on = config.get("draw_on", "auto")
    if draw_on == "device" or (draw_on == "auto" and room):
        n_negatives = config.get("n_negatives", 0)
        kind = {"n_negatives": n_negatives, "by_user": by_user, "logs": correct}
        return OnDevice(dataset, batch_size=config.batch_size, device=device, **kind)
    positives = dataset.uniform_sampling_(num_negatives=0) if by_user else dataset.shuffle_()
    if "sampler" not in resolved.components:
        return positives.tensor_().split_(config.batch_size)
    sampler = _sampler(resolved, data)
    _tell_frequencies(sampler, data, by_user=by_user)
    draws = resolved.components["sampler"].traits.draws
    if draws == "batch":
        pipe = NegativesFromBatch(positives.split_(config.batch_size), sampler)
        return (LogProbabilities(pipe, sampler) if correct else pipe).tensor_()
    if draws == "shared":
        return SharedByBatch(positives.split_(config.batch_size), sampler, logs=correct).tensor_()
    if draws == "candidates":
        return Candidates(positives, sampler).tensor_().split_(config.batch_size)
    if by_user:
        pipe = dataset.uniform_sampling_(sampler=sampler)
    else:
        pipe = dataset.shuffle_().negatives_for_train_(sampler=sampler)
    return (LogProbabilities(pipe, sampler) if correct else pipe).tensor_().split_(config.batch_size)
