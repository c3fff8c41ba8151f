"""The model `ncl`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.config.resolve import resolve
from recrun.criterions import BPRLoss
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.ncl import NCL, cluster

BATCH = {"user": torch.tensor([[3], [7], [3]]), "item": torch.tensor([[1, 2], [5, 0], [8, 9]])}
SETTINGS: dict[str, Any] = {"embedding_dim": 8, "n_layers": 3, "contrast_temperature": 0.4, "n_prototypes": 5}


def _expected(model: NCL, adjacency: Tensor, *, prototypes: bool) -> Tensor:
    """The loss by dense matrices, as RUCAIBox/NCL has it."""
    nodes = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).double()
    layers = [torch.linalg.matrix_power(adjacency, power) @ nodes for power in range(5)]
    vectors = torch.stack(layers[:4]).mean(0)
    loss = BPRLoss().from_scores((vectors[BATCH["user"]] * vectors[40 + BATCH["item"]]).sum(-1))
    sizes = {"user": slice(0, 40), "item": slice(40, 70)}
    for kind, batch, weight in (("user", [3, 7, 3], 1.0), ("item", [1, 5, 8], 1.5)):
        context = F.normalize(layers[model.contrast_layer][sizes[kind]], dim=1)
        center = F.normalize(nodes[sizes[kind]], dim=1)
        logits = context[batch] @ center.T / 0.4
        loss = loss + model.structure_weight * weight * F.cross_entropy(logits, torch.tensor(batch), reduction="sum")
        if prototypes:
            centers, clusters = getattr(model, f"{kind}_centers").double(), getattr(model, f"{kind}_clusters")
            logits = center[batch] @ centers.T / 0.4
            loss = loss + model.prototype_weight * F.cross_entropy(logits, clusters[batch], reduction="sum")
    rows = nodes[[3, 7, 3]], nodes[[41, 45, 48]], nodes[[42, 40, 49]]
    return loss + 0.3 * sum(each.square().sum().sqrt() for each in rows) / 3


@pytest.mark.parametrize("contrast_layer", [2, 4])
def test_the_loss_is_that_of_the_formula_on_dense_matrices(
    small_data: TrainingData, adjacency: Tensor, contrast_layer: int
) -> None:
    for warmup in (0, 1):
        model = NCL(
            small_data, **SETTINGS, contrast_layer=contrast_layer, structure_weight=0.3, prototype_weight=0.2,
            prototype_warmup=warmup, embedding_decay=0.3,
        )  # fmt: skip
        loss = model.training_loss(BATCH, BPRLoss())
        expected = _expected(model, adjacency, prototypes=warmup == 0)
        torch.testing.assert_close(loss, expected.float(), atol=1e-5, rtol=1e-5)
        loss.backward()
        gradient = model.Item.embeddings.weight.grad
        model.zero_grad()
        expected.backward()
        torch.testing.assert_close(gradient, model.Item.embeddings.weight.grad, atol=1e-5, rtol=1e-4)


def test_clusters_are_found_anew_in_each_epoch_after_the_first_ones(small_data: TrainingData) -> None:
    model = NCL(small_data, **SETTINGS, prototype_warmup=1)
    users = torch.arange(40).repeat(4)[:, None]
    whole = {"user": users, "item": torch.randint(30, (160, 2))}
    epochs = []
    for _ in range(8):
        model.training_loss(whole, BPRLoss())
        epochs.append(int(model.clustered))
    n_rows = model.n_interactions
    assert epochs == [(160 * step) // n_rows if 160 * step >= n_rows else -1 for step in range(8)]
    assert model.user_centers.norm(dim=1).allclose(torch.ones(5))
    assert set(model.user_clusters.tolist()) <= set(range(5))


def test_a_state_goes_on_with_its_clusters(small_data: TrainingData) -> None:
    def losses(model: NCL, n_steps: int) -> list[float]:
        return [model.training_loss(BATCH, BPRLoss()).item() for _ in range(n_steps)]

    settings = {**SETTINGS, "prototype_warmup": 0, "prototype_weight": 1.0}
    model, resumed = NCL(small_data, **settings), NCL(small_data, **settings)
    losses(model, 2)
    resumed.load_state_dict(model.state_dict())
    assert losses(resumed, 3) == losses(model, 3)


def test_k_means_finds_groups_that_lie_apart() -> None:
    centers = 10 * torch.eye(4)
    rows = centers.repeat_interleave(25, 0) + 0.1 * torch.randn(100, 4)
    found = [cluster(rows, 4) for _ in range(20)]  # a start with two rows of one group may leave two groups together
    best, clusters = min(found, key=lambda pair: (rows - pair[0][pair[1]]).square().sum().item())
    torch.testing.assert_close(best[clusters].view(4, 25, 4)[:, 0], rows.view(4, 25, 4).mean(1))
    for some, own in found:
        distances = torch.cdist(rows, some)
        assert (distances.gather(1, own[:, None])[:, 0] <= distances.amin(1) + 1e-4).all()
    same, own = cluster(rows[:3], 3)
    torch.testing.assert_close(same[own], rows[:3])


def test_settings_of_clusters_and_odd_layers_are_refused_where_they_make_no_sense(small_data: TrainingData) -> None:
    with pytest.raises(ConfigError, match="contrast_layer: expected an even number, found 3"):
        resolve("ncl", ["contrast_layer=3"])
    with pytest.raises(ConfigError, match=r"n_prototypes: .*prototype_weight is 0"):
        resolve("ncl", ["prototype_weight=0", "n_prototypes=10"])
    model = NCL(small_data, embedding_dim=8, prototype_weight=0, structure_weight=0, embedding_decay=0)
    scored = BPRLoss().from_scores(model(BATCH["user"], BATCH["item"]))
    torch.testing.assert_close(model.training_loss(BATCH, BPRLoss()), scored)
    assert int(model.n_rows) == 0
