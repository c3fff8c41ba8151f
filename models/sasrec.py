"""SASRec: causal self-attention over a user's latest items.

Shapes: B users, L items of a history, I items, D embedding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.attention import AttentionBlock, BlockForm, weigh_empty
from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, Fraction, PositiveFloat, PositiveInt, Where

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("sasrec", loss="bce", gradients="layered")
class SASRec(SequenceArch):
    """Predict the next item by causal self-attention over the latest items.

    The paper's loss is `bce` with one negative for each position; `gbce` with many negatives is that of gSASRec, and
    `sampled_softmax` and `cross_entropy` work too. The latest item always has the last position embedding.

    The defaults are the paper's blocks. Its authors' code is `norm: query`, `attention_residual: query`, dropout on
    attention probabilities instead of attention's output, and no projection after attention. The authors of gSASRec
    published their numbers on MovieLens 1M for such blocks with `scale_embeddings: false` and `tie_embeddings: false`.
    RecBoard's model is `norm: query` with `attention_residual: input`, `pad_attention`, `initialization: recboard` and
    no `drop_attention_output`; that of RecBole has `norm: post`, `gelu`, an `inner_dim` of its own, embeddings that are
    normalised and not scaled, and no `drop_inner`.

    *Source:* Kang, McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018, section III.

    Args:
        max_length: the most items of a history that are read.
        embedding_dim: length of the embeddings and of all states.
        n_layers: number of blocks, each of self-attention and a feed-forward network.
        n_heads: heads of the attention, a divisor of `embedding_dim`.
        inner_dim: width of the feed-forward networks; `embedding_dim` if null.
        norm: what is normalised: the inputs of attention and network ("pre"), their outputs with the residual ("post"),
            or the attention's queries and the network's input, whose residual it then is ("query").
        attention_residual: what is added to the attention of `norm: query`: its "input", or the normalised "query".
        pad_attention: whether the places before a history, of which there are as many as it is shorter than max_length,
            take part in the softmax of attention with states of 0, so that short histories count less; for norm=query.
        activation: function between the two layers of a feed-forward network.
        dropout: dropout rate of the embeddings and of each layer's output.
        attention_dropout: dropout rate of the attention probabilities.
        drop_inner: whether dropout is between the two layers of a feed-forward network.
        drop_attention_output: whether dropout is on the output of the attention.
        project_attention: whether a projection follows the attention.
        scale_embeddings: whether embeddings are multiplied by the root of their length before positions are added.
        norm_embeddings: whether the sum of embedding and position is normalised.
        tie_embeddings: whether items are scored by the embeddings of the history, as in the paper, or by their own.
        item_biases: whether each item has a bias.
        similarity: whether a score is the product of state and vector, or their cosine.
        initialization: the initial weights: "normal" embeddings, and linear layers by Xavier's normal distribution; or
            those of "recboard": embeddings and positions by Xavier's normal distribution, attention by his uniform and
            normal ones, feed-forward networks uniform by their size.
        init_std: standard deviation of the initial embeddings.
    """

    n_extra_tokens: ClassVar[int] = 0
    """How many embeddings follow those of the items, such as one of a mask."""

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
        inner_dim: PositiveInt | None = None,
        norm: Literal["pre", "post", "query"] = "pre",
        attention_residual: Annotated[
            Literal["input", "query"], AppliesIf("norm == 'query'", "it is for norm=query, found norm={norm}")
        ] = "input",
        pad_attention: Annotated[bool, AppliesIf("norm == 'query'", "it is for norm=query, found norm={norm}")] = False,
        activation: Literal["relu", "gelu", "silu", "tanh"] = "relu",
        dropout: Fraction = 0.2,
        attention_dropout: Fraction = 0.0,
        drop_inner: bool = True,
        drop_attention_output: bool = True,
        project_attention: bool = True,
        scale_embeddings: bool = True,
        norm_embeddings: bool = False,
        tie_embeddings: bool = True,
        item_biases: bool = False,
        similarity: Annotated[
            Literal["dot", "cosine"],
            Where("similarity == 'dot' or not item_biases", "cosines take no biases; set item_biases to false"),
        ] = "dot",
        initialization: Literal["normal", "recboard"] = "normal",
        init_std: Annotated[PositiveFloat, AppliesIf("initialization == 'normal'", "recboard draws all anew")] = 0.02,
    ) -> None:
        super().__init__(data, max_length)
        form = BlockForm(
            dim=embedding_dim,
            n_heads=n_heads,
            inner_dim=inner_dim or embedding_dim,
            norm=norm,
            attention_residual=attention_residual,
            activation=activation,
            dropout=dropout,
            attention_dropout=attention_dropout,
            inner_dropout=dropout if drop_inner else 0.0,
            drops_attention=drop_attention_output,
            projects_attention=project_attention,
        )
        self.items = nn.Embedding(data.n_items + self.n_extra_tokens, embedding_dim)
        self.positions, self.dropout = nn.Embedding(max_length, embedding_dim), nn.Dropout(dropout)
        self.scale = math.sqrt(embedding_dim) if scale_embeddings else 1.0
        self.embedding_norm = nn.LayerNorm(embedding_dim) if norm_embeddings else nn.Identity()
        self.blocks = nn.ModuleList(AttentionBlock(form) for _ in range(n_layers))
        self.norm = nn.LayerNorm(embedding_dim) if norm != "post" else nn.Identity()
        self.own = None if tie_embeddings else nn.Embedding(data.n_items, embedding_dim)
        self.biases = nn.Parameter(torch.zeros(data.n_items, 1)) if item_biases else None
        self.similarity, self.pad_attention = similarity, pad_attention
        self._draw(init_std, as_recboard=initialization == "recboard")

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the states (B, L, D) after each item of histories (B, L) of lengths (B,); D + 1 with biases."""
        positions_BL = torch.arange(items.size(1), device=items.device) + (self.max_length - lengths)[:, None]
        embedded_BLD = self.items(items) * self.scale + self.positions(positions_BL.clamp(max=self.max_length - 1))
        states_BLD = self.dropout(self.embedding_norm(embedded_BLD))
        beside_empty = weigh_empty(self.max_length - lengths, items.size(1)) if self.pad_attention else None
        for block in self.blocks:
            states_BLD = block(states_BLD, beside_empty=beside_empty)
        normed: Tensor = self._scale(self.norm(states_BLD))
        return normed if self.biases is None else torch.cat([normed, torch.ones_like(normed[..., :1])], dim=-1)

    def item_vectors(self) -> Tensor:
        """Return the vectors (I, D) of the items, those of the history or their own; (I, D + 1) with biases."""
        vectors_ID = self._scale((self.items if self.own is None else self.own).weight)
        return vectors_ID if self.biases is None else torch.cat([vectors_ID, self.biases], dim=1)

    def vectors_of(self, items: Tensor) -> Tensor:
        """Return the vectors (R, D) of items (R,); (R, D + 1) with biases."""
        embeddings = self.items if self.own is None else self.own
        vectors_RD = self._scale(embeddings(items))
        if self.biases is None:
            return vectors_RD
        return torch.cat([vectors_RD, F.embedding(items, self.biases, sparse=embeddings.sparse)], dim=1)

    def _draw(self, init_std: float, *, as_recboard: bool) -> None:
        """Draw the initial weights."""
        self.initialize(init_std)
        for module in self.modules() if as_recboard else ():
            if isinstance(module, nn.Embedding):
                nn.init.xavier_normal_(module.weight)
            elif isinstance(module, AttentionBlock):
                nn.init.xavier_uniform_(module.attention.inputs.weight)
                module.inner.reset_parameters()
                module.outer.reset_parameters()

    def _scale(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=-1) if self.similarity == "cosine" else vectors
