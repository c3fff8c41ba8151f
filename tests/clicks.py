"""Labelled rows for tests of models that predict labels, and their embeddings looked up by hand."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from recrun.data.datasets.synthetic_clicks import SyntheticClicks
from recrun.data.fields import DenseField, FieldTuple, SparseField
from recrun.data.interactions import Interactions, TrainingData
from recrun.data.tags import FEATURE, TARGET

N_ROWS_OF_CRITEO: Final = 2_086_303
"""Categories of all fields of Criteo_x1, as FuxiCTR 1.1 counts them: what BARS' LR has beside 13 slopes and a bias."""


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


@cache
def criteo(n_rows: int = N_ROWS_OF_CRITEO) -> TrainingData:
    """Fields like those of Criteo_x1, without rows: 13 of numbers and 26 of categories, most in C1 and 23 in C6.

    Args:
        n_rows: categories of all fields together.
    """
    numbers = [DenseField(f"I{place}", tags=FEATURE) for place in range(1, 14)]
    counts = [n_rows - 71, 2, 2, 2, 2, 23, *[2] * 20]
    categories = [
        SparseField(f"C{place}", tags=FEATURE, transformer="none", count=count) for place, count in enumerate(counts, 1)
    ]
    fields = FieldTuple([*numbers, *categories, DenseField("label", tags=TARGET)])
    nothing = np.zeros(0, dtype=np.int32)
    return TrainingData(fields, 1, 1, Interactions(nothing, nothing))
