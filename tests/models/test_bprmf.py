"""Matrix factorisation: scores, decay, and the way of batches with few distinct items."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recrun.architectures.few_items import repeated_items
from recrun.criterions import BPRLoss
from recrun.data.datasets import Synthetic
from recrun.models.bprmf import BPRMF


@pytest.fixture(scope="module")
def data() -> Any:
    return Synthetic(n_users=60, n_items=40, n_interactions=900).training_data()


def gradients(model: BPRMF, users: torch.Tensor, items: torch.Tensor) -> tuple[torch.Tensor, ...]:
    model.zero_grad()
    scores = model(users, items)
    (scores.logsumexp(1).sum() + model.penalty(users, items)).backward()
    return scores.detach(), *(parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_many_repeated_negatives_give_the_scores_and_gradients_of_the_plain_way(
    data: Any, similarity: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = BPRMF(data, embedding_dim=8, similarity=similarity, embedding_decay=0.3, init_std=0.5)
    users, items = torch.randint(60, (32, 1)), torch.randint(40, (32, 70))
    fast = gradients(model, users, items)
    monkeypatch.setattr("recrun.architectures.few_items._FEWEST", 1000)
    plain = gradients(model, users, items)
    assert len(fast) == len(plain) == 3
    for one, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(one, other)
    rows = model.User.embeddings.weight[users], model.Item.embeddings.weight[items]
    expected = torch.cosine_similarity(*rows, dim=-1) if similarity == "cosine" else (rows[0] * rows[1]).sum(-1)
    torch.testing.assert_close(fast[0], expected.detach())


def test_the_decay_is_half_the_squared_norms_of_the_batch_by_its_users(data: Any) -> None:
    model = BPRMF(data, embedding_dim=4, embedding_decay=0.5)
    users, items = torch.tensor([[1], [2]]), torch.tensor([[3, 4], [3, 5]])
    norms = model.User.embeddings.weight[users].square().sum() + model.Item.embeddings.weight[items].square().sum()
    torch.testing.assert_close(torch.as_tensor(model.penalty(users, items)), 0.25 * norms / 2)


def test_the_distinct_items_of_a_batch_are_counted_once_a_step(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[torch.Tensor] = []

    def count(items: torch.Tensor, n_items: int) -> Any:
        counted.append(items)
        return repeated_items(items, n_items)

    monkeypatch.setattr("recrun.models.bprmf.repeated_items", count)
    model = BPRMF(data, embedding_dim=4, embedding_decay=0.5)
    for n_steps in (1, 2):
        batch = {"user": torch.randint(60, (8, 1)), "item": torch.randint(40, (8, 70))}
        model.training_loss(batch, BPRLoss())
        assert len(counted) == n_steps
