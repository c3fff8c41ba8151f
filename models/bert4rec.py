"""BERT4Rec: bidirectional self-attention over a user's latest items, trained on masked items.

Shapes: B users, L items of a history, N masked items, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.attention import SelfAttention
from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS
from recrun.types import Annotated, Fraction, PositiveFloat, PositiveInt, Where

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("bert4rec", loss="cross_entropy", gradients="mixed")
class BERT4Rec(SequenceArch):
    """Predict masked items by bidirectional self-attention over the latest items.

    Every item of a training row is masked with probability `mask_ratio`; if none was, the last item is. For ranking, a
    mask is appended to the history. The latest item always has the last position embedding.

    The authors' code differs: it also drops attention probabilities, normalises the output layer, masks a fixed number
    of items, makes several masked copies of a row and windows of a long history, and adds rows with the last item
    masked alone. `attention_dropout` and `inner_dropout` at the rate of `dropout`, without the output layer and with
    untied embeddings, is the model of RecBoard: torch's `TransformerEncoder` with a linear layer over the items.

    *Source:* Sun, Liu, Wu, Pei, Lin, Ou, Jiang, "BERT4Rec: Sequential Recommendation with Bidirectional Encoder
    Representations from Transformer", CIKM 2019, section 3.

    Args:
        max_length: the most items of a history that are read.
        embedding_dim: length of the embeddings and of all states.
        n_layers: number of blocks, each of self-attention and a feed-forward network.
        n_heads: heads of the attention, a divisor of `embedding_dim`.
        dropout: dropout rate of the embeddings and of each layer's output.
        attention_dropout: dropout rate of the attention probabilities.
        inner_dropout: dropout rate between the two layers of the network of each position.
        output_layer: whether a layer with GELU stands between the states and the scores, as in the paper.
        tie_embeddings: whether items are scored by the embeddings of the history, as in the paper, or by their own.
        mask_ratio: probability that an item of a training row is masked.
        init_std: standard deviation of the initial embeddings.
    """

    tensor_axes: ClassVar = {"items.weight": "item+1"}

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
        ] = 2,
        dropout: Fraction = 0.2,
        attention_dropout: Fraction = 0.0,
        inner_dropout: Fraction = 0.0,
        output_layer: bool = True,
        tie_embeddings: bool = True,
        mask_ratio: Fraction = 0.2,
        init_std: PositiveFloat = 0.02,
    ) -> None:
        super().__init__(data, max_length)
        self.mask_ratio = mask_ratio
        self.items = nn.Embedding(data.n_items + 1, embedding_dim)  # the last one is the mask
        self.positions = nn.Embedding(max_length + 1, embedding_dim)
        self.norm, self.dropout = nn.LayerNorm(embedding_dim), nn.Dropout(dropout)
        rates = (dropout, attention_dropout, inner_dropout)
        self.blocks = nn.ModuleList(_Block(embedding_dim, n_heads, *rates) for _ in range(n_layers))
        self.output = nn.Linear(embedding_dim, embedding_dim) if output_layer else None
        self.own = None if tie_embeddings else nn.Linear(embedding_dim, data.n_items, bias=False)
        self.biases = nn.Parameter(torch.zeros(data.n_items, 1))
        self.initialize(init_std)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the states (B, L, D) at each position of rows (B, L) of lengths (B,), with attention to both sides."""
        positions_L, n_positions = torch.arange(items.size(1), device=items.device), self.max_length + 1
        shifted_BL = (positions_L + (n_positions - lengths)[:, None]).clamp(max=n_positions - 1)
        states: Tensor = self.dropout(self.norm(self.items(items) + self.positions(shifted_BL)))
        visible_BL = positions_L < lengths[:, None]
        for block in self.blocks:
            states = block(states, visible_BL)
        return states

    def item_vectors(self) -> Tensor:
        """Return the items' vectors with their biases appended, (I, D + 1)."""
        vectors_ID = self.items.weight[: self.n_items] if self.own is None else self.own.weight
        return torch.cat([vectors_ID, self.biases], dim=1)

    def predict(self, items: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states (N, D + 1) at the masked positions of rows (B, L), and the mask (B, L)."""
        positions_L = torch.arange(items.size(1), device=items.device)
        is_filled_BL = positions_L < lengths[:, None]
        is_masked_BL = (torch.rand(items.shape, device=items.device) < self.mask_ratio) & is_filled_BL
        is_last_BL = positions_L == lengths[:, None] - 1
        is_masked_BL |= is_last_BL & ~is_masked_BL.any(dim=1, keepdim=True)
        states_BLD = self(items.masked_fill(is_masked_BL, self.n_items), lengths)
        return self._output_states(states_BLD[is_masked_BL]), is_masked_BL

    def read(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the states (B, D + 1) at a mask appended to histories (B, L) of lengths (B,)."""
        rows_B = torch.arange(len(items), device=items.device)
        longer = F.pad(items, (0, 1))
        longer[rows_B, lengths] = self.n_items
        return self._output_states(self(longer, lengths + 1)[rows_B, lengths])

    def _output_states(self, states: Tensor) -> Tensor:
        """Return the states that predict items (equation 7), with a 1 appended for the bias."""
        states = states if self.output is None else F.gelu(self.output(states))
        return torch.cat([states, states.new_ones(len(states), 1)], dim=1)


class _Block(nn.Module):
    """LayerNorm(x + Dropout(g(x))), for the attention and then for the network of each position (equations 3 to 6)."""

    def __init__(self, dim: int, n_heads: int, dropout: float, attention_dropout: float, inner_dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, n_heads, attention_dropout)
        self.inner, self.outer = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.dropout, self.inner_dropout = nn.Dropout(dropout), nn.Dropout(inner_dropout)

    def forward(self, states: Tensor, visible: Tensor) -> Tensor:
        """Return the states (B, L, D) of the next layer; `visible` (B, L) marks the positions that hold items."""
        states = self.norms[0](states + self.dropout(self.attention(states, visible)))
        inner = self.inner_dropout(F.gelu(self.inner(states)))
        output: Tensor = self.norms[1](states + self.dropout(self.outer(inner)))
        return output
