"""Matrix factorisation: scores, decay, and the way of batches with few distinct items."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from recrun.architectures.item_products import reads_in_place, repeated_items
from recrun.config.resolve import resolve
from recrun.criterions import BPRLoss, BSLLoss
from recrun.data.datasets import Synthetic
from recrun.errors import ConfigError
from recrun.models.bprmf import BPRMF
from recrun.models.cml import CML
from recrun.models.lightgcn import LightGCN
from recrun.models.simplex import SimpleX
from recrun.models.ultragcn import UltraGCN
from recrun.models.vbpr import VBPR
from recrun.models.youtubednn import YoutubeDNN


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
    monkeypatch.setattr("recrun.architectures.item_products._FEWEST", 1000)
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


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("n_items", [3, 70], ids=["plain", "repeated"])
def test_entries_of_users_are_dropped_before_scaling_in_training_only(data: Any, similarity: Any, n_items: int) -> None:
    model = BPRMF(data, embedding_dim=8, similarity=similarity, embedding_dropout=0.4, embedding_decay=0.5)
    users, items = torch.randint(60, (8, 1)), torch.randint(40, (8, n_items))
    rows, columns = model.User.embeddings.weight[users], model.Item.embeddings.weight[items]
    torch.manual_seed(3)
    dropped = torch.nn.functional.dropout(rows, 0.4)
    assert 0.2 < float((dropped == 0).double().mean()) < 0.6

    def scores(left: torch.Tensor) -> torch.Tensor:
        return torch.cosine_similarity(left, columns, dim=-1) if similarity == "cosine" else (left * columns).sum(-1)

    torch.manual_seed(3)
    torch.testing.assert_close(model(users, items), scores(dropped))
    squares = rows.square().sum() + columns.square().sum()
    torch.testing.assert_close(torch.as_tensor(model.penalty(users, items)), 0.25 * squares / 8)
    assert not torch.equal(model.vectors()[0], model.vectors()[0])
    model.eval()
    torch.testing.assert_close(model(users, items), scores(rows))
    assert torch.equal(model.vectors()[0], model.vectors()[0])


def test_bsl_is_told_which_rows_are_of_one_user(data: Any) -> None:
    model = BPRMF(data, embedding_dim=4, similarity="cosine")
    batch = {"user": torch.tensor([[1], [2], [1]]), "item": torch.tensor([[3, 4, 9], [5, 3, 0], [7, 8, 2]])}
    loss = BSLLoss(positive_temperature=0.05)
    scores = model(batch["user"], batch["item"])
    assert torch.equal(model.training_loss(batch, loss), loss.from_users(scores, batch["user"][:, 0]))
    assert not torch.allclose(model.training_loss(batch, loss), loss.from_scores(scores), rtol=1e-6)


@pytest.mark.parametrize("kind", [BPRMF, LightGCN])
def test_the_distinct_items_of_a_batch_are_counted_once_a_step(
    data: Any, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    counted: list[torch.Tensor] = []

    def count(items: torch.Tensor, n_items: int, most: int) -> Any:
        counted.append(items)
        return repeated_items(items, n_items, most)

    monkeypatch.setattr("recrun.architectures.item_products.repeated_items", count)
    model = kind(data, embedding_dim=4, embedding_decay=0.5)
    for n_steps in (1, 2):
        batch = {"user": torch.randint(60, (8, 1)), "item": torch.randint(40, (8, 70))}
        model.training_loss(batch, BPRLoss())
        assert len(counted) == n_steps


@pytest.mark.parametrize("kind", [BPRMF, CML, LightGCN, SimpleX, UltraGCN, VBPR, YoutubeDNN])
@pytest.mark.parametrize(("n_rows", "n_items", "in_place"), [(8, 20, True), (60, 35, True), (3, 2, False)])
def test_scores_of_items_and_their_gradients_are_those_of_the_vectors(
    data: Any, kind: Any, n_rows: int, n_items: int, in_place: bool
) -> None:
    data = replace(data, item_vectors={"text": np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)})
    model = kind(data, embedding_dim=4).double().eval()
    users, items = torch.randint(60, (n_rows, 1)), torch.randint(40, (n_rows, n_items))
    assert reads_in_place(items, 40) == in_place
    assert (repeated_items(items, 40) is not None) == (n_items == 35)
    scores = model(users, items)
    users_UD, items_ID = model.vectors()
    expected = (users_UD[users] * items_ID[items]).sum(-1)
    torch.testing.assert_close(scores, expected)
    gradients = []
    for each in (scores, expected):
        model.zero_grad()
        each.square().sum().backward()
        gradients.append([tensor.grad.clone() for tensor in model.parameters() if tensor.grad is not None])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("kind", [BPRMF, SimpleX, YoutubeDNN])
def test_a_sum_of_squares_of_many_items_counts_each_as_often_as_it_occurs(data: Any, kind: Any) -> None:
    model = kind(data, embedding_dim=4, embedding_decay=0.5)
    users, items = torch.randint(60, (8, 1)), torch.randint(40, (8, 20))
    assert reads_in_place(items, 40)
    model(users, items)
    is_factorised = kind is BPRMF
    of_items = model.Item.embeddings if is_factorised else model.items
    of_users = model.User.embeddings if is_factorised else getattr(model, "users", None)  # YoutubeDNN has none
    squares = of_items(items).square().sum() + (0 if of_users is None else of_users(users).square().sum())
    torch.testing.assert_close(model.penalty(users, items), 0.5 * 0.5 * squares / 8)


def test_entries_of_users_are_dropped_after_scaling_if_chosen(data: Any) -> None:
    model = BPRMF(data, embedding_dim=8, similarity="cosine", embedding_dropout=0.5, dropout_after_scaling=True)
    unit = torch.nn.functional.normalize(model.User.embeddings.weight, dim=1)
    dropped = model.vectors()[0]
    kept = dropped != 0
    assert 0.3 < kept.double().mean() < 0.7
    torch.testing.assert_close(dropped[kept], 2 * unit[kept])
    torch.testing.assert_close(model.eval().vectors()[0], unit)


@pytest.mark.parametrize("others", [["embedding_dropout=0.1"], ["similarity=cosine"]])
def test_where_entries_are_dropped_has_a_meaning_with_dropout_and_cosines_only(others: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"dropout_after_scaling: .*nothing is dropped after scaling"):
        resolve("bprmf", [*others, "dropout_after_scaling=true"])
