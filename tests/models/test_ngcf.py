"""The model `ngcf`."""

from __future__ import annotations

import torch
from torch import Tensor

from recrun.data.interactions import TrainingData
from recrun.models.ngcf import NGCF


def test_vectors_are_the_formula_on_dense_matrices(small_data: TrainingData, adjacency: Tensor) -> None:
    model = NGCF(small_data, embedding_dim=8, n_layers=2).eval()
    layer = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).double()
    layers = [layer]
    for number in range(2):
        met = adjacency @ layer
        sums, products = (each[number].weight.double().T for each in (model.sums, model.products))
        mixed = (met + layer) @ sums + (met * layer) @ products
        layer = torch.where(mixed > 0, mixed, 0.2 * mixed)
        layers.append(layer / layer.norm(dim=1, keepdim=True))
    torch.testing.assert_close(torch.cat(model.vectors()), torch.cat(layers, 1).float(), atol=1e-5, rtol=1e-4)


def test_messages_are_dropped_while_training_only(small_data: TrainingData) -> None:
    model = NGCF(small_data, embedding_dim=8, message_dropout=0.5)
    dropped = [(model.vectors()[0][:, 8:] == 0).double().mean() for _ in range(2)]
    assert all(0.4 < share < 0.6 for share in dropped)
    assert not torch.equal(model.vectors()[0], model.vectors()[0])
    model.eval()
    assert torch.equal(model.vectors()[0], model.vectors()[0])
    assert (model.vectors()[0] != 0).all()
