"""The model `ultragcn`."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch

from recrun.config.resolve import resolve
from recrun.criterions import BaseCriterion, BCELoss4Logits, BPRLoss
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.ultragcn import UltraGCN, similar_items

GRAPHS: tuple[Literal["code", "paper"], ...] = ("code", "paper")


def _similarities(data: TrainingData, item_graph: str) -> np.ndarray:
    """The weights of all pairs of items, as the authors' code or the paper has them."""
    table = data.matrix().toarray().astype(float)
    shared = table.T @ table
    sums = shared.sum(1)
    weights = np.zeros_like(shared)
    for i, j in np.argwhere(shared > 0):
        if item_graph == "code":
            weights[i, j] = shared[i, j] * np.sqrt(sums[i] + 1) / sums[i] / np.sqrt(sums[j] + 1)
        elif i != j:
            weights[i, j] = shared[i, j] / (sums[i] - shared[i, i]) * np.sqrt(sums[i] / sums[j])
    return weights


@pytest.mark.parametrize("item_graph", GRAPHS)
def test_neighbours_are_the_items_of_the_largest_weights(small_data: TrainingData, item_graph: Any) -> None:
    weights = _similarities(small_data, item_graph)
    neighbors, kept = similar_items(small_data, 4, item_graph)
    np.testing.assert_allclose(np.sort(kept, 1), np.sort(weights, 1)[:, -4:], rtol=1e-5)
    rows = np.arange(30)[:, None]
    np.testing.assert_allclose(np.where(kept > 0, weights[rows, neighbors], 0), kept, rtol=1e-5)
    is_own = (neighbors == rows) & (kept > 0)
    assert is_own.any() == (item_graph == "code")


def test_the_graph_is_that_of_the_authors_code_unless_the_papers_is_asked_for(small_data: TrainingData) -> None:
    for settings, item_graph in (({}, "code"), ({"item_graph": "paper"}, "paper")):
        model = UltraGCN(small_data, n_neighbors=4, **settings)  # type: ignore[arg-type]
        neighbors, weights = similar_items(small_data, 4, item_graph)  # type: ignore[arg-type]
        assert model.neighbors.tolist() == neighbors.tolist()
        assert model.neighbor_weights.tolist() == weights.tolist()


@pytest.mark.parametrize("value", ["codes", "none", "Paper", "true", "null", "1", "[code]"])
def test_an_item_graph_that_is_neither_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="item_graph: expected one of code, paper, found"):
        resolve("ultragcn", [f"item_graph={value}"])


@pytest.mark.parametrize(("item_graph", "filled"), [("code", [2, 2, 1, 0]), ("paper", [1, 1, 0, 0])])
def test_items_with_few_neighbours_are_filled_up_with_weight_0(
    data_of: Any, item_graph: Any, filled: list[int]
) -> None:
    neighbors, weights = similar_items(data_of([[1, 1, 0, 0], [0, 0, 1, 0]]), 3, item_graph)
    assert neighbors.shape == (4, 3)
    assert (weights > 0).sum(1).tolist() == filled


def test_the_loss_is_the_formula_term_by_term(small_data: TrainingData) -> None:
    settings = {"item_weight": 0.3, "unobserved_weight": 7.0, "embedding_decay": 0.2, "init_std": 0.5}
    model = UltraGCN(
        small_data,
        embedding_dim=8,
        n_neighbors=4,
        positive_weight=0.4,
        positive_constraint=2.0,
        negative_base=0.6,
        negative_constraint=3.0,
        **settings,  # type: ignore[arg-type]
    )
    degrees, item_degrees = small_data.csr().lengths, small_data.item_counts()
    neighbors, weights = similar_items(small_data, 4, "code")
    users, items = (table.embeddings.weight.detach() for table in (model.User, model.Item))

    def loss(u: int, i: int, sign: int) -> float:
        return float(-torch.sigmoid(sign * (users[u] @ items[i])).log())

    def constraint(u: int, i: int) -> float:
        return float(np.sqrt((degrees[u] + 1) / (item_degrees[i] + 1)) / degrees[u])

    rows = [(3, 1, (2, 4)), (7, 5, (0, 9))]
    expected = 0.2 * 0.5 * float(users.square().sum() + items.square().sum()) / 2
    for u, positive, negatives in rows:
        own = (0.4 + 2 * constraint(u, positive)) * loss(u, positive, 1)
        others = [(0.6 + 3 * constraint(u, j)) * loss(u, j, -1) for j in negatives]
        pairs = zip(neighbors[positive], weights[positive], strict=True)
        near = sum(float(weight) * loss(u, int(j), 1) for j, weight in pairs)
        expected += (own + 7 * sum(others) / 2 + 0.3 * near) / 2
    batch = {"user": torch.tensor([[3], [7]]), "item": torch.tensor([[1, 2, 4], [5, 0, 9]])}
    assert model.training_loss(batch, BCELoss4Logits()).item() == pytest.approx(expected, rel=1e-5)


def test_another_loss_is_refused() -> None:
    with pytest.raises(ConfigError, match="ultragcn works only with bce, found bpr; remove the setting"):
        resolve("ultragcn", ["loss=bpr"])


@pytest.mark.parametrize("criterion", [BPRLoss(), BCELoss4Logits("sum")])
def test_a_script_that_gives_another_loss_is_refused(small_data: TrainingData, criterion: BaseCriterion) -> None:
    batch = {"user": torch.tensor([[3]]), "item": torch.tensor([[1, 2]])}
    found = f"{type(criterion).__name__} with reduction {criterion.reduction}"
    with pytest.raises(ConfigError, match=rf"^loss: ultragcn .*, found {found}; give it BCELoss4Logits"):
        UltraGCN(small_data).training_loss(batch, criterion)
