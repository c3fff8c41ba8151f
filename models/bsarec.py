"""BSARec: causal self-attention and a low-pass filter over a user's latest items.

Shapes: B users, L items of a history, W positions of a row, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recrun.architectures.attention import AttentionBlock, BlockForm
from recrun.architectures.sequence import FullRowArch
from recrun.registry import MODELS
from recrun.types import Annotated, Fraction, PositiveFloat, PositiveInt, UnitInterval, Where

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


def band_pass(width: int, first: int, last: int) -> Tensor:
    """Return the matrix (W, W) that keeps some frequencies of a row, from `first` to before `last`.

    A frequency is kept with its negative; the first one, 0, is that of the mean.
    """
    spectrum = torch.fft.rfft(torch.eye(width, dtype=torch.float64), dim=0)
    spectrum[:first], spectrum[last:] = 0, 0
    return torch.fft.irfft(spectrum, n=width, dim=0).float()


class FilteredBlock(AttentionBlock):
    """One block: the filter and attention, each normalised with its residual, are added; the network follows."""

    low_WW: Tensor

    def __init__(self, form: BlockForm, low_WW: Tensor, frequency_weight: float) -> None:
        super().__init__(form)
        self.frequency_weight = frequency_weight
        self.filter_norm, self.filter_dropout = nn.LayerNorm(form.dim), nn.Dropout(form.dropout)
        self.sqrt_beta = nn.Parameter(torch.randn(form.dim))
        self.register_buffer("low_WW", low_WW, persistent=False)

    def forward(self, states: Tensor, visible: Tensor | None = None, last_only: bool = False) -> Tensor:
        """Return the states (B, W, D) of the next layer, or (B, 1, D) at the last position only.

        Args:
            states: (B, W, D).
            visible: bool (B, W, W), the positions that each one attends to.
            last_only: whether only the state at the last position is needed.
        """
        first, second = self.norms
        low_WW = self.low_WW
        if last_only and visible is not None:
            asked, low_WW, visible = states[:, -1:], low_WW[-1:], visible[:, -1:]
        else:
            asked = states
        low = low_WW @ states
        filtered = self.filter_norm(asked + self.filter_dropout(low + self.sqrt_beta.square() * (asked - low)))
        attended = first(asked + self._attend(states, visible, asked))
        mixed = self.frequency_weight * filtered + (1 - self.frequency_weight) * attended
        output: Tensor = second(mixed + self._think(mixed))
        return output


@MODELS.register("bsarec", loss="cross_entropy", gradients="layered", states="last")
class BSARec(FullRowArch):
    """Predict the next item by self-attention whose blocks also filter the frequencies of the history.

    A history is a row of `max_length` positions, and ends at the last one. With x the states of the row, and LFC(x) the
    part of them that consists of the lowest frequencies along the row, a block is

    - F = LN(x + LFC(x) + β (x - LFC(x))), with β the square of a learned vector;
    - A = LN(x + Attention(x)), causal;
    - y = α F + (1 - α) A, then LN(y + W2 gelu(W1 y)).

    The filter mixes all positions, so that only the state at the last position has not seen what it predicts: training
    is on prefixes. As in the authors' code, positions before the history hold their position embeddings, and attend to
    all positions; they reach the history by the filter alone.

    The paper's loss is `cross_entropy`. Weights of linear layers start by Xavier initialisation, as in RecBoard; the
    authors' code draws all of them like the embeddings.

    *Source:* Shin, Choi, Wi, Park, "An Attentive Inductive Bias for Sequential Recommendation beyond the
    Self-Attention", AAAI 2024, section "Proposed Method".

    Args:
        max_length: the most items of a history that are read.
        embedding_dim: length of the embeddings and of all states.
        n_layers: number of blocks.
        n_heads: heads of the attention, a divisor of `embedding_dim`.
        frequency_weight: α, the weight of the filter; the attention has the rest.
        low_frequencies: how many of the `max_length` frequencies are low, the mean among them. All others but the
            highest come in pairs, so that an even number counts like the next odd one.
        dropout: dropout rate of the embeddings and of the outputs of filter, attention and network.
        attention_dropout: dropout rate of the attention probabilities.
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
        frequency_weight: UnitInterval = 0.7,
        low_frequencies: PositiveInt = 5,
        dropout: Fraction = 0.5,
        attention_dropout: Fraction = 0.5,
        init_std: PositiveFloat = 0.02,
    ) -> None:
        super().__init__(data, max_length, embedding_dim, dropout)
        form = BlockForm(
            dim=embedding_dim,
            n_heads=n_heads,
            inner_dim=4 * embedding_dim,
            norm="post",
            activation="gelu",
            dropout=dropout,
            attention_dropout=attention_dropout,
        )
        low_WW = band_pass(max_length, 0, low_frequencies // 2 + 1)
        self.blocks.extend(FilteredBlock(form, low_WW, frequency_weight) for _ in range(n_layers))
        self.initialize(init_std)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = 1e-12
            elif isinstance(module, FilteredBlock):
                for part in module.attention.inputs.weight.detach().chunk(3):
                    nn.init.xavier_normal_(part)
