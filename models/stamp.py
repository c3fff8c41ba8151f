"""STAMP: attention over a user's latest items with priority for the last one.

Shapes: B users, L items of a history, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS
from recrun.types import PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("stamp", loss="cross_entropy", gradients="layered", states="last")
class STAMP(SequenceArch):
    """Predict the next item by the last one, and by all latest items weighted by attention.

    With x_i the embeddings of a history, x_t that of its last item and m their mean, the weights are
    a_i = w0 · σ(W1 x_i + W2 x_t + W3 m + b), which no softmax follows. With s = Σ a_i x_i, the score of an item is the
    product of its embedding with tanh(A s + a) * tanh(B x_t + b').

    The paper puts a sigmoid around the scores before the softmax of its loss; here they go into the loss as they are,
    as in the authors' code, RecBole and RecBoard. To the sum s the authors' code and RecBole add the mean m, and
    RecBoard the last item x_t. In the authors' code there are no biases a and b', and embeddings have at most
    length 1.

    *Source:* Liu, Zeng, Mokhosi, Zhang, "STAMP: Short-Term Attention/Memory Priority Model for Session-based
    Recommendation", KDD 2018, section 3.

    Args:
        max_length: the most items of a history that are read.
        embedding_dim: length of the embeddings and of all states.
        added: what is added to the weighted sum: "nothing", the "mean" of the history, or its "last" item.
        init_std: standard deviation of the initial embeddings.
        weight_std: standard deviation of all other initial weights; biases start at 0.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        max_length: PositiveInt = 50,
        embedding_dim: PositiveInt = 100,
        added: Literal["nothing", "mean", "last"] = "nothing",
        init_std: PositiveFloat = 0.002,
        weight_std: PositiveFloat = 0.05,
    ) -> None:
        super().__init__(data, max_length)
        dim = embedding_dim
        self.items = nn.Embedding(data.n_items, dim)
        self.of_each = nn.Linear(dim, dim)
        self.of_last = nn.Linear(dim, dim, bias=False)
        self.of_mean = nn.Linear(dim, dim, bias=False)
        self.weight = nn.Linear(dim, 1, bias=False)
        self.long_term = nn.Linear(dim, dim)
        self.short_term = nn.Linear(dim, dim)
        self.added = added
        self.initialize(init_std)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=weight_std)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the states (B, D) after histories (B, L) of lengths (B,)."""
        is_filled_BL1 = (torch.arange(items.size(1), device=items.device) < lengths[:, None])[..., None]
        embedded_BLD = self.items(items) * is_filled_BL1
        last_BD = embedded_BLD[torch.arange(len(items), device=items.device), lengths - 1]
        mean_BD = embedded_BLD.sum(dim=1) / lengths[:, None]
        of_history_BD = self.of_last(last_BD) + self.of_mean(mean_BD)
        weights_BL1 = self.weight(torch.sigmoid(self.of_each(embedded_BLD) + of_history_BD[:, None]))
        attended_BD = (weights_BL1 * embedded_BLD).sum(dim=1)
        if self.added != "nothing":
            attended_BD = attended_BD + (mean_BD if self.added == "mean" else last_BD)
        states_BD: Tensor = torch.tanh(self.long_term(attended_BD)) * torch.tanh(self.short_term(last_BD))
        return states_BD

    def item_vectors(self) -> Tensor:
        """Return the embeddings of the items, shared with the history."""
        return self.items.weight
