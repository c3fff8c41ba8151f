"""The model `vbpr`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.criterions import BPRLoss
from recrun.data.interactions import TrainingData
from recrun.models.vbpr import VBPR

BATCH = {"user": torch.tensor([[3], [7], [3]]), "item": torch.tensor([[1, 2], [5, 0], [8, 1]])}


@pytest.fixture(scope="module")
def data(small_data: TrainingData) -> TrainingData:
    rng = np.random.default_rng(3)
    text, image = (rng.normal(0, 3, (30, dim)).astype(np.float32) for dim in (5, 2))
    text[4] = 0
    return replace(small_data, item_vectors={"text": text, "image": image})


def _model(data: TrainingData, **settings: Any) -> VBPR:
    torch.manual_seed(0)
    model = VBPR(data, embedding_dim=4, content_dim=3, init_std=0.5, **settings)
    torch.nn.init.normal_(model.biases.weight)
    return model


def _scores(model: VBPR, features: np.ndarray) -> np.ndarray:
    """The scores (U, I) by the formula of the paper, in float64."""
    tables = (model.User.embeddings, model.Item.embeddings, model.tastes, model.projection, model.content_bias)
    p, q, t, e, w = (each.weight.detach().double().numpy() for each in tables)
    scores = np.empty((40, 30))
    for u in range(40):
        for i in range(30):
            scores[u, i] = model.biases.weight[i].item() + p[u] @ q[i] + t[u] @ (e @ features[i]) + w[0] @ features[i]
    return scores


def _features(data: TrainingData, scale: str = "none") -> np.ndarray:
    found = [each.astype(np.float64) for each in data.item_vectors.values()]
    if scale == "max":
        found = [each / np.abs(each).max() for each in found]
    if scale == "unit":
        found = [each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-9) for each in found]
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("scale", ["none", "max", "unit"])
def test_scores_are_those_of_the_formula(data: TrainingData, scale: Any) -> None:
    model = _model(data, vector_scale=scale)
    expected = torch.from_numpy(_scores(model, _features(data, scale)))
    users, items = model.vectors()
    torch.testing.assert_close((users @ items.T).double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.score(torch.arange(40)).double(), expected, atol=1e-5, rtol=1e-5)
    pairs = expected[BATCH["user"], BATCH["item"]]
    torch.testing.assert_close(model(BATCH["user"], BATCH["item"]).double(), pairs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n_users", [3, 40])
def test_a_batch_of_more_entries_than_items_has_the_same_scores_and_gradients(data: TrainingData, n_users: int) -> None:
    users = torch.arange(n_users)[:, None]
    items = torch.from_numpy(np.random.default_rng(0).integers(0, 30, (n_users, 64)))  # repeated, and so by a product
    model = _model(data)
    expected = torch.from_numpy(_scores(model, _features(data)))[users, items]
    scores = model(users, items)
    torch.testing.assert_close(scores.double(), expected, atol=1e-5, rtol=1e-5)
    gradients = []
    for each in (scores, torch.cat([model(users, items[:, part : part + 1]) for part in range(64)], dim=1)):
        model.zero_grad()
        each.square().sum().backward()
        gradients.append(model.projection.weight.grad)
    torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-4)


def test_the_loss_is_bpr_with_l2_terms_on_what_is_looked_up_and_on_the_projection(data: TrainingData) -> None:
    model = _model(data, embedding_decay=0.3, projection_decay=0.2)
    scores = _scores(model, _features(data))
    p, q, t = (each.weight.detach().numpy() for each in (model.User.embeddings, model.Item.embeddings, model.tastes))
    b = model.biases.weight.detach().numpy()
    expected = 0.0
    for u, (i, j) in zip(BATCH["user"][:, 0].tolist(), BATCH["item"].tolist(), strict=True):
        expected += np.log1p(np.exp(scores[u, j] - scores[u, i])) / 3
        looked_up = (p[u], t[u], q[i], q[j], b[i], b[j])
        expected += 0.3 / 2 * sum(float(np.square(each).sum()) for each in looked_up) / 3
    for weight in (model.projection.weight, model.content_bias.weight):
        expected += 0.2 / 2 * weight.square().sum().item()
    assert model.training_loss(BATCH, BPRLoss()).item() == pytest.approx(expected, rel=1e-5)


def test_an_item_that_only_its_content_tells_of_has_the_score_of_its_content(data: TrainingData) -> None:
    model = _model(data)
    with torch.no_grad():
        model.Item.embeddings.weight[4] = 0
        model.biases.weight[4] = 0
    features = torch.from_numpy(_features(data)[4]).float()
    expected = model.tastes.weight @ model.projection(features) + model.content_bias(features)
    torch.testing.assert_close(model.score(torch.arange(40))[:, 4], expected)


def test_biases_start_at_zero_and_vectors_are_not_trained(data: TrainingData) -> None:
    model = VBPR(data, embedding_dim=4, content_dim=3)
    assert not model.biases.weight.any()
    names = {name for name, _ in model.named_parameters()}
    assert not any("features" in name for name in (*names, *model.state_dict()))


def test_the_vectors_of_one_file_are_not_copied(small_data: TrainingData) -> None:
    text: np.ndarray = np.ones((30, 5), dtype=np.float32)
    model = VBPR(replace(small_data, item_vectors={"text": text}))
    before: Tensor = model.features
    assert before.data_ptr() == text.ctypes.data
