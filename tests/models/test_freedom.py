"""The model `freedom`, its graph of items and its pruning."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import Tensor

from recrun.architectures.graph import UserItemGraph
from recrun.architectures.item_vectors import ItemGraph, nearest_items
from recrun.criterions import BPRLoss
from recrun.data.interactions import TrainingData
from recrun.data.postprocessing.batch_negatives import SEEN, SHARED
from recrun.errors import ConfigError
from recrun.models.freedom import FREEDOM

BATCH = {"user": torch.tensor([[3], [7], [3]]), "item": torch.tensor([[1, 2], [5, 0], [8, 1]])}


@pytest.fixture(scope="module")
def data(small_data: TrainingData) -> TrainingData:
    rng = np.random.default_rng(3)
    text, image = (rng.normal(0, 3, (30, dim)).astype(np.float32) for dim in (5, 2))
    return replace(small_data, item_vectors={"text": text, "image": image})


def _similar(vectors: np.ndarray, n_neighbors: int) -> np.ndarray:
    """The matrix (I, I) with 1 / K at the K largest cosines of each row, written out."""
    matrix = np.zeros((len(vectors), len(vectors)))
    for i, one in enumerate(vectors.astype(np.float64)):
        cosines = [one @ other / np.linalg.norm(one) / np.linalg.norm(other) for other in vectors.astype(np.float64)]
        for j in sorted(range(len(vectors)), key=lambda j: -cosines[j])[:n_neighbors]:
            matrix[i, j] = 1 / n_neighbors
    return matrix


def _fused(data: TrainingData, weights: tuple[float, float], n_neighbors: int) -> Tensor:
    parts = [_similar(vectors, n_neighbors) for vectors in data.item_vectors.values()]
    return torch.from_numpy(sum(w * part for w, part in zip(weights, parts, strict=True)))  # type: ignore[arg-type]


def _expected(model: FREEDOM, adjacency: Tensor, similar: Tensor) -> Tensor:
    nodes = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).double()
    means = (nodes + adjacency @ nodes + adjacency @ adjacency @ nodes) / 3
    return torch.cat([means[:40], means[40:] + similar @ similar @ nodes[40:]])


def test_vectors_are_those_of_both_graphs(data: TrainingData, adjacency: Tensor) -> None:
    model = FREEDOM(data, embedding_dim=8, n_item_layers=2, n_neighbors=4, vector_weights=[1.0, 3.0])
    expected = _expected(model, adjacency, _fused(data, (0.25, 0.75), 4))
    torch.testing.assert_close(torch.cat(model.vectors()), expected.float())


@pytest.mark.parametrize(("trained", "n_more"), [(False, 0), (True, 0), (True, 12), (True, 40)])
def test_the_loss_is_that_of_the_formula_on_dense_matrices(
    data: TrainingData, adjacency: Tensor, trained: bool, n_more: int
) -> None:
    # With 12 more negatives vectors are read in place, and with 40 there is one product with the distinct items.
    more = torch.randint(30, (3, n_more), generator=torch.Generator().manual_seed(1))
    batch = {"user": BATCH["user"], "item": torch.cat([BATCH["item"], more], dim=1)}
    model = FREEDOM(
        data, embedding_dim=8, n_item_layers=2, n_neighbors=4, pruned_share=0.0, content_weight=0.7,
        trained_vectors=trained, embedding_decay=0.3,
    )  # fmt: skip
    expected_nodes = _expected(model, adjacency, _fused(data, (0.5, 0.5), 4))
    users, items = batch["user"], batch["item"]
    expected = BPRLoss().from_scores((expected_nodes[users] * expected_nodes[40 + items]).sum(-1))
    for number, layer in enumerate(model.projections):
        contents = layer(getattr(model, f"content_{number}")).double()
        expected = expected + 0.7 * BPRLoss().from_scores((expected_nodes[users] * contents[items]).sum(-1))
    looked_up = model.User.embeddings.weight[users], model.Item.embeddings.weight[items]
    expected = expected + 0.3 / 2 * sum(each.square().sum() for each in looked_up) / 3
    weights = [model.Item.embeddings.weight, model.projections[0].weight]
    weights += [model.content_0] if trained else []
    gradients = []
    loss = model.training_loss(batch, BPRLoss())
    for each in (expected, loss):
        model.zero_grad()
        each.backward()
        gradients.append([weight.grad for weight in weights])
    torch.testing.assert_close(loss, expected.float())
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)
    assert model.held is None


def test_shared_negatives_that_do_not_count_for_a_row_are_left_out_of_both_terms(data: TrainingData) -> None:
    model = FREEDOM(data, embedding_dim=8, n_neighbors=4, pruned_share=0.0, content_weight=0.7)
    seen = torch.tensor([[True, False], [False, False], [False, True]])
    shared = {"user": BATCH["user"], "item": BATCH["item"][:, :1], SHARED: torch.tensor([4, 9]), SEEN: seen}
    vectors = model.vectors()
    expected = torch.zeros(())
    for row in range(3):
        user, positive = vectors[0][BATCH["user"][row, 0]], BATCH["item"][row, 0]
        tables = [vectors[1], *(layer(each) for layer, each in zip(model.projections, model._contents(), strict=True))]
        for table, weight in zip(tables, (1, 0.7, 0.7), strict=True):
            for place, negative in enumerate((4, 9)):
                if not seen[row, place]:
                    expected = expected + weight * F.softplus(user @ (table[negative] - table[positive])) / 6
    torch.testing.assert_close(model.training_loss(shared, BPRLoss()), expected)


def test_the_frozen_graph_stays_when_the_vectors_are_trained(data: TrainingData) -> None:
    model = FREEDOM(data, embedding_dim=8, n_neighbors=4, trained_vectors=True, content_weight=1.0)
    before = model.item_graph(model.Item.embeddings.weight).detach()
    own = data.item_vectors["text"].copy()
    with torch.no_grad():
        for each in model._contents():
            each.add_(torch.randn_like(each))
    assert torch.equal(model.item_graph(model.Item.embeddings.weight), before)
    assert np.array_equal(data.item_vectors["text"], own)


def test_an_item_without_a_vector_is_its_own_only_neighbour_and_blocks_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors = torch.randn(30, 4, generator=torch.Generator().manual_seed(1))
    vectors[7] = 0
    nearest = nearest_items(vectors, 5)
    assert nearest[7].tolist() == [7] * 5
    monkeypatch.setattr("recrun.architectures.item_vectors._BLOCK", 100)
    assert torch.equal(nearest_items(vectors, 5), nearest)
    items = torch.randn(30, 3, generator=torch.Generator().manual_seed(2))
    graph = ItemGraph({"text": vectors}, {"text": 2.0}, 5)
    torch.testing.assert_close(graph(items)[7], items[7])
    torch.testing.assert_close(graph(items), items[nearest].mean(1))


def test_the_product_has_the_gradient_of_the_transposed_matrix() -> None:
    vectors = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
    graph = ItemGraph({"text": vectors}, {"text": 1.0}, 3).double()
    items = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(graph, (items,))


def test_an_interaction_is_left_in_a_pruned_graph_as_often_as_by_draws_one_after_the_other() -> None:
    table = csr_matrix(np.array([[1, 1, 1], [1, 0, 0], [0, 0, 1]], dtype=np.float32))
    graph = UserItemGraph(table)
    users, items = table.nonzero()
    weights = [1 / np.sqrt(table.getnnz(1)[u] * table.getnnz(0)[i]) for u, i in zip(users, items, strict=True)]
    expected = np.zeros(5)
    for draw in permutations(range(5), 2):
        rest, chance = sum(weights), 1.0
        for edge in draw:
            chance *= weights[edge] / rest
            rest -= weights[edge]
        expected[list(draw)] += chance
    torch.manual_seed(0)
    counts, n_draws = np.zeros(5), 4_000
    for _ in range(n_draws):
        counts += graph.prune(0.6).weights_E[:5].numpy() > 0
    deviations = np.sqrt(expected * (1 - expected) / n_draws)
    assert (np.abs(counts / n_draws - expected) < 4.5 * deviations).all()


def test_a_pruned_graph_has_the_weights_of_its_own_degrees(small_data: TrainingData) -> None:
    graph = UserItemGraph(small_data.matrix())
    n_interactions = len(graph.neighbors) // 2
    edges = graph.prune(0.8)
    left = edges.weights_E[:n_interactions] > 0
    assert int(left.sum()) == int(n_interactions * 0.2)
    users, items = small_data.matrix().nonzero()
    table = csr_matrix((np.ones(int(left.sum()), dtype=np.float32), (users[left], items[left])), shape=(40, 30))
    nodes = torch.randn(70, 4)
    torch.testing.assert_close(graph(nodes, edges), UserItemGraph(table)(nodes))


def test_the_graph_is_pruned_in_training_only(data: TrainingData) -> None:
    model = FREEDOM(data, embedding_dim=8, n_neighbors=4, pruned_share=0.5)
    state = torch.get_rng_state()
    losses = [model.training_loss(BATCH, BPRLoss()).item() for _ in range(2)]
    torch.set_rng_state(state)
    assert losses[0] != losses[1]
    assert [model.training_loss(BATCH, BPRLoss()).item() for _ in range(2)] == losses
    assert torch.equal(model.vectors()[0], model.eval().vectors()[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"vector_weights": [1.0]}, r"expected a weight for each of text, image, not all 0, found \[1\.0\]"),
     ({"vector_weights": [0.0, 0.0]}, "not all 0"),
     ({"n_neighbors": 31}, "expected at most the number of items, 30, found 31")],
)  # fmt: skip
def test_settings_that_do_not_fit_the_data_are_refused(
    data: TrainingData, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        FREEDOM(data, **settings)
