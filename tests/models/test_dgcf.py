"""The model `dgcf`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from recrun.config.resolve import resolve
from recrun.criterions import BPRLoss
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.dgcf import DGCF, distance_correlation

BATCH = {"user": torch.tensor([[3], [7], [3]]), "item": torch.tensor([[1, 2], [5, 0], [8, 9]])}


def _dense(model: DGCF, nodes: Tensor, adjacency: Tensor) -> Tensor:
    """Routing on whole matrices, an entry per pair of nodes, as the authors' code."""
    edges = (adjacency != 0).double()
    logits = [edges.clone() for _ in range(model.n_intents)]
    layer, layers = nodes, [nodes]
    for _ in range(model.n_layers):
        parts = layer.chunk(model.n_intents, 1)
        for _ in range(model.n_iterations):
            powers = [torch.exp(each) * edges for each in logits]
            shares = [power / (sum(powers) + 1 - edges) for power in powers]
            received = []
            for k, (part, share) in enumerate(zip(parts, shares, strict=True)):
                degrees = share.sum(1)
                roots = torch.where(degrees > 0, degrees, 1).rsqrt()
                received.append(roots[:, None] * (share @ (roots[:, None] * part)))
                heads = received[-1] / received[-1].norm(dim=1, keepdim=True).clamp(min=1e-12)
                tails = part / part.norm(dim=1, keepdim=True)
                logits[k] = logits[k] + edges * (heads @ torch.tanh(tails).T)
        layer = torch.cat(received, 1)
        layers.append(layer)
    return torch.stack(layers).mean(0)


@pytest.mark.parametrize("settings", [{}, {"n_layers": 2, "n_iterations": 3, "n_intents": 2}, {"n_intents": 1}])
def test_vectors_and_gradients_are_those_of_routing_on_dense_matrices(
    small_data: TrainingData, adjacency: Tensor, settings: Any
) -> None:
    model = DGCF(small_data, embedding_dim=8, init_std=1.0, **settings)
    nodes = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).detach().double().requires_grad_()
    expected = _dense(model, nodes, adjacency)
    vectors = torch.cat(model.vectors())
    torch.testing.assert_close(vectors, expected.float(), atol=1e-5, rtol=1e-4)
    weights = torch.randn(70, 8)
    (vectors * weights).sum().backward()
    (expected * weights).sum().backward()
    assert nodes.grad is not None
    torch.testing.assert_close(model.User.embeddings.weight.grad, nodes.grad[:40].float(), atol=1e-4, rtol=1e-3)


def test_distance_correlation_is_that_of_its_definition() -> None:
    first, second = torch.randn(30, 3, dtype=torch.float64), torch.randn(30, 2, dtype=torch.float64)

    def centered(rows: Tensor) -> Tensor:
        distances = torch.cdist(rows, rows)
        return distances - distances.mean(0) - distances.mean(1)[:, None] + distances.mean()

    a, b = centered(first), centered(second)
    expected = (a * b).mean().sqrt() / ((a * a).mean().sqrt() * (b * b).mean().sqrt()).sqrt()
    torch.testing.assert_close(distance_correlation(first, second), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(distance_correlation(first, 2 * first), torch.ones((), dtype=torch.float64))


def test_the_loss_has_the_l2_term_and_the_correlation_of_all_nodes(small_data: TrainingData) -> None:
    model = DGCF(small_data, embedding_dim=8, n_intents=2, correlation_weight=0.5, embedding_decay=0.2)
    model.share = 40 / 3  # all nodes are drawn
    vectors = model.vectors()
    scored = BPRLoss().from_scores((vectors[0][BATCH["user"]] * vectors[1][BATCH["item"]]).sum(-1))
    squares = model.User.embeddings.weight[BATCH["user"]].square().sum()
    squares = squares + model.Item.embeddings.weight[BATCH["item"]].square().sum()
    correlation = distance_correlation(*torch.cat(vectors).chunk(2, 1)) / 3
    expected = scored + 0.1 * squares / 3 + 0.5 * correlation
    torch.testing.assert_close(model.training_loss(BATCH, BPRLoss()), expected)
    assert model.held is None


def test_the_nodes_that_are_drawn_are_repeated_by_the_state_of_torchs_generator(small_data: TrainingData) -> None:
    model = DGCF(small_data, embedding_dim=8, n_intents=2, correlation_weight=1.0)
    state = torch.get_rng_state()
    losses = [model.training_loss(BATCH, BPRLoss()).item() for _ in range(2)]
    torch.set_rng_state(state)
    assert losses[0] != losses[1]
    assert [model.training_loss(BATCH, BPRLoss()).item() for _ in range(2)] == losses


def test_embeddings_that_cannot_be_cut_are_refused() -> None:
    with pytest.raises(ConfigError, match="n_intents: expected a divisor of embedding_dim 64, found 5"):
        resolve("dgcf", ["n_intents=5"])
