"""Sums of logarithms of softmax denominators over products, which are computed in pieces, and their gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.architectures import item_products
from recrun.architectures.item_products import log_sums
from recrun.criterions import CrossEntropy4Logits


def draw(n_rows: int, n_items: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n_rows)
    states, items = (
        (scale * torch.randn(n, 3, generator=generator, dtype=torch.float64)).requires_grad_()
        for n in (n_rows, n_items)
    )
    return states, items, torch.randint(n_items, (n_rows,), generator=generator)


def gradients(loss: Tensor, *of: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, of))


@pytest.mark.parametrize("n_rows", [1, 4, 5, 13])
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_loss_and_gradients_are_those_of_all_scores_at_once(
    n_rows: int, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_products, "_SCORES", 1)
    monkeypatch.setattr(item_products, "_FEWEST_ROWS", 4)
    states, items, targets = draw(n_rows, 7, scale)
    expected = F.cross_entropy(states @ items.T, targets, reduction="sum")
    loss = log_sums(states, items, targets)
    torch.testing.assert_close(loss, expected)
    for found, wanted in zip(gradients(3 * loss, states, items), gradients(3 * expected, states, items), strict=True):
        torch.testing.assert_close(found, wanted)


def test_gradients_are_those_of_the_formula() -> None:
    states, items, targets = draw(5, 4)
    assert torch.autograd.gradcheck(lambda s, v: log_sums(s, v, targets), (states, items))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_loss_of_products_is_that_of_their_scores(reduction: str) -> None:
    states, items, targets = draw(6, 5)
    loss = CrossEntropy4Logits(reduction)
    found, expected = loss.from_products(states, items, targets), loss.from_all(states @ items.T, targets)
    torch.testing.assert_close(found, expected)
    for each, wanted in zip(
        gradients(found.sum(), states, items), gradients(expected.sum(), states, items), strict=True
    ):
        torch.testing.assert_close(each, wanted)


def test_the_scores_of_all_rows_are_never_held() -> None:
    states, items, targets = draw(4096, 1000)
    sizes: list[int] = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = function(*args, **(kwargs or {}))
            sizes.extend(each.numel() for each in (result,) if isinstance(each, Tensor))
            return result

    with Watch():
        CrossEntropy4Logits().from_products(states, items, targets).backward()
    assert max(sizes) < 4096 * 1000 / 3


def test_a_loss_that_overrides_what_it_makes_of_scores_is_not_passed_over() -> None:
    class Doubled(CrossEntropy4Logits):
        def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
            return 2 * super().forward(scores, targets)

    states, items, targets = draw(6, 5)
    plain = CrossEntropy4Logits().from_products(states, items, targets)
    torch.testing.assert_close(Doubled().from_products(states, items, targets), 2 * plain)
    with torch.autocast("cpu", torch.bfloat16):
        low = CrossEntropy4Logits().from_products(states.float(), items.float(), targets)
        expected = CrossEntropy4Logits().from_all(states.float() @ items.float().T, targets)
    assert low.item() == expected.item()
