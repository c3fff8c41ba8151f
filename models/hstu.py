"""HSTU: gated attention without a softmax over a user's latest items, scored by cosines.

Shapes: B users, L items of a history, H heads, E length of a head's queries and keys, V of its values, I items,
D embedding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS
from recrun.types import Fraction, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


class TransducerBlock(nn.Module):
    """One block: pointwise attention over earlier positions, gated, with a residual.

    Args:
        max_length: the most positions, by which the sums of attention are divided.
        dim: D.
        n_heads: H.
        attention_dim: E.
        value_dim: V.
        dropout: dropout rate of the gated sums.
    """

    def __init__(
        self, max_length: int, dim: int, n_heads: int, attention_dim: int, value_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.max_length, self.n_heads = max_length, n_heads
        self.sizes = [n_heads * each for each in (value_dim, value_dim, attention_dim, attention_dim)]
        self.inputs = nn.Linear(dim, sum(self.sizes), bias=False)
        self.output = nn.Linear(n_heads * value_dim, dim)
        self.norm, self.sum_norm = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(n_heads * value_dim, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        self.distances = nn.Parameter(torch.zeros(max_length))

    def forward(self, states: Tensor) -> Tensor:
        """Return the states (B, L, D) of the next layer."""
        gates, *others = F.silu(self.inputs(self.norm(states))).split(self.sizes, dim=-1)
        values_BHLV, queries_BHLE, keys_BHLE = (
            each.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for each in others
        )
        places_L = torch.arange(states.size(1), device=states.device)
        apart_LL = places_L[:, None] - places_L
        biases_LL = self.distances[apart_LL.clamp(min=0, max=self.max_length - 1)]
        weights_BHLL = F.silu(queries_BHLE @ keys_BHLE.transpose(2, 3) + biases_LL)
        weights_BHLL = weights_BHLL * (apart_LL >= 0) / self.max_length
        sums_BLX = (weights_BHLL @ values_BHLV).transpose(1, 2).flatten(2)
        output: Tensor = states + self.output(self.dropout(self.sum_norm(sums_BLX) * gates))
        return output


@MODELS.register("hstu", loss="sampled_softmax", gradients="mixed", scores="cosine")
class HSTU(SequenceArch):
    """Predict the next item by blocks of gated attention that sums without a softmax, and by cosines.

    With x the states of a history, a block is

    - u, v, q, k = split(silu(W1 LN(x))), the last three for each head;
    - a_i = Σ silu(q_i · k_j + b_{i-j}) v_j / n over positions j up to i, with n = `max_length`;
    - x + W2 (LN(a) ⊙ u).

    The score of an item is the cosine of its embedding and the last state, so that `sampled_softmax` needs a
    `temperature`. The paper's attention also has biases for the time between two interactions, b being those for the
    distance of their positions; histories here carry no times, and these are left out. Without them a history is only
    an order, as to SASRec. The latest item always has the last position embedding.

    Padding is never attended to. In RecBoard's model it is, by way of the biases of normalisation and output. Weights
    of linear layers start as in torch, and embeddings from a normal distribution cut at two deviations, as there.

    *Source:* Zhai, Liao, Liu, Wang, Li and others, "Actions Speak Louder than Words: Trillion-Parameter Sequential
    Transducers for Generative Recommendations", ICML 2024, equations 1 to 3.

    Args:
        max_length: the most items of a history that are read.
        embedding_dim: length of the embeddings and of all states.
        n_layers: number of blocks.
        n_heads: heads of the attention.
        attention_dim: length of the queries and keys of each head.
        value_dim: length of the values and gates of each head.
        embedding_dropout: dropout rate of the sums of embedding and position.
        dropout: dropout rate of the gated sums of attention.
        init_std: standard deviation of the initial embeddings and biases of distances.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        max_length: PositiveInt = 50,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 4,
        n_heads: PositiveInt = 2,
        attention_dim: PositiveInt = 32,
        value_dim: PositiveInt = 32,
        embedding_dropout: Fraction = 0.2,
        dropout: Fraction = 0.2,
        init_std: PositiveFloat = 0.02,
    ) -> None:
        super().__init__(data, max_length)
        self.scale = math.sqrt(embedding_dim)
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.positions = nn.Embedding(max_length, embedding_dim)
        self.dropout = nn.Dropout(embedding_dropout)
        self.blocks = nn.ModuleList(
            TransducerBlock(max_length, embedding_dim, n_heads, attention_dim, value_dim, dropout)
            for _ in range(n_layers)
        )
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=init_std, a=-2 * init_std, b=2 * init_std)
            elif isinstance(module, TransducerBlock):
                nn.init.normal_(module.distances, std=init_std)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the states (B, L, D) of length 1 after each item of histories (B, L) of lengths (B,)."""
        positions_BL = torch.arange(items.size(1), device=items.device) + (self.max_length - lengths)[:, None]
        embedded_BLD = self.items(items) * self.scale + self.positions(positions_BL.clamp(max=self.max_length - 1))
        states = self.dropout(embedded_BLD)
        for block in self.blocks:
            states = block(states)
        return F.normalize(states, dim=-1)

    def item_vectors(self) -> Tensor:
        """Return the embeddings of the items, shared with the history, with length 1."""
        return F.normalize(self.items.weight, dim=-1)
