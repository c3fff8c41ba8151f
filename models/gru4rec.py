"""GRU4Rec: a recurrent network over a user's latest items.

Shapes: B users, L items of a history, I items, D embedding, H hidden.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS
from recrun.types import Fraction, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("gru4rec", loss="bce", gradients="mixed")
class GRU4Rec(SequenceArch):
    """Predict the next item by a gated recurrent network over the latest items.

    The paper reads sessions, and its losses compare the next items of the sessions of a batch. Here the histories of
    users are read and the loss can be chosen; the default is `bce` with sampled negatives, as is usual in comparisons
    with SASRec. Items are scored by the embeddings of the history, against the projected state and without
    biases; the authors' code scores them against the state itself, with a bias for each item.

    *Source:* Hidasi, Karatzoglou, Baltrunas, Tikk, "Session-based Recommendations with Recurrent Neural Networks", ICLR
    2016, section 3.

    Args:
        max_length: the most items of a history that are read.
        embedding_dim: length of the embeddings.
        hidden_dim: length of the hidden state, projected to `embedding_dim` at the end.
        n_layers: number of recurrent layers.
        dropout: dropout rate of the embeddings.
        init_std: standard deviation of the initial embeddings.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        max_length: PositiveInt = 50,
        embedding_dim: PositiveInt = 64,
        hidden_dim: PositiveInt = 128,
        n_layers: PositiveInt = 1,
        dropout: Fraction = 0.0,
        init_std: PositiveFloat = 0.02,
    ) -> None:
        super().__init__(data, max_length)
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(embedding_dim, hidden_dim, n_layers, batch_first=True)
        self.output = nn.Linear(hidden_dim, embedding_dim)
        self.initialize(init_std)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the states (B, L, D) after each item of histories (B, L), whatever their lengths (B,)."""
        hidden_BLH, _ = self.gru(self.dropout(self.items(items)))
        states: Tensor = self.output(hidden_BLH)
        return states

    def item_vectors(self) -> Tensor:
        """Return the embeddings of the items, shared with the history."""
        return self.items.weight
