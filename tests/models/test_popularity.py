"""The model `popularity`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recrun.models.popularity import Popularity


def test_everybody_gets_the_counts(scores_of: Callable[..., Tensor]) -> None:
    expected = torch.tensor([[2.0, 0.0, 1.0]]).expand(2, -1)
    assert torch.equal(scores_of(Popularity, [[1, 0, 1], [1, 0, 0]]), expected)
