"""The model `lightgcn`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.config.resolve import resolve
from recrun.criterions import BPRLoss
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.lightgcn import LightGCN


@pytest.mark.parametrize("n_layers", [1, 3])
def test_vectors_are_the_means_over_layers_of_dense_products(
    small_data: TrainingData, adjacency: Tensor, n_layers: int
) -> None:
    model = LightGCN(small_data, embedding_dim=8, n_layers=n_layers)
    nodes = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).double()
    layers = [torch.linalg.matrix_power(adjacency, power) @ nodes for power in range(n_layers + 1)]
    torch.testing.assert_close(torch.cat(model.vectors()), torch.stack(layers).mean(0).float())


def test_the_loss_of_a_batch_is_that_of_its_scores_and_its_rows_squares(small_data: TrainingData) -> None:
    model = LightGCN(small_data, embedding_dim=8, embedding_decay=0.5)
    users, items = torch.tensor([[3], [7]]), torch.tensor([[1, 2, 2], [5, 0, 9]])
    user_vectors, item_vectors = model.vectors()
    scores = (user_vectors @ item_vectors.T)[users, items]
    squares = sum((model.User.embeddings.weight[u] ** 2).sum() for u in (3, 7))
    squares = squares + sum((model.Item.embeddings.weight[i] ** 2).sum() for i in (1, 2, 2, 5, 0, 9))
    expected = BPRLoss().from_scores(scores) + 0.5 * squares / 2 / 2
    torch.testing.assert_close(model.training_loss({"user": users, "item": items}, BPRLoss()), expected)


def test_a_batch_moves_rows_that_are_not_in_it(small_data: TrainingData) -> None:
    model = LightGCN(small_data, embedding_dim=8)
    model.training_loss({"user": torch.tensor([[3]]), "item": torch.tensor([[1, 2]])}, BPRLoss()).backward()
    gradient = model.User.embeddings.weight.grad
    assert gradient is not None
    assert int((gradient != 0).any(1).sum()) > 1


def test_layers_have_the_weights_that_are_set(small_data: TrainingData, adjacency: Tensor) -> None:
    model = LightGCN(small_data, embedding_dim=8, n_layers=2, layer_weights=[0.5, 0, 2])
    nodes = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).double()
    expected = 0.5 * nodes + 2 * adjacency @ adjacency @ nodes
    torch.testing.assert_close(torch.cat(model.vectors()), expected.float())


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("[1, 1]", "expected a weight for layer 0 and each of the 3 layers, 4 in all, found"),
        ("[0, 0, 0, 0]", "all are 0"),
        ("[]", "expected a weight for layer 0 and each of the 3 layers, 4 in all, found"),
        ("[1, 1, 1, -1]", "expected a list of numbers >= 0 or null; element 4 is -1"),
        ("last", "expected a list of numbers >= 0 or null, found"),
    ],
)
def test_weights_of_layers_that_make_no_sense_are_refused(small_data: TrainingData, given: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=f"layer_weights: {fault}"):
        resolve("lightgcn", [f"layer_weights={given}"])
    for weights in ([1.0], [0.0] * 4):
        with pytest.raises(ConfigError, match="expected 4 weights that are not all 0"):
            LightGCN(small_data, layer_weights=weights)


@pytest.mark.parametrize("normalization", ["left", "right", "none"])
def test_edges_have_the_weights_that_are_chosen(small_data: TrainingData, normalization: Any) -> None:
    model = LightGCN(small_data, embedding_dim=8, n_layers=2, normalization=normalization)
    table = torch.from_numpy(small_data.matrix().toarray()).double()
    whole = torch.cat([torch.cat([torch.zeros(40, 40), table], 1), torch.cat([table.T, torch.zeros(30, 30)], 1)])
    inverse = torch.diag(1 / whole.sum(1).clamp(min=1))
    matrix = {"left": inverse @ whole, "right": whole @ inverse, "none": whole}[normalization]
    nodes = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).detach().double().requires_grad_()
    expected = (nodes + matrix @ nodes + matrix @ matrix @ nodes) / 3
    torch.testing.assert_close(torch.cat(model.vectors()), expected.float())
    torch.cat(model.vectors()).square().sum().backward()
    expected.square().sum().backward()
    assert nodes.grad is not None
    torch.testing.assert_close(model.User.embeddings.weight.grad, nodes.grad[:40].float())


def test_edges_and_users_are_dropped_in_training_only_and_a_state_of_the_generator_repeats_it(
    small_data: TrainingData,
) -> None:
    batch = {"user": torch.tensor([[3], [7]]), "item": torch.tensor([[1, 2], [5, 0]])}
    plain = LightGCN(small_data, embedding_dim=8)
    for settings in ({"edge_dropout": 0.4}, {"embedding_dropout": 0.4}):
        model = LightGCN(small_data, embedding_dim=8, **settings)  # type: ignore[arg-type]
        model.load_state_dict(plain.state_dict())
        state = torch.get_rng_state()
        losses = [model.training_loss(batch, BPRLoss()).item() for _ in range(2)]
        assert losses[0] != losses[1]
        torch.set_rng_state(state)
        assert [model.training_loss(batch, BPRLoss()).item() for _ in range(2)] == losses
        model.eval()
        assert all(torch.equal(*pair) for pair in zip(model.vectors(), plain.vectors(), strict=True))


def test_scores_are_cosines_of_the_averaged_embeddings_if_chosen(small_data: TrainingData) -> None:
    model = LightGCN(small_data, embedding_dim=8, similarity="cosine")
    plain = LightGCN(small_data, embedding_dim=8)
    plain.load_state_dict(model.state_dict())
    users, items = plain.vectors()
    expected = torch.cosine_similarity(users[:, None], items[None], dim=-1)
    torch.testing.assert_close(model.score(torch.arange(40)), expected)
    histories = small_data.csr().take(np.arange(5))
    torch.testing.assert_close(model.embed_histories(histories).norm(dim=1), torch.ones(5))
    assert model.score_histories(histories).abs().max() <= 1 + 1e-6


@pytest.mark.parametrize("model", ["lightgcn", "ngcf", "simgcl", "xsimgcl"])
@pytest.mark.parametrize("loss", ["ccl", "bsl"])
def test_losses_on_cosines_take_models_on_the_graph_with_cosines_only(model: str, loss: str) -> None:
    assert resolve(model, [f"loss={loss}", "n_negatives=4", "similarity=cosine"]).config.loss == loss
    with pytest.raises(ConfigError, match=f"similarity: loss {loss} needs cosine scores: expected cosine, found dot"):
        resolve(model, [f"loss={loss}", "n_negatives=4"])


@pytest.mark.parametrize("optimizer", ["sparse_adam", "lazy_adam"])
def test_optimizers_of_the_batchs_rows_are_refused(optimizer: str) -> None:
    with pytest.raises(
        ConfigError, match=f"{optimizer} updates only the rows of a batch, but lightgcn changes all rows"
    ):
        resolve("lightgcn", [f"optimizer={optimizer}"])
