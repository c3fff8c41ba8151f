"""The model `lightgcl`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.criterions import BPRLoss
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.lightgcl import LightGCL

BATCH = {"user": torch.tensor([[3], [7], [3]]), "item": torch.tensor([[1, 2], [5, 0], [8, 1]])}


def _nodes(model: LightGCL) -> Tensor:
    return torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).double()


def test_vectors_are_the_sums_over_layers(small_data: TrainingData, adjacency: Tensor) -> None:
    model = LightGCL(small_data, embedding_dim=8, n_layers=2)
    nodes = _nodes(model)
    expected = nodes + adjacency @ nodes + adjacency @ adjacency @ nodes
    torch.testing.assert_close(torch.cat(model.vectors()), expected.float())


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("std", [0.1, 2.0])  # with 2, logits are clipped
def test_the_loss_is_that_of_the_formula_on_dense_matrices(
    small_data: TrainingData, adjacency: Tensor, similarity: Any, std: float
) -> None:
    model = LightGCL(
        small_data, embedding_dim=8, n_layers=2, svd_rank=3, contrast_weight=0.7, contrast_temperature=0.4,
        contrast_similarity=similarity, init_std=std, embedding_decay=0,
    )  # fmt: skip
    left, values, right = torch.linalg.svd(adjacency[:40, 40:])
    low = left[:, :3] @ torch.diag(values[:3]) @ right[:3]
    nodes = _nodes(model)
    layers = [nodes, adjacency @ nodes, adjacency @ adjacency @ nodes]
    vectors = sum(layers)
    views = nodes[:40] + low @ layers[0][40:] + low @ layers[1][40:], nodes[40:] + low.T @ (layers[0] + layers[1])[:40]
    scores = (vectors[BATCH["user"]] * vectors[40 + BATCH["item"]]).sum(-1)
    expected = BPRLoss().from_scores(scores)
    for view, own, batch in zip(views, (vectors[:40], vectors[40:]), BATCH.values(), strict=True):
        some = batch.flatten()
        if similarity == "cosine":
            view, own = F.normalize(view, dim=1), F.normalize(own, dim=1)
        logits = view[some] @ own.T / 0.4
        positive = logits.gather(1, some[:, None])[:, 0]
        positive = positive.clamp(-5, 5) if similarity == "dot" else positive
        expected = expected + 0.7 * (logits.exp().sum(1).log() - positive).mean()
    expected.backward()
    wanted = model.Item.embeddings.weight.grad
    model.zero_grad()
    loss = model.training_loss(BATCH, BPRLoss())
    torch.testing.assert_close(loss, expected.float(), atol=1e-4, rtol=1e-4)
    loss.backward()
    torch.testing.assert_close(model.Item.embeddings.weight.grad, wanted, atol=1e-4, rtol=1e-3)
    assert model.held is None


def test_messages_are_dropped_in_training_only_and_a_state_of_the_generator_repeats_it(
    small_data: TrainingData,
) -> None:
    model = LightGCL(small_data, embedding_dim=8, edge_dropout=0.3)
    state = torch.get_rng_state()
    losses = [model.training_loss(BATCH, BPRLoss()).item() for _ in range(2)]
    torch.set_rng_state(state)
    assert losses[0] != losses[1]
    assert [model.training_loss(BATCH, BPRLoss()).item() for _ in range(2)] == losses
    assert torch.equal(model.eval().vectors()[0], model.vectors()[0])


def test_without_weight_only_scores_and_the_l2_term_count(small_data: TrainingData) -> None:
    model = LightGCL(small_data, embedding_dim=8, contrast_weight=0)
    scored = BPRLoss().from_scores(model(BATCH["user"], BATCH["item"]))
    torch.testing.assert_close(model.training_loss(BATCH, BPRLoss()), scored)


def test_more_singular_values_than_there_are_are_refused(small_data: TrainingData) -> None:
    with pytest.raises(ConfigError, match="expected at most the smaller number of users and items, 30, found 31"):
        LightGCL(small_data, svd_rank=31)
    assert LightGCL(small_data, svd_rank=30).user_factors.shape == (40, 30)
