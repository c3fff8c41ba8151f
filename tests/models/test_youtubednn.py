"""The model `youtubednn`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from recrun.criterions import SampledSoftmax
from recrun.data.interactions import TrainingData
from recrun.models.youtubednn import YoutubeDNN

Build = Callable[..., TrainingData]


def _model(data: TrainingData, **settings: object) -> YoutubeDNN:
    torch.manual_seed(2)
    return YoutubeDNN(data, embedding_dim=4, init_std=1.0, **settings).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("share_embeddings", [True, False])
@pytest.mark.parametrize("tower_layers", [0, 2])
def test_scores_are_products_with_the_tower_of_the_average(
    data_of: Build, table: np.ndarray, tower_layers: int, share_embeddings: bool, similarity: str
) -> None:
    settings = {"tower_layers": tower_layers, "share_embeddings": share_embeddings, "similarity": similarity}
    model = _model(data_of(table), **settings)
    rows = torch.from_numpy(table).double()
    averaged = model.items if model.averaged is None else model.averaged
    assert (model.averaged is None) is share_embeddings
    users, layers = rows @ averaged.weight / rows.sum(1, keepdim=True).clamp(min=1), list(model.tower)[::2]
    assert [each.out_features for each in layers] == ([8, 4] if tower_layers else [])
    for layer in layers:
        users = (users @ layer.weight.T + layer.bias).clamp(min=0)  # type: ignore[union-attr, operator]
    items = model.items.weight
    if similarity == "cosine":
        users, items = F.normalize(users), F.normalize(items)
    torch.testing.assert_close(model.score(torch.arange(30)), users @ items.T)
    some, few = torch.tensor([[4], [0]]), torch.tensor([[1, 2, 3], [9, 0, 1]])
    torch.testing.assert_close(model(some, few), (users @ items.T)[some, few])


def test_the_loss_is_the_sampled_softmax_and_the_l2_term_of_items(data_of: Build, table: np.ndarray) -> None:
    model = _model(data_of(table), embedding_decay=0.5)
    users, items = torch.tensor([[4], [0]]), torch.tensor([[1, 2, 3], [9, 0, 1]])
    softmax = -torch.log_softmax(model(users, items), 1)[:, 0].mean()
    squares = model.items.weight[items].square().sum() / 2 / 2
    loss = model.training_loss({"user": users, "item": items}, SampledSoftmax())
    torch.testing.assert_close(loss, softmax + 0.5 * squares)


def test_a_user_is_the_average_of_items_so_a_new_user_is_too(data_of: Build, table: np.ndarray) -> None:
    data = data_of(table)
    model = _model(data, tower_layers=1)
    torch.testing.assert_close(model.embed_histories(data.csr()), model.vectors()[0])
