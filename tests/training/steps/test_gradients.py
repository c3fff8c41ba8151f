"""Gradients that are averaged and clipped, against dense formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from recrun.training.steps.gradients import average_gradients, clip_gradients


def parameters(dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    """Return a table with a gradient for three of its rows, one of them twice, a layer, and one without a gradient."""
    drawn = torch.Generator().manual_seed(3)
    table, layer, idle = (nn.Parameter(torch.zeros(size, dtype=dtype)) for size in ((6, 4), (3,), (2,)))
    values = torch.randn(4, 4, generator=drawn, dtype=dtype)
    table.grad = torch.sparse_coo_tensor(torch.tensor([[5, 1, 5, 0]]), values, (6, 4), check_invariants=True)
    layer.grad = torch.randn(3, generator=drawn, dtype=dtype)
    return [table, layer, idle]


def dense(found: list[nn.Parameter]) -> list[Tensor]:
    return [each.grad.to_dense() for each in found if each.grad is not None]


def norm(gradients: list[Tensor]) -> float:
    return float(torch.cat([each.flatten() for each in gradients]).norm())


@pytest.mark.parametrize("clip_norm", [0.5, 2.0])
def test_gradients_sparse_and_dense_are_scaled_to_the_norm(clip_norm: float) -> None:
    clipped, before = parameters(), dense(parameters())
    assert norm(before) > clip_norm
    clip_gradients(clipped, clip_norm)
    for ours, raw in zip(dense(clipped), before, strict=True):
        torch.testing.assert_close(ours, raw * clip_norm / norm(before), rtol=1e-12, atol=1e-12)


def test_a_norm_within_the_limit_changes_no_bit() -> None:
    clipped = parameters()
    clip_gradients(clipped, 100.0)
    assert all(torch.equal(ours, raw) for ours, raw in zip(dense(clipped), dense(parameters()), strict=True))


def test_dense_gradients_are_clipped_as_torch_clips_them() -> None:
    ours, theirs = nn.Linear(5, 4).double(), nn.Linear(5, 4).double()
    theirs.load_state_dict(ours.state_dict())
    for layer in (ours, theirs):
        (layer(torch.ones(3, 5, dtype=torch.float64)) ** 2).sum().backward()
    clip_gradients(ours.parameters(), 0.25)
    nn.utils.clip_grad_norm_(theirs.parameters(), 0.25)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-8)


def test_nan_and_infinity_do_not_vanish() -> None:
    for bad in (float("nan"), float("inf")):
        found = parameters()
        assert found[1].grad is not None
        found[1].grad[0] = bad
        clip_gradients(found, 1.0)
        assert not all(bool(gradient.isfinite().all()) for gradient in dense(found))


def test_the_sum_of_some_batches_becomes_their_mean() -> None:
    found = parameters()
    average_gradients(found, 4)
    for ours, raw in zip(dense(found), dense(parameters()), strict=True):
        torch.testing.assert_close(ours, raw / 4)


def test_nothing_is_done_without_gradients() -> None:
    clip_gradients([nn.Parameter(torch.ones(2))], 1.0)
    average_gradients([nn.Parameter(torch.ones(2))], 3)
