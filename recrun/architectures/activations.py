"""Name the functions between the layers of networks, as settings name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from torch import nn

ACTIVATIONS: Final[Mapping[str, Callable[[], nn.Module]]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
"""The functions, as modules without parameters; a model takes those that its setting lists."""
