"""What a model is fed with: the pipe of its training rows."""

from __future__ import annotations

from typing import Any

import torch

from recrun.data.postprocessing.on_device import OnDevice, fits
from recrun.registry import SAMPLERS
from recrun.resolve import Resolved


def training_pipe(resolved: Resolved, dataset: Any, data: Any, device: torch.device) -> Any:
    """Return the pipe of an epoch's batches, as the model is trained on interactions or on users' whole rows.

    Raises:
        DataError: a user has every item in train, and negatives are asked for.
    """
    if resolved.trains_on == "users":
        return dataset.shard_().users_().shuffle_().tensor_().split_(resolved.config.batch_size)
    return _interactions(resolved, dataset, data, device)


def _interactions(resolved: Resolved, dataset: Any, data: Any, device: torch.device) -> Any:
    """Return the pipe of users (B, 1) and items (B, 1 + K), the positive first.

    A loss over all items takes no negatives (K = 0). With `draw_on: auto`, rows are drawn on a CUDA device that has
    room for the interactions; there, and with `draw_on: device`, only uniform negatives can be drawn.
    """
    config = resolved.config
    by_user = config.positives == "users"
    uniform = config.get("sampler", "uniform") == "uniform"
    room = uniform and fits(len(data.interactions), device)
    if config.draw_on == "device" or (config.draw_on == "auto" and room):
        n_negatives = config.get("n_negatives", 0)
        return OnDevice(dataset, batch_size=config.batch_size, n_negatives=n_negatives, by_user=by_user, device=device)
    if "sampler" not in resolved.components:
        pipe = dataset.shard_().uniform_sampling_(num_negatives=0) if by_user else dataset.shard_().shuffle_()
        return pipe.tensor_().split_(config.batch_size)
    sampler = SAMPLERS.get(config.sampler)(data, **resolved.arguments("sampler"))
    if by_user:
        pipe = dataset.shard_().uniform_sampling_(sampler=sampler)
    else:
        pipe = dataset.shard_().shuffle_().negatives_for_train_(sampler=sampler)
    return pipe.tensor_().split_(config.batch_size)
