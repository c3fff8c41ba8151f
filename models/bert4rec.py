"""BERT4Rec: bidirectional self-attention over a user's latest items, trained on masked items.

Shapes: B users, L items of a history, N masked items, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.activations import ACTIVATIONS
from recrun.architectures.attention import AttentionBlock, BlockForm
from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, Fraction, PositiveFloat, PositiveInt, UnitInterval, Where

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("bert4rec", loss="cross_entropy", gradients="mixed")
class BERT4Rec(SequenceArch):
    """Predict masked items by bidirectional self-attention over the latest items.

    Every item of a training row is masked with probability `mask_ratio`; if none was, the last item is. For ranking, a
    mask is appended to the history. The latest item always has the last position embedding.

    The authors' code drops attention probabilities (`attention_dropout`), normalises the output layer (`output_norm`),
    masks a fixed number of items (`mask_count: exact`, `most_masked`), cuts long histories into windows
    (`sequence_rows: windows`), and adds rows with the last item masked alone (`last_only_share`). Its several masked
    copies of a row are drawn once; here masks are drawn anew in each epoch. `attention_dropout` and `inner_dropout` at
    the rate of `dropout`, without the output layer and with untied embeddings, is the model of RecBoard: torch's
    `TransformerEncoder` with a linear layer over the items.

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
        inner_dim: width of the network of each position; four times `embedding_dim` if null, as in the paper.
        activation: function between the two layers of that network, and of the output layer.
        output_layer: whether a layer with that function stands between the states and the scores, as in the paper.
        output_norm: whether the output layer is normalised, as in the authors' code.
        tie_embeddings: whether items are scored by the embeddings of the history, as in the paper, or by their own.
        mask_ratio: probability that an item of a training row is masked, or the share of its items that are.
        mask_count: "random" masks each item by itself, "exact" the same share of every row, rounded, and at least one.
        most_masked: the most items of a row that are masked with `mask_count: exact`.
        last_only_share: share of the rows of which the last item alone is masked.
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
        inner_dim: PositiveInt | None = None,
        activation: Literal["relu", "gelu", "silu", "tanh"] = "gelu",
        output_layer: bool = True,
        output_norm: Annotated[bool, AppliesIf("output_layer", "there is no output layer")] = False,
        tie_embeddings: bool = True,
        mask_ratio: Fraction = 0.2,
        mask_count: Literal["random", "exact"] = "random",
        most_masked: Annotated[
            PositiveInt | None, AppliesIf("mask_count == 'exact'", "it is for mask_count=exact, found {mask_count}")
        ] = None,
        last_only_share: UnitInterval = 0.0,
        init_std: PositiveFloat = 0.02,
    ) -> None:
        super().__init__(data, max_length)
        self.mask_ratio, self.mask_count, self.most_masked = mask_ratio, mask_count, most_masked
        self.last_only_share = last_only_share
        self.items = nn.Embedding(data.n_items + 1, embedding_dim)  # the last one is the mask
        self.positions = nn.Embedding(max_length + 1, embedding_dim)
        self.norm, self.dropout = nn.LayerNorm(embedding_dim), nn.Dropout(dropout)
        form = BlockForm(
            dim=embedding_dim,
            n_heads=n_heads,
            inner_dim=inner_dim or 4 * embedding_dim,
            norm="post",
            activation=activation,
            dropout=dropout,
            attention_dropout=attention_dropout,
            inner_dropout=inner_dropout,
        )
        self.blocks = nn.ModuleList(AttentionBlock(form) for _ in range(n_layers))
        self.activation = ACTIVATIONS[activation]()
        self.output = nn.Linear(embedding_dim, embedding_dim) if output_layer else None
        self.output_norm = nn.LayerNorm(embedding_dim) if output_layer and output_norm else nn.Identity()
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

    def predict(self, items: Tensor, lengths: Tensor, *times: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states (N, D + 1) at the masked positions of rows (B, L), and the mask (B, L)."""
        is_masked_BL = self.draw_masks(lengths, items.size(1))
        states_BLD = self(items.masked_fill(is_masked_BL, self.n_items), lengths)
        return self._output_states(states_BLD[is_masked_BL]), is_masked_BL

    def draw_masks(self, lengths: Tensor, width: int) -> Tensor:
        """Return which items of rows of lengths (B,) are masked, bool (B, L); at least one of each."""
        positions_L = torch.arange(width, device=lengths.device)
        is_filled_BL, is_last_BL = positions_L < lengths[:, None], positions_L == lengths[:, None] - 1
        draws_BL = torch.rand(is_filled_BL.shape, device=lengths.device)
        if self.mask_count == "exact":
            counts_B = (lengths * self.mask_ratio).round().clamp(min=1, max=self.most_masked)
            ranks_BL = draws_BL.masked_fill(~is_filled_BL, torch.inf).argsort(dim=1).argsort(dim=1)
            is_masked_BL = ranks_BL < counts_B[:, None]
        else:
            is_masked_BL = (draws_BL < self.mask_ratio) & is_filled_BL
            is_masked_BL |= is_last_BL & ~is_masked_BL.any(dim=1, keepdim=True)
        if self.last_only_share:
            is_last_only_B1 = torch.rand(len(lengths), 1, device=lengths.device) < self.last_only_share
            is_masked_BL = torch.where(is_last_only_B1, is_last_BL, is_masked_BL)
        return is_masked_BL

    def read(self, items: Tensor, lengths: Tensor, *times: Tensor) -> Tensor:
        """Return the states (B, D + 1) at a mask appended to histories (B, L) of lengths (B,)."""
        rows_B = torch.arange(len(items), device=items.device)
        longer = F.pad(items, (0, 1))
        longer[rows_B, lengths] = self.n_items
        return self._output_states(self(longer, lengths + 1)[rows_B, lengths])

    def _output_states(self, states: Tensor) -> Tensor:
        """Return the states that predict items (equation 7), with a 1 appended for the bias."""
        states = states if self.output is None else self.output_norm(self.activation(self.output(states)))
        return torch.cat([states, states.new_ones(len(states), 1)], dim=1)
