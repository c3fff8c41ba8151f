"""HSTU: gated attention without a softmax over a user's latest items, scored by cosines.

Shapes: B users, L items of a history, H heads, E length of a head's queries and keys, V of its values, I items,
D embedding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.sequence import SequenceArch
from recrun.errors import DataError
from recrun.registry import MODELS
from recrun.types import Fraction, NonNegativeInt, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData

_LOG_WIDTH: Final = 0.301
"""The width of a bucket of times, in natural logarithms of seconds, as in the authors' code."""


class TransducerBlock(nn.Module):
    """One block: pointwise attention over earlier positions, gated, with a residual.

    Args:
        max_length: the most positions, by which the sums of attention are divided.
        dim: D.
        n_heads: H.
        attention_dim: E.
        value_dim: V.
        dropout: dropout rate of the gated sums.
        n_time_buckets: the biases by time, less one; 0 for none.
    """

    def __init__(
        self,
        max_length: int,
        dim: int,
        n_heads: int,
        attention_dim: int,
        value_dim: int,
        dropout: float,
        n_time_buckets: int,
    ) -> None:
        super().__init__()
        self.max_length, self.n_heads = max_length, n_heads
        self.sizes = [n_heads * each for each in (value_dim, value_dim, attention_dim, attention_dim)]
        self.inputs = nn.Linear(dim, sum(self.sizes), bias=False)
        self.output = nn.Linear(n_heads * value_dim, dim)
        self.norm, self.sum_norm = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(n_heads * value_dim, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        self.distances = nn.Parameter(torch.zeros(max_length))
        self.spans = nn.Parameter(torch.zeros(n_time_buckets + 1)) if n_time_buckets else None

    def forward(self, states: Tensor, buckets: Tensor | None) -> Tensor:
        """Return the states (B, L, D) of the next layer, for the buckets (B, L, L) of times if there are biases."""
        gates, *others = F.silu(self.inputs(self.norm(states))).split(self.sizes, dim=-1)
        values_BHLV, queries_BHLE, keys_BHLE = (
            each.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for each in others
        )
        places_L = torch.arange(states.size(1), device=states.device)
        apart_LL = places_L[:, None] - places_L
        biases = self.distances[apart_LL.clamp(min=0, max=self.max_length - 1)]
        if self.spans is not None and buckets is not None:
            biases = biases + F.embedding(buckets, self.spans[:, None]).squeeze(-1)[:, None]
        weights_BHLL = F.silu(queries_BHLE @ keys_BHLE.transpose(2, 3) + biases)
        weights_BHLL = weights_BHLL * (apart_LL >= 0) / self.max_length
        sums_BLX = (weights_BHLL @ values_BHLV).transpose(1, 2).flatten(2)
        output: Tensor = states + self.output(self.dropout(self.sum_norm(sums_BLX) * gates))
        return output


@MODELS.register("hstu", loss="sampled_softmax", gradients="layered", scores="cosine", timed_by="n_time_buckets")
class HSTU(SequenceArch):
    """Predict the next item by blocks of gated attention that sums without a softmax, and by cosines.

    With x the states of a history, a block is

    - u, v, q, k = split(silu(W1 LN(x))), the last three for each head;
    - a_i = Σ silu(q_i · k_j + b_{i-j} + c_{s(i,j)}) v_j / n over positions j up to i, with n = `max_length`;
    - x + W2 (LN(a) ⊙ u).

    Here b and c are learned biases by the distance of positions and by time: with t_j the time of item j, s(i, j) is
    the whole part of ln(max(|t_{i+1} - t_j|, 1)) / 0.301, at most `n_time_buckets`. So in training a state knows when
    the item that it predicts is met. After the last item this is not known, and t_i stands for it, as in RecBoard; the
    authors' evaluation takes the time of the item that is to be found. Without `n_time_buckets` there is no c, and a
    history is only an order, as to SASRec. With it, times must be told of the histories of new users as well, and a
    network that is exported scores items for users of the data.

    The score of an item is the cosine of its embedding and the last state, so that `sampled_softmax` needs a
    `temperature`. The latest item always has the last position embedding. Padding is never attended to. In RecBoard's
    model it is, by way of the biases. Weights of linear layers start as in torch, and embeddings from a normal
    distribution cut at two deviations, as there.

    *Source:* Zhai, Liao, Liu, Wang, Li and others, "Actions Speak Louder than Words: Trillion-Parameter Sequential
    Transducers for Generative Recommendations", ICML 2024, equations 1 to 3; the form of c is that of the authors'
    code.

    Args:
        max_length: the most items of a history that are read.
        embedding_dim: length of the embeddings and of all states.
        n_layers: number of blocks.
        n_heads: heads of the attention.
        attention_dim: length of the queries and keys of each head.
        value_dim: length of the values and gates of each head.
        embedding_dropout: dropout rate of the sums of embedding and position.
        dropout: dropout rate of the gated sums of attention.
        n_time_buckets: the most that the logarithm of a time counts, for which there is a bias; 0 for no such biases.
        init_std: standard deviation of the initial embeddings and biases.

    Raises:
        DataError: there are biases by time, and times only count each user's interactions.
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
        n_time_buckets: NonNegativeInt = 0,
        init_std: PositiveFloat = 0.02,
    ) -> None:
        super().__init__(data, max_length)
        self.timed, self.n_time_buckets = n_time_buckets > 0, n_time_buckets
        if self.timed:
            _refuse_places(self._histories)
        self.scale = math.sqrt(embedding_dim)
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.positions = nn.Embedding(max_length, embedding_dim)
        self.dropout = nn.Dropout(embedding_dropout)
        self.blocks = nn.ModuleList(
            TransducerBlock(max_length, embedding_dim, n_heads, attention_dim, value_dim, dropout, n_time_buckets)
            for _ in range(n_layers)
        )
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=init_std, a=-2 * init_std, b=2 * init_std)
            elif isinstance(module, TransducerBlock):
                nn.init.normal_(module.distances, std=init_std)
                if module.spans is not None:
                    nn.init.normal_(module.spans, std=init_std)

    def forward(self, items: Tensor, lengths: Tensor, times: Tensor | None = None) -> Tensor:
        """Return the states (B, L, D) of length 1 after each item of histories (B, L) of lengths (B,), met at times."""
        buckets = None if times is None else _buckets(times, lengths, self.n_time_buckets)
        positions_BL = torch.arange(items.size(1), device=items.device) + (self.max_length - lengths)[:, None]
        embedded_BLD = self.items(items) * self.scale + self.positions(positions_BL.clamp(max=self.max_length - 1))
        states = self.dropout(embedded_BLD)
        for block in self.blocks:
            states = block(states, buckets)
        return F.normalize(states, dim=-1)

    def item_vectors(self) -> Tensor:
        """Return the embeddings of the items, shared with the history, with length 1."""
        return F.normalize(self.items.weight, dim=-1)

    def vectors_of(self, items: Tensor) -> Tensor:
        """Return the embeddings of items (R,) with length 1."""
        return F.normalize(self.items(items), dim=-1)


def _buckets(times: Tensor, lengths: Tensor, most: int) -> Tensor:
    """Return s(i, j), int64 (B, L, L), for times (B, L) of histories of lengths (B,); arbitrary in the padding."""
    last_B1 = (lengths - 1)[:, None]
    places_L = torch.arange(times.size(1), device=times.device)
    next_BL = times.gather(1, torch.minimum(places_L + 1, last_B1).clamp(min=0))
    spans_BLL = (next_BL[:, :, None] - times[:, None, :]).abs().clamp(min=1)
    spans_BLL = spans_BLL if spans_BLL.is_floating_point() else spans_BLL.float()
    return (spans_BLL.log() / _LOG_WIDTH).long().clamp(max=most)


def _refuse_places(histories: CSR) -> None:
    """Raise a DataError if the times of all users are places in their histories, one after the other."""
    steps, starts = np.diff(histories.times), histories.indptr[1:-1]
    within = np.ones(len(steps), dtype=bool)
    within[starts[(starts > 0) & (starts <= len(steps))] - 1] = False
    if within.any() and bool((steps[within] == 1).all()):
        raise DataError("n_time_buckets reads the times between interactions, and the data tells only their order")
