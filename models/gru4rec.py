"""GRU4Rec: a recurrent network over a user's latest items.

Shapes: B users, L items of a history, I items, D embedding, H hidden.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, Fraction, PositiveFloat, PositiveInt, Where

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("gru4rec", loss="bce", gradients="layered")
class GRU4Rec(SequenceArch):
    """Predict the next item by a gated recurrent network over the latest items.

    The papers read sessions, and their losses compare the next items of the sessions of a batch. Here the histories of
    users are read and the loss can be chosen: `top1` is that of the first paper, `top1_max` and `bpr_max` are those of
    the second; the default is `bce` with sampled negatives, as is usual in comparisons with SASRec.

    By default, items are scored by the embeddings of the history, against the projected state and without biases. The
    authors' code scores them against the state itself, with `item_biases` and dropout on the state: either by the
    embeddings of the history (its constrained embedding, `output_form: constrained`) or by vectors of their own
    (`output_form: separate`), all of them starting as with `initialization: authors`. That is the code in Theano; the
    authors' later one in PyTorch draws the gates from another width, but in its compatibility mode. RecBoard's model
    has no `bias`, and starts as with `initialization: recboard`.

    *Source:* Hidasi, Karatzoglou, Baltrunas, Tikk, "Session-based Recommendations with Recurrent Neural Networks", ICLR
    2016, section 3; Hidasi, Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based
    Recommendations", CIKM 2018, for `output_form`.

    Args:
        max_length: the most items of a history that are read.
        embedding_dim: length of the embeddings.
        hidden_dim: length of the hidden state.
        n_layers: number of recurrent layers.
        dropout: dropout rate of the embeddings.
        state_dropout: dropout rate of the states of each recurrent layer.
        bias: whether the recurrent layers have biases.
        output_form: what items are scored by: the embeddings of the history against the state "projected" to their
            length, or "constrained" to have it; or "separate" vectors of the length of the state.
        item_biases: whether each item has a bias.
        initialization: the initial weights: "normal" embeddings, projections by Xavier's normal distribution, recurrent
            layers uniform by their size; those of "recboard": embeddings by Xavier's normal distribution, recurrent
            layers by his uniform one, projections uniform by their size; or those of the "authors": all by Xavier's
            uniform distribution, each gate on its own.
        init_std: standard deviation of the initial embeddings.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        max_length: PositiveInt = 50,
        embedding_dim: PositiveInt = 64,
        hidden_dim: Annotated[
            PositiveInt,
            Where(
                "output_form != 'constrained' or hidden_dim == embedding_dim",
                "expected embedding_dim {embedding_dim} with output_form=constrained, found {hidden_dim}",
            ),
        ] = 128,
        n_layers: PositiveInt = 1,
        dropout: Fraction = 0.0,
        state_dropout: Fraction = 0.0,
        bias: bool = True,
        output_form: Literal["projected", "constrained", "separate"] = "projected",
        item_biases: bool = False,
        initialization: Literal["normal", "recboard", "authors"] = "normal",
        init_std: Annotated[
            PositiveFloat,
            AppliesIf("initialization == 'normal'", "it is for initialization=normal, found {initialization}"),
        ] = 0.02,
    ) -> None:
        super().__init__(data, max_length)
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.dropout = nn.Dropout(dropout)
        between = state_dropout if n_layers > 1 else 0.0
        self.gru = nn.GRU(embedding_dim, hidden_dim, n_layers, bias=bias, batch_first=True, dropout=between)
        self.state_dropout = nn.Dropout(state_dropout)
        self.output = nn.Linear(hidden_dim, embedding_dim) if output_form == "projected" else nn.Identity()
        self.own = nn.Embedding(data.n_items, hidden_dim) if output_form == "separate" else None
        self.biases = nn.Parameter(torch.zeros(data.n_items, 1)) if item_biases else None
        if initialization == "normal":
            self.initialize(init_std)
        else:
            self._initialize_as(initialization)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the states after each item of histories (B, L), whatever their lengths (B,): (B, L, D), as items."""
        hidden_BLH, _ = self.gru(self.dropout(self.items(items)))
        states: Tensor = self.output(self.state_dropout(hidden_BLH))
        return states if self.biases is None else torch.cat([states, torch.ones_like(states[..., :1])], dim=-1)

    def item_vectors(self) -> Tensor:
        """Return the vectors of the items, those of the history or their own; with their biases as a last column."""
        vectors_ID: Tensor = (self.items if self.own is None else self.own).weight
        return vectors_ID if self.biases is None else torch.cat([vectors_ID, self.biases], dim=1)

    def vectors_of(self, items: Tensor) -> Tensor:
        """Return the vectors of items (R,), with their biases as a last column."""
        embeddings = self.items if self.own is None else self.own
        vectors_RD: Tensor = embeddings(items)
        if self.biases is None:
            return vectors_RD
        return torch.cat([vectors_RD, F.embedding(items, self.biases, sparse=embeddings.sparse)], dim=1)

    def _initialize_as(self, initialization: Literal["recboard", "authors"]) -> None:
        """Draw the weights as RecBoard or the authors' code do."""
        is_recboard = initialization == "recboard"
        for embedding in (self.items, self.own):
            if embedding is not None:
                (nn.init.xavier_normal_ if is_recboard else nn.init.xavier_uniform_)(embedding.weight)
        for name, weights in self.gru.named_parameters():
            if not name.startswith("weight"):
                bound = 1 / math.sqrt(self.gru.hidden_size) if is_recboard else 0.0
                nn.init.uniform_(weights, -bound, bound)
            elif is_recboard:
                nn.init.xavier_uniform_(weights)
            else:
                for gate in weights.chunk(3):
                    nn.init.xavier_uniform_(gate)
        if isinstance(self.output, nn.Linear):
            if is_recboard:
                self.output.reset_parameters()
            else:
                nn.init.xavier_uniform_(self.output.weight)
                nn.init.zeros_(self.output.bias)
