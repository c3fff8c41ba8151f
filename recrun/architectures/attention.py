"""Compute multi-head self-attention over histories.

Shapes: B histories, L items of a history, D length of the vectors.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from recrun.errors import ConfigError, Fault


class SelfAttention(nn.Module):
    """Mix the states of a history's positions: softmax(Q Kᵀ / √(D/h)) V for each of h heads, then a projection.

    *Source:* Vaswani et al., "Attention Is All You Need", NIPS 2017, section 3.2.

    Args:
        dim: D.
        n_heads: h, a divisor of D.
        dropout: dropout rate of the probabilities, the outputs of the softmax.

    Raises:
        ConfigError: it is not.
    """

    def __init__(self, dim: int, n_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % n_heads:
            raise ConfigError(Fault(f"expected a divisor of embedding_dim {dim}, found {n_heads}", key="n_heads"))
        self.n_heads, self.dropout = n_heads, dropout
        self.inputs, self.output = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, states: Tensor, visible: Tensor | None = None) -> Tensor:
        """Return the mixed states (B, L, D).

        Args:
            states: (B, L, D).
            visible: bool (B, L), the positions that all others attend to; None for causal attention, in which each
                position attends to itself and to earlier ones.
        """
        size, length, dim = states.shape
        parts = self.inputs(states).view(size, length, 3, self.n_heads, dim // self.n_heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        mask = None if visible is None else visible[:, None, None, :]
        rate = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(queries, keys, values, mask, rate, is_causal=visible is None)
        output: Tensor = self.output(mixed.transpose(1, 2).reshape(size, length, dim))
        return output
