"""NARM: a recurrent network with attention over a user's latest items.

Shapes: B users, L items of a history, I items, D embedding, H hidden.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS
from recrun.types import Fraction, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("narm", loss="cross_entropy", gradients="layered", states="last")
class NARM(SequenceArch):
    """Predict the next item by the last state of a recurrent network, and by all its states weighted by attention.

    With h_1, ..., h_t the states of a gated recurrent network, the weights are a_j = v · σ(A1 h_t + A2 h_j), which no
    softmax follows. The score of an item with embedding e is e · B [h_t, Σ a_j h_j]. There are no biases, as in the
    paper's equations. The authors' code normalises the weights of a history by a softmax, has biases in its recurrent
    network, and piecewise linear functions in the place of sigmoids.

    *Source:* Li, Ren, Chen, Ren, Lian, Ma, "Neural Attentive Session-based Recommendation", CIKM 2017, section 3.

    Args:
        max_length: the most items of a history that are read.
        embedding_dim: length of the embeddings.
        hidden_dim: length of the states.
        n_layers: number of recurrent layers; attention is over the states of the last one.
        dropout: dropout rate of the embeddings.
        output_dropout: dropout rate of the two states that items are scored by.
        init_std: standard deviation of the initial embeddings.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        max_length: PositiveInt = 50,
        embedding_dim: PositiveInt = 50,
        hidden_dim: PositiveInt = 100,
        n_layers: PositiveInt = 1,
        dropout: Fraction = 0.25,
        output_dropout: Fraction = 0.5,
        init_std: PositiveFloat = 0.02,
    ) -> None:
        super().__init__(data, max_length)
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(embedding_dim, hidden_dim, n_layers, bias=False, batch_first=True)
        self.of_last = nn.Linear(hidden_dim, hidden_dim, bias=False)
        self.of_each = nn.Linear(hidden_dim, hidden_dim, bias=False)
        self.weight = nn.Linear(hidden_dim, 1, bias=False)
        self.output_dropout = nn.Dropout(output_dropout)
        self.output = nn.Linear(2 * hidden_dim, embedding_dim, bias=False)
        self.initialize(init_std)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the states (B, D) after histories (B, L) of lengths (B,)."""
        hidden_BLH, _ = self.gru(self.dropout(self.items(items)))
        last_BH = hidden_BLH[torch.arange(len(items), device=items.device), lengths - 1]
        weights_BL1 = self.weight(torch.sigmoid(self.of_last(last_BH)[:, None] + self.of_each(hidden_BLH)))
        is_filled_BL1 = (torch.arange(items.size(1), device=items.device) < lengths[:, None])[..., None]
        attended_BH = (weights_BL1 * hidden_BLH * is_filled_BL1).sum(dim=1)
        states_BD: Tensor = self.output(self.output_dropout(torch.cat([last_BH, attended_BH], dim=1)))
        return states_BD

    def item_vectors(self) -> Tensor:
        """Return the embeddings of the items, shared with the history."""
        return self.items.weight
