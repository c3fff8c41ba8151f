"""Keep an exponential moving average of a model's weights, and put it into the model's place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from recrun.training.finite_checks import is_finite


class WeightAverage:
    """The exponential moving average of the weights after each optimizer step.

    After step t it is Σ_{s≤t} (1 - d) d^(t-s) w_s / (1 - d^t); before the first step, the weights as they are. Buffers,
    such as the statistics of batch norm, are not averaged.

    *Source:* Kingma and Ba, ICLR 2015, section 7.2, with the correction of the bias towards the start.

    Args:
        model: the model that is trained; its parameters are the weights.
        decay: d, more than 0 and less than 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._weights = {name: each for name, each in model.named_parameters() if each.is_floating_point()}
        self._decay = decay
        self._n_steps = 0
        self._is_in_use = False
        self._other = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Add the weights after a step."""
        self._n_steps += 1
        share = (1 - self._decay) / -math.expm1(self._n_steps * math.log(self._decay))
        for name, weight in self._weights.items():
            self._other[name].lerp_(weight, share)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Have the model hold the average within the block, and the weights that are trained again after it."""
        if self._is_in_use:
            yield
            return
        self._swap()
        self._is_in_use = True
        try:
            yield
        finally:
            self._swap()
            self._is_in_use = False

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs besides the model while the average is in use: the weights, and the steps."""
        assert self._is_in_use
        return {"n_steps": self._n_steps, "weights": dict(self._other)}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned, with the average in the model; then it holds the weights.

        Raises:
            ValueError: it is not of this model.
            KeyError, TypeError, AttributeError: it is not made as it should be.
        """
        n_steps, weights = state["n_steps"], state["weights"]
        if type(n_steps) is not int or n_steps < 0:
            raise ValueError(f"n_steps of the average must be an integer >= 0, found {n_steps!r}")
        if {name: _kind(weight) for name, weight in weights.items()} != {
            name: _kind(weight) for name, weight in self._weights.items()
        }:
            raise ValueError("the weights beside their average are of another model")
        bad = [name for name, weight in self._weights.items() if not is_finite(weight)]
        if bad:
            raise ValueError(f"the average of {bad[0]} holds NaN or infinity")
        self._n_steps = n_steps
        for name, weight in self._weights.items():
            self._other[name].copy_(weight)
            weight.copy_(weights[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, weight in self._weights.items():
            kept = weight.clone()
            weight.copy_(self._other[name])
            self._other[name].copy_(kept)


def _kind(tensor: Tensor) -> tuple[tuple[int, ...], torch.dtype]:
    return tuple(tensor.shape), tensor.dtype
