"""Compute multi-head self-attention over histories, and stack blocks of it in the forms that papers and code differ in.

Shapes: B histories, L items of a history, M queries, D length of the vectors, F width of the network of each position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.activations import ACTIVATIONS
from recrun.errors import ConfigError, Fault


class SelfAttention(nn.Module):
    """Mix the states of a history's positions: softmax(Q Kᵀ / √(D/h)) V for each of h heads, then a projection.

    *Source:* Vaswani et al., "Attention Is All You Need", NIPS 2017, section 3.2.

    Args:
        dim: D.
        n_heads: h, a divisor of D.
        dropout: dropout rate of the probabilities, the outputs of the softmax.
        project: whether the projection follows.

    Raises:
        ConfigError: `n_heads` is no divisor of D.
    """

    def __init__(self, dim: int, n_heads: int, dropout: float = 0.0, *, project: bool = True) -> None:
        super().__init__()
        if dim % n_heads:
            raise ConfigError(Fault(f"expected a divisor of embedding_dim {dim}, found {n_heads}", key="n_heads"))
        self.n_heads, self.dropout = n_heads, dropout
        self.inputs = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim) if project else nn.Identity()

    def forward(
        self,
        states: Tensor,
        visible: Tensor | None = None,
        queries: Tensor | None = None,
        beside_empty: Tensor | None = None,
    ) -> Tensor:
        """Return the mixed states (B, L, D), or (B, M, D) for M queries.

        Args:
            states: (B, L, D), from which keys and values are computed.
            visible: bool (B, L), the positions that all others attend to, or (B, M, L), those that each query attends
                to; None for causal attention, in which each position attends to itself and to earlier ones.
            queries: (B, M, D), from which queries are computed, M = L for causal attention; None for `states`.
            beside_empty: in place of `visible`, what `weigh_empty` returns, for causal attention to states of 0 before
                those of each history too. Dropout drops all of a history's or none.
        """
        if beside_empty is not None:
            queries = states if queries is None else queries
            states = F.pad(states, (0, 0, 1, 0))
        size, length, dim = states.shape
        if queries is None:
            parts = self.inputs(states).view(size, length, 3, self.n_heads, dim // self.n_heads)
            queries_BHME, keys_BHLE, values_BHLE = parts.permute(2, 0, 3, 1, 4)
        else:
            weight, bias = self.inputs.weight, self.inputs.bias
            asked = F.linear(queries, weight[:dim], bias[:dim])
            queries_BHME = asked.view(size, -1, self.n_heads, dim // self.n_heads).transpose(1, 2)
            parts = F.linear(states, weight[dim:], bias[dim:]).view(size, length, 2, self.n_heads, dim // self.n_heads)
            keys_BHLE, values_BHLE = parts.permute(2, 0, 3, 1, 4)
        mask = beside_empty
        if visible is not None:
            mask = visible[:, None, None, :] if visible.dim() == 2 else visible[:, None]
        rate = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(queries_BHME, keys_BHLE, values_BHLE, mask, rate, is_causal=mask is None)
        output: Tensor = self.output(mixed.transpose(1, 2).reshape(size, -1, dim))
        return output


def weigh_empty(counts: Tensor, length: int) -> Tensor:
    """Return what is added to logits (B, 1, L, 1 + L) of causal attention to one state of 0 and those of a history.

    The state of 0 counts as often as told (B,), as so many of them would; each query attends to it.
    """
    places = torch.arange(1 + length, device=counts.device)
    later_LM = places > places[1:, None]
    weights_B11M = torch.where(places == 0, counts[:, None].float().log(), 0.0)[:, None, None]
    return weights_B11M.masked_fill(later_LM, -math.inf)


@dataclass(frozen=True, kw_only=True)
class BlockForm:
    """How a block of self-attention and a network of each position is put together.

    Args:
        dim: D.
        n_heads: heads of the attention, a divisor of D.
        inner_dim: F.
        norm: where states are normalised: "pre" before the attention and before the network, "post" after each with
            its residual, "query" for the queries alone, and before the network, whose residual is then the normalised
            state.
        attention_residual: what is added to the attention of the form "query": the "input" or the normalised "query".
        activation: the function between the two layers of the network.
        dropout: dropout rate of the outputs of the network, and of the attention unless `drops_attention` is false.
        attention_dropout: dropout rate of the probabilities.
        inner_dropout: dropout rate between the two layers of the network.
        drops_attention: whether dropout is on the output of the attention.
        projects_attention: whether a projection follows the attention.
    """

    dim: int
    n_heads: int
    inner_dim: int
    norm: Literal["pre", "post", "query"] = "pre"
    attention_residual: Literal["input", "query"] = "input"
    activation: Literal["relu", "gelu", "silu", "tanh"] = "relu"
    dropout: float = 0.0
    attention_dropout: float = 0.0
    inner_dropout: float = 0.0
    drops_attention: bool = True
    projects_attention: bool = True


class AttentionBlock(nn.Module):
    """One block of a Transformer, in one of the forms of `BlockForm`.

    With A the attention, N the network W2 f(W1 x) of each position, and dropout left out:

    - pre: y = x + A(LN(x)), then y + N(LN(y));
    - post: y = LN(x + A(x)), then LN(y + N(y));
    - query: y = x + A(LN(x); x), or LN(x) + A(LN(x); x), with keys and values from x, then z = LN(y) and z + N(z).

    *Source:* "post" is Vaswani et al., NIPS 2017, section 3.1; "pre" is Kang and McAuley, ICDM 2018, section III.B;
    "query" with the normalised query as the residual is the code of its authors, and with the input as the residual the
    SASRec of RecBoard.
    """

    def __init__(self, form: BlockForm) -> None:
        super().__init__()
        self.form = form
        self.attention = SelfAttention(form.dim, form.n_heads, form.attention_dropout, project=form.projects_attention)
        self.inner, self.outer = nn.Linear(form.dim, form.inner_dim), nn.Linear(form.inner_dim, form.dim)
        self.norms = nn.ModuleList(nn.LayerNorm(form.dim) for _ in range(2))
        self.activation = ACTIVATIONS[form.activation]()
        self.dropout, self.inner_dropout = nn.Dropout(form.dropout), nn.Dropout(form.inner_dropout)

    def forward(self, states: Tensor, visible: Tensor | None = None, beside_empty: Tensor | None = None) -> Tensor:
        """Return the states (B, L, D) of the next layer.

        Args:
            states: (B, L, D).
            visible: bool (B, L), the positions that hold items, for attention to both sides; None for causal attention.
            beside_empty: what `weigh_empty` returns, for attention of the form "query" to states of 0 before those of
                each history too.
        """
        first, second = self.norms
        output: Tensor
        if self.form.norm == "post":
            states = first(states + self._attend(states, visible))
            output = second(states + self._think(states))
        elif self.form.norm == "query":
            queries = first(states)
            residual = queries if self.form.attention_residual == "query" else states
            normed = second(residual + self._attend(states, visible, queries, beside_empty))
            output = normed + self._think(normed)
        else:
            states = states + self._attend(first(states), visible)
            output = states + self._think(second(states))
        return output

    def _attend(
        self,
        states: Tensor,
        visible: Tensor | None,
        queries: Tensor | None = None,
        beside_empty: Tensor | None = None,
    ) -> Tensor:
        mixed: Tensor = self.attention(states, visible, queries, beside_empty)
        return self.dropout(mixed) if self.form.drops_attention else mixed

    def _think(self, states: Tensor) -> Tensor:
        """Return the output of the network of each position."""
        inner = self.inner_dropout(self.activation(self.inner(states)))
        output: Tensor = self.dropout(self.outer(inner))
        return output


def visible_positions(is_filled: Tensor) -> Tensor:
    """Return the positions (B, W, W) that each one attends to: items to those before, all others to all."""
    earlier_WW = torch.ones(is_filled.size(1), is_filled.size(1), dtype=torch.bool, device=is_filled.device).tril()
    return (earlier_WW & is_filled[:, None, :]) | ~is_filled[:, :, None]


def end_at_last(items: Tensor, lengths: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return histories with the padding on the left, so that all end at one position, and where they hold items.

    Args:
        items: (G, L), padded on the right.
        lengths: int64 (G,), none above `width`.
        width: W, the number of positions.

    Returns:
        items (G, W), those of the padding arbitrary; and bool (G, W).
    """
    places_GW = torch.arange(width, device=items.device) - (width - lengths)[:, None]
    return items.gather(1, places_GW.clamp(min=0, max=items.size(1) - 1)), places_GW >= 0
