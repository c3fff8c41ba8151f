"""The model `sgl`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from recrun.config.resolve import resolve
from recrun.criterions import BPRLoss
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.sgl import SGL, identify

BATCH = {"user": torch.tensor([[3], [7], [3]]), "item": torch.tensor([[1, 2], [5, 0], [8, 9]])}


def _dense(model: SGL, matrix: Tensor) -> Tensor:
    nodes = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).double()
    layers = [torch.linalg.matrix_power(matrix, power) @ nodes for power in range(model.n_layers + 1)]
    return torch.stack(layers).mean(0)


def test_vectors_are_those_of_lightgcn_on_the_whole_graph(small_data: TrainingData, adjacency: Tensor) -> None:
    model = SGL(small_data, embedding_dim=8, n_layers=2)
    torch.testing.assert_close(torch.cat(model.vectors()), _dense(model, adjacency).float())


@pytest.mark.parametrize("contrast_with", ["all", "batch"])
def test_the_loss_is_that_of_the_formula_on_dense_parts_of_the_graph(
    small_data: TrainingData, adjacency: Tensor, contrast_with: Any
) -> None:
    model = SGL(
        small_data, embedding_dim=8, n_layers=2, edge_dropout=0.3, contrast_weight=0.7, contrast_temperature=0.4,
        contrast_with=contrast_with, embedding_decay=0.2,
    )  # fmt: skip
    torch.manual_seed(5)
    parts = [model.graph(torch.eye(70), model.graph.subgraph(0.3)).double() for _ in range(2)]
    one, other = (torch.nn.functional.normalize(_dense(model, part), dim=1) for part in parts)
    expected = torch.zeros((), dtype=torch.float64)
    for nodes in ([3, 7, 3], [41, 45, 48]):
        nodes = sorted(set(nodes)) if contrast_with == "batch" else nodes
        everyone = range(40) if nodes[0] < 40 else range(40, 70)
        among = list(nodes if contrast_with == "batch" else everyone)
        terms = [-(one[n] @ other[n] / 0.4 - (one[n] @ other[among].T / 0.4).exp().sum().log()) for n in nodes]
        expected = expected + 0.7 * torch.stack(terms).mean()
    vectors = _dense(model, adjacency)
    scores = (vectors[BATCH["user"]] * vectors[40 + BATCH["item"]]).sum(-1)
    squares = model.User.embeddings.weight[BATCH["user"]].square().sum()
    squares = squares + model.Item.embeddings.weight[BATCH["item"]].square().sum()
    expected = expected + BPRLoss().from_scores(scores) + 0.2 * squares / 2 / 3
    expected.backward()
    wanted = model.User.embeddings.weight.grad
    model.zero_grad()
    torch.manual_seed(5)
    loss = model.training_loss(BATCH, BPRLoss())
    torch.testing.assert_close(loss, expected.float(), atol=1e-5, rtol=1e-5)
    loss.backward()
    torch.testing.assert_close(model.User.embeddings.weight.grad, wanted, atol=1e-5, rtol=1e-4)


def test_views_are_drawn_from_torchs_generator_which_a_checkpoint_holds(small_data: TrainingData) -> None:
    model = SGL(small_data, embedding_dim=8)
    state = torch.get_rng_state()
    losses = [model.training_loss(BATCH, BPRLoss()).item() for _ in range(2)]
    assert losses[0] != losses[1]
    torch.set_rng_state(state)
    assert [model.training_loss(BATCH, BPRLoss()).item() for _ in range(2)] == losses
    model.eval()
    assert torch.equal(model.vectors()[0], model.vectors()[0])


def test_without_weight_there_are_no_views_and_nothing_to_choose_for_them(small_data: TrainingData) -> None:
    model = SGL(small_data, embedding_dim=8, contrast_weight=0, embedding_decay=0)
    state = torch.get_rng_state()
    scored = BPRLoss().from_scores(model(BATCH["user"], BATCH["item"]))
    torch.testing.assert_close(model.training_loss(BATCH, BPRLoss()), scored)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ConfigError, match=r"contrast_with: .*the contrastive loss has no weight"):
        resolve("sgl", ["contrast_weight=0", "contrast_with=batch"])


@pytest.mark.parametrize("cells", [1, 60, 1 << 22])
def test_gradients_of_blocks_are_those_of_the_whole(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recrun.architectures.item_products._SCORES", cells)
    monkeypatch.setattr("recrun.architectures.item_products._FEWEST_ROWS", 1)
    queries, keys = (torch.randn(20, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    nodes = torch.tensor([3, 7, 3, 0, 19])
    torch.autograd.gradcheck(lambda q, k: identify(nodes, q, k, 0.3), (queries, keys))
    cosines = torch.cosine_similarity(queries[nodes][:, None], keys[None], dim=-1) / 0.3
    torch.testing.assert_close(identify(nodes, queries, keys, 0.3), torch.nn.functional.cross_entropy(cosines, nodes))
