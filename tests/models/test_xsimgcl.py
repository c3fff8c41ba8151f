"""The model `xsimgcl`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recrun.criterions import BPRLoss, CrossEntropy4Logits
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.simgcl import contrast
from recrun.models.xsimgcl import XSimGCL

BATCH = {"user": torch.tensor([[3], [7], [3]]), "item": torch.tensor([[1, 2], [5, 0], [8, 9]])}


def test_without_noise_the_mean_is_contrasted_with_the_chosen_layer(
    small_data: TrainingData, adjacency: Tensor
) -> None:
    model = XSimGCL(
        small_data, embedding_dim=8, n_layers=2, contrast_layer=2, contrast_temperature=0.2, noise=0, embedding_decay=0
    )
    nodes = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).double()
    second = adjacency @ adjacency @ nodes
    mean = (adjacency @ nodes + second) / 2
    torch.testing.assert_close(torch.cat(model.vectors()), mean.float())
    terms = [contrast(mean[ids], second[ids], 0.2) for ids in ([3, 7], [41, 45, 48])]
    scores = (mean[:40] @ mean[40:].T)[BATCH["user"], BATCH["item"]]
    expected = BPRLoss().from_scores(scores) + 0.2 * (terms[0] + terms[1])
    torch.testing.assert_close(model.training_loss(BATCH, BPRLoss()), expected.float())


def test_noise_moves_the_scores_that_are_trained_but_not_those_that_rank(small_data: TrainingData) -> None:
    model = XSimGCL(small_data, embedding_dim=8, contrast_weight=0)
    assert model.training_loss(BATCH, BPRLoss()) != model.training_loss(BATCH, BPRLoss())
    assert torch.equal(model.vectors()[0], model.vectors()[0])


def test_a_loss_over_all_items_takes_the_scores_of_all(small_data: TrainingData) -> None:
    model = XSimGCL(small_data, embedding_dim=8, noise=0, contrast_weight=0, embedding_decay=0)
    scores = model.score(BATCH["user"][:, 0])
    expected = CrossEntropy4Logits().from_all(scores, BATCH["item"][:, 0])
    torch.testing.assert_close(model.training_loss(BATCH, CrossEntropy4Logits()), expected)


def test_a_layer_that_does_not_exist_is_refused(small_data: TrainingData) -> None:
    with pytest.raises(ConfigError, match="expected one of the 2 layers, found 3"):
        XSimGCL(small_data, n_layers=2, contrast_layer=3)


def test_negatives_that_the_model_chooses_are_those_that_it_scores_highest(small_data: TrainingData) -> None:
    model = XSimGCL(small_data, embedding_dim=8, noise=0, contrast_weight=0, embedding_decay=0)
    users, positives = BATCH["user"], BATCH["item"][:, :1]
    candidates = torch.arange(30).view(3, 1, 10)
    scores = model(users, candidates.flatten(1))
    hardest = candidates[:, 0].gather(1, scores.argmax(1, keepdim=True))
    expected = BPRLoss().from_scores(model(users, torch.cat([positives, hardest], dim=1)))
    batch = {"user": users, "item": positives, "candidates": candidates}
    torch.testing.assert_close(model.training_loss(batch, BPRLoss()), expected)
