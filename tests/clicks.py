"""Labelled rows for tests of models that predict labels, and their embeddings looked up by hand."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from recrun.data.datasets.synthetic_clicks import SyntheticClicks
from recrun.data.interactions import TrainingData


@cache
def clicks() -> TrainingData:
    """The training part of a small data set: the fields user, item, hour and price (a number)."""
    data: TrainingData = SyntheticClicks(n_rows=900, n_users=15, n_items=8).training_data()
    return data


@cache
def rows() -> dict[str, Tensor]:
    """Forty training rows of `clicks`: a column (40, 1) for each field, numbers in float64."""
    pipe = SyntheticClicks(n_rows=900, n_users=15, n_items=8).shuffle_().tensor_().split_(40)
    batch: dict[str, Tensor] = next(iter(pipe.iterate("train", seed=3, epoch=0)))
    return {name: values.double() if values.is_floating_point() else values for name, values in batch.items()}


def embed_by_hand(tables: nn.ModuleDict) -> Tensor:
    """Return the embeddings (B, F, D) of `rows`: rows of tables by index, those of numbers scaled."""
    columns = []
    for name, table in tables.items():
        values, weight = rows()[name][:, 0], table.weight
        columns.append(values[:, None] * weight[:, 0] if isinstance(table, nn.Linear) else weight[values])  # type: ignore[index, operator]
    return torch.stack(columns, dim=1)
