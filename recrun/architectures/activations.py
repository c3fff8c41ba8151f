"""Define the functions between the layers of networks, as settings name them, and batch normalisation.

Shapes: B rows, H units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor, nn

ACTIVATIONS: Final[Mapping[str, Callable[[], nn.Module]]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
"""The functions, as modules without parameters; a model takes those that its setting lists."""


class BatchNorm(nn.BatchNorm1d):
    """Normalise each unit over the rows of a batch; in evaluation by the running mean and variance of training.

    A single row has no variance. In training it is normalised as in evaluation, and the running values stay as they
    are; torch raises an error.

    *Source:* Ioffe and Szegedy, "Batch Normalization", ICML 2015, algorithms 1 and 2.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised rows (B, H) of rows (B, H)."""
        if not self.training or len(input) > 1:
            return super().forward(input)
        return nn.functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


class Dice(nn.Module):
    """Let a unit's values pass by how far they lie above its mean: p s + (1 - p) α s, with p = σ((s - E[s]) / √Var[s]).

    Mean and variance are those of the batch; in evaluation, running ones of training. α is learned for each unit, from
    0 on.

    *Source:* Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018, section 5.2; initial α
    and the running values, in which a batch has a weight of 0.01, as in the authors' code and FuxiCTR.

    Args:
        width: H.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = BatchNorm(width, eps=1e-8, momentum=0.01, affine=False)
        self.alpha = nn.Parameter(torch.zeros(width))

    def forward(self, values_BH: Tensor) -> Tensor:
        """Return the values (B, H) of values (B, H)."""
        passed_BH = torch.sigmoid(self.norm(values_BH))
        return values_BH * (passed_BH + (1 - passed_BH) * self.alpha)


def activation_of(name: str, width: int) -> nn.Module:
    """Return the function of a name for rows (B, H): one of `ACTIVATIONS`, or one with a parameter for each unit.

    `prelu` is that of He et al., "Delving Deep into Rectifiers", ICCV 2015, with an initial slope of 0.25.

    Args:
        name: one of `ACTIVATIONS`, "dice" or "prelu".
        width: H.
    """
    if name == "dice":
        return Dice(width)
    return nn.PReLU(width) if name == "prelu" else ACTIVATIONS[name]()
