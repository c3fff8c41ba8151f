"""Caser: convolutions over a user's latest items, next to a vector of the user.

Shapes: B users, L items of a history, W the most of them, I items, D embedding, N filters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS
from recrun.types import Fraction, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("caser", loss="bce", gradients="mixed", states="last")
class Caser(SequenceArch):
    """Predict the next items by convolutions over the embeddings of the latest items, and by a vector of the user.

    With E (W, D) the embeddings of the latest W items, the first rows being 0 for shorter histories: each of the
    horizontal filters of height h = 1, ..., W, matrices (h, D), is laid over every h rows, and the largest activation
    kept; each of the vertical ones sums the rows with weights of its own. All of these go through one layer, whose
    output z (D,) is concatenated with the user's vector p; the score of item i is w_i · [z, p] + b_i.

    `n_targets` items after a history are predicted together. It scores users of the data only.

    *Source:* Tang, Wang, "Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding", WSDM
    2018, section 3.

    Args:
        max_length: W, the most items of a history that are read.
        n_targets: how many items after a history are predicted by its state.
        embedding_dim: length of the embeddings and of users' vectors.
        n_horizontal: horizontal filters of each height.
        n_vertical: vertical filters.
        activation: function on the convolutions of horizontal filters, and on the layer after both.
        dropout: dropout rate of the outputs of the filters.
        init_std: standard deviation of the initial vectors of users and items.
    """

    personal: ClassVar[bool] = True

    def __init__(
        self,
        data: TrainingData,
        *,
        max_length: PositiveInt = 5,
        n_targets: PositiveInt = 3,
        embedding_dim: PositiveInt = 50,
        n_horizontal: PositiveInt = 16,
        n_vertical: PositiveInt = 4,
        activation: Literal["relu", "tanh"] = "relu",
        dropout: Fraction = 0.5,
        init_std: PositiveFloat = 0.02,
    ) -> None:
        super().__init__(data, max_length)
        self.n_targets, self.activation = n_targets, torch.relu if activation == "relu" else torch.tanh
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.users = nn.Embedding(data.n_users, embedding_dim)
        self.own = nn.Embedding(data.n_items, 2 * embedding_dim)
        self.biases = nn.Parameter(torch.zeros(data.n_items, 1))
        heights = range(1, max_length + 1)
        self.horizontal = nn.ModuleList(nn.Conv1d(embedding_dim, n_horizontal, height) for height in heights)
        self.vertical = nn.Conv2d(1, n_vertical, (max_length, 1))
        self.dropout = nn.Dropout(dropout)
        self.layer = nn.Linear(n_horizontal * max_length + n_vertical * embedding_dim, embedding_dim)
        self.initialize(init_std)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the states (B, D) after histories (B, L) of lengths (B,), without the vectors of users."""
        width = self.max_length
        places_BW = torch.arange(-width, 0, device=items.device) + lengths[:, None]
        embedded_BWD = self.items(items.gather(1, places_BW.clamp(min=0, max=items.size(1) - 1)))
        embedded_BDW = (embedded_BWD * (places_BW >= 0)[..., None]).transpose(1, 2)
        features = [self.activation(filters(embedded_BDW)).amax(dim=2) for filters in self.horizontal]
        features.append(self.vertical(embedded_BDW.transpose(1, 2)[:, None]).flatten(1))
        states_BD: Tensor = self.activation(self.layer(self.dropout(torch.cat(features, dim=1))))
        return states_BD

    def personalize(self, states: Tensor, users: Tensor) -> Tensor:
        """Return states (B, D) next to the vectors of users (B,), and 1 for the biases of items: (B, 2 D + 1)."""
        return F.pad(torch.cat([states, self.users(users)], dim=1), (0, 1), value=1.0)

    def item_vectors(self) -> Tensor:
        """Return the vectors of the items and their biases (I, 2 D + 1)."""
        return torch.cat([self.own.weight, self.biases], dim=1)
