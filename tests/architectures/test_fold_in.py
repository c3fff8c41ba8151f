"""Fold-in of new users."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recrun.architectures.base import RecSysArch
from recrun.architectures.fold_in import FoldIn
from recrun.data.interactions import CSR

ROWS = CSR.from_pairs(np.array([0, 0, 0, 1, 3, 3]), np.array([1, 4, 8, 2, 0, 9]), 4)


class Factors(RecSysArch):
    """Products of embeddings; counts how often its vectors are computed."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.users, self.items = nn.Embedding(6, 4), nn.Embedding(12, 4)
        self.items.weight.data *= scale
        self.n_calls = 0
        self.fold_in = FoldIn(self)

    def vectors(self) -> tuple[Tensor, Tensor]:
        self.n_calls += 1
        return self.users.weight, self.items.weight


def _loss(user_D: Tensor, items_ID: Tensor, own: list[int]) -> Tensor:
    """The loss that a new user's vector minimises, pair by pair."""
    differences = torch.stack([items_ID[i] - other for i in own for other in items_ID])
    margins = differences @ user_D
    ridge = 0.03 * items_ID.square().sum(1).mean()
    return (margins.square() / 8 - margins / 2).mean() + ridge / 2 * user_D.square().sum()


def test_a_new_users_vector_minimises_the_loss_over_pairs() -> None:
    model = Factors().eval()
    items_ID = model.items.weight.detach().double()
    for user, vector_D in enumerate(model.fold_in.embed(ROWS).double()):
        own = ROWS.row(user).tolist()
        if not own:
            assert not vector_D.any()
            continue
        vector_D = vector_D.clone().requires_grad_()
        (gradient_D,) = torch.autograd.grad(_loss(vector_D, items_ID, own), vector_D)
        torch.testing.assert_close(gradient_D, torch.zeros(4).double(), atol=1e-5, rtol=0)


def test_the_ranking_does_not_depend_on_how_long_the_vectors_are() -> None:
    one, ten = (Factors(scale).eval().fold_in.score(ROWS) for scale in (1.0, 10.0))
    torch.testing.assert_close(one, ten)


def test_cosines_have_users_of_unit_length() -> None:
    model = Factors().eval()
    lengths = FoldIn(model, unit=True).embed(ROWS).norm(dim=1)
    torch.testing.assert_close(lengths, torch.tensor([1.0, 1, 0, 1]))


def test_the_items_are_computed_once_until_the_model_changes() -> None:
    model = Factors().eval()
    before = model.fold_in.score(ROWS)
    model.fold_in.score(ROWS)
    assert model.n_calls == 1
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, fused=True)  # torch does not count its steps as changes
    model.items(torch.tensor([1, 2])).sum().backward()
    optimizer.step()
    model.eval()
    assert not torch.equal(model.fold_in.score(ROWS), before)
    model.load_state_dict(Factors().state_dict())
    assert torch.equal(model.fold_in.score(ROWS), before)
    assert model.n_calls == 3
    assert not any("fold_in" in name for name in model.state_dict())


def test_nothing_is_kept_of_a_model_that_is_being_trained() -> None:
    model = Factors().train()
    model.fold_in.score(ROWS)
    model.fold_in.score(ROWS)
    assert model.n_calls == 2


def test_a_copy_of_a_model_folds_in_by_its_own_items() -> None:
    model = Factors().eval()
    model.fold_in.score(ROWS)
    other = copy.deepcopy(model)
    other.items.weight.data.mul_(-1)
    torch.testing.assert_close(other.fold_in.embed(ROWS), -model.fold_in.embed(ROWS))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_items_that_are_all_alike_give_scores_that_are_all_alike(value: float) -> None:
    model = Factors().eval()
    model.items.weight.data.fill_(value)
    scores = model.fold_in.score(ROWS)
    torch.testing.assert_close(scores, scores[:, :1].expand_as(scores))
