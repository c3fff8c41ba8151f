"""SASRec: causal self-attention over a user's latest items.

Shapes: B users, L items of a history, I items, D embedding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.attention import SelfAttention
from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS
from recrun.types import Annotated, Fraction, PositiveFloat, PositiveInt, Where

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("sasrec", loss="bce", gradients="mixed")
class SASRec(SequenceArch):
    """Predict the next item by causal self-attention over the latest items.

    The paper's loss is `bce` with one negative for each position; `gbce` with many negatives is that of gSASRec, and
    `sampled_softmax` and `cross_entropy` work too. The latest item always has the last position embedding.

    As in the paper, a block adds its input to the output for its normalised input. In the authors' code keys and values
    come from the input as it is, the normalised input is added, attention probabilities are dropped instead of
    attention's output, and no projection follows attention. The authors of gSASRec published their numbers on MovieLens
    1M for such blocks with 128 dimensions, embeddings that are not scaled by their dimension, and other embeddings for
    the scores than for the history.

    *Source:* Kang, McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018, section III.

    Args:
        max_length: the most items of a history that are read.
        embedding_dim: length of the embeddings and of all states.
        n_layers: number of blocks, each of self-attention and a feed-forward network.
        n_heads: heads of the attention, a divisor of `embedding_dim`.
        dropout: dropout rate of the embeddings and of each layer's output.
        init_std: standard deviation of the initial embeddings.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        max_length: PositiveInt = 50,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 2,
        n_heads: Annotated[
            PositiveInt,
            Where(
                "embedding_dim % n_heads == 0", "expected a divisor of embedding_dim {embedding_dim}, found {n_heads}"
            ),
        ] = 1,
        dropout: Fraction = 0.2,
        init_std: PositiveFloat = 0.02,
    ) -> None:
        super().__init__(data, max_length)
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.positions = nn.Embedding(max_length, embedding_dim)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(_Block(embedding_dim, n_heads, dropout) for _ in range(n_layers))
        self.norm = nn.LayerNorm(embedding_dim)
        self.initialize(init_std)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the states (B, L, D) after each item of histories (B, L) of lengths (B,)."""
        positions_BL = torch.arange(items.size(1), device=items.device) + (self.max_length - lengths)[:, None]
        scale = math.sqrt(self.items.embedding_dim)
        embedded_BLD = self.items(items) * scale + self.positions(positions_BL.clamp(max=self.max_length - 1))
        states_BLD = self.dropout(embedded_BLD)
        for block in self.blocks:
            states_BLD = block(states_BLD)
        normed: Tensor = self.norm(states_BLD)
        return normed

    def item_vectors(self) -> Tensor:
        """Return the embeddings of the items, shared with the history."""
        return self.items.weight


class _Block(nn.Module):
    """x + Dropout(g(LayerNorm(x))), for the attention and then for the network of each position (equations 2 to 5)."""

    def __init__(self, dim: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, n_heads)
        self.inner, self.outer = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        """Return the states (B, L, D) of the next layer."""
        states = states + self.dropout(self.attention(self.norms[0](states)))
        inner = self.dropout(F.relu(self.inner(self.norms[1](states))))
        output: Tensor = states + self.dropout(self.outer(inner))
        return output
