"""The models `simgcl` and, for what they share, `xsimgcl`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from recrun.criterions import BPRLoss
from recrun.data.interactions import TrainingData
from recrun.models.simgcl import SimGCL, contrast, noisy
from recrun.models.xsimgcl import XSimGCL

BATCH = {"user": torch.tensor([[3], [7], [3]]), "item": torch.tensor([[1, 2], [5, 0], [8, 9]])}


def test_noise_has_its_length_and_stays_in_the_orthant() -> None:
    embeddings = torch.randn(50, 6)
    moved = noisy(embeddings, 0.3)
    torch.testing.assert_close((moved - embeddings).norm(dim=1), torch.full((50,), 0.3))
    assert torch.equal(moved.sign(), embeddings.sign())
    assert not torch.equal(noisy(embeddings, 0.3), moved)


def test_the_contrast_of_orthogonal_nodes_is_known() -> None:
    views = 5 * torch.eye(3)
    # Each row's cosine with its own is 1, with the two others 0.
    expected = math.log(math.exp(2) + 2) - 2
    assert math.isclose(contrast(views, views, 0.5).item(), expected, rel_tol=1e-6)
    assert contrast(views, views.roll(1, 0), 0.5) > expected


def test_vectors_are_the_means_over_layers_without_the_first(small_data: TrainingData, adjacency: Tensor) -> None:
    model = SimGCL(small_data, embedding_dim=8, n_layers=2)
    nodes = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).double()
    expected = (adjacency @ nodes + adjacency @ adjacency @ nodes) / 2
    torch.testing.assert_close(torch.cat(model.vectors()), expected.float())


def test_without_noise_the_contrast_is_of_the_vectors_of_distinct_users_and_positives(
    small_data: TrainingData,
) -> None:
    model = SimGCL(
        small_data, embedding_dim=8, noise=0, contrast_weight=0.7, contrast_temperature=0.4, embedding_decay=0
    )
    users, items = model.vectors()
    terms = contrast(users[[3, 7]], users[[3, 7]], 0.4) + contrast(items[[1, 5, 8]], items[[1, 5, 8]], 0.4)
    expected = BPRLoss().from_scores(model(BATCH["user"], BATCH["item"])) + 0.7 * terms
    torch.testing.assert_close(model.training_loss(BATCH, BPRLoss()), expected)


def _norms(vectors: tuple[Tensor, Tensor]) -> Tensor:
    """The L2 term of SELFRec: the norm of the matrix of the batch's users, plus that of its positives, by its size."""
    users, items = (each.double() for each in vectors)
    return (users[[3, 7, 3]].square().sum().sqrt() + items[[1, 5, 8]].square().sum().sqrt()) / 3


def test_the_l2_term_is_of_the_norms_of_propagated_users_and_positives(small_data: TrainingData) -> None:
    settings = {"embedding_dim": 8, "noise": 0, "contrast_weight": 0}
    for model in (
        SimGCL(small_data, embedding_decay=0.3, **settings),  # type: ignore[arg-type]
        XSimGCL(small_data, embedding_decay=0.3, **settings),  # type: ignore[arg-type]
    ):
        expected = BPRLoss().from_scores(model(BATCH["user"], BATCH["item"])) + 0.3 * _norms(model.vectors())
        torch.testing.assert_close(model.training_loss(BATCH, BPRLoss()), expected.float())
        assert model.held is None


def test_the_l2_term_and_the_contrast_are_of_vectors_that_are_not_scaled(small_data: TrainingData) -> None:
    losses = {}
    for similarity in ("dot", "cosine"):
        for kind in (SimGCL, XSimGCL):
            torch.manual_seed(3)
            model = kind(small_data, embedding_dim=8, noise=0, embedding_decay=0.3, similarity=similarity)
            scored = BPRLoss().from_scores(model(BATCH["user"], BATCH["item"]))
            losses[similarity, kind.__name__] = model.training_loss(BATCH, BPRLoss()) - scored
            if similarity == "cosine":
                torch.testing.assert_close(model.vectors()[0].norm(dim=1), torch.ones(40))
    for name in ("SimGCL", "XSimGCL"):
        torch.testing.assert_close(losses["dot", name], losses["cosine", name])


def test_the_gradient_of_the_l2_term_is_that_of_the_formula(small_data: TrainingData, adjacency: Tensor) -> None:
    model = SimGCL(small_data, embedding_dim=8, n_layers=2, contrast_weight=0, embedding_decay=1.0)
    nodes = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).detach().double().requires_grad_()
    spread = (adjacency @ nodes + adjacency @ adjacency @ nodes) / 2
    _norms((spread[:40], spread[40:])).backward()
    assert nodes.grad is not None
    torch.as_tensor(model.penalty(BATCH["user"], BATCH["item"])).backward()
    torch.testing.assert_close(model.User.embeddings.weight.grad, nodes.grad[:40].float())
    torch.testing.assert_close(model.Item.embeddings.weight.grad, nodes.grad[40:].float())


def test_the_l2_term_of_xsimgcl_is_of_noisy_vectors(small_data: TrainingData) -> None:
    model = XSimGCL(small_data, embedding_dim=8, noise=0.5, contrast_weight=0, embedding_decay=100.0)
    losses = {round(model.training_loss(BATCH, BPRLoss()).item(), 3) for _ in range(3)}
    assert len(losses) == 3


def test_noise_is_drawn_from_torchs_generator_which_a_checkpoint_holds(small_data: TrainingData) -> None:
    model = SimGCL(small_data, embedding_dim=8)
    state = torch.get_rng_state()
    first, second = (model.training_loss(BATCH, BPRLoss()).item() for _ in range(2))
    torch.set_rng_state(state)
    assert first != second
    assert [model.training_loss(BATCH, BPRLoss()).item() for _ in range(2)] == [first, second]
