"""FMLP-Rec: learned filters over a user's latest items, in the place of self-attention.

Shapes: B users, L items of a history, W positions of a row, F frequencies, I items, D embedding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.sequence import FullRowArch
from recrun.registry import MODELS
from recrun.types import Fraction, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


class FilterLayer(nn.Module):
    """Multiply each frequency of a row by a learned complex number: a circular convolution along the row.

    The kernel is the inverse Fourier transform of the filter, and the convolution one product for each dimension: for
    rows as short as histories no transform of the states is needed.

    Args:
        width: W.
        dim: D.
    """

    waves_WF2: Tensor
    shifts_WW: Tensor

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        n_frequencies = width // 2 + 1
        self.filter = nn.Parameter(torch.zeros(n_frequencies, dim, 2))
        places, frequencies = torch.arange(width, dtype=torch.float64), torch.arange(n_frequencies)
        angles_WF = 2 * math.pi / width * places[:, None] * frequencies
        # Each frequency but 0 and, of an even width, the highest stands for its negative too.
        weights_F = torch.where((frequencies == 0) | (2 * frequencies == width), 1.0, 2.0) / width
        waves_WF2 = torch.stack([angles_WF.cos(), -angles_WF.sin()], dim=2) * weights_F[:, None]
        self.register_buffer("waves_WF2", waves_WF2.float(), persistent=False)
        shifts_WW = (torch.arange(width)[:, None] - torch.arange(width)) % width
        self.register_buffer("shifts_WW", shifts_WW, persistent=False)

    def forward(self, states: Tensor, last_only: bool = False) -> Tensor:
        """Return the filtered rows (B, W, D), or (B, 1, D) at the last position only, of states (B, W, D)."""
        kernel_WD = self.waves_WF2.flatten(1) @ self.filter.transpose(1, 2).flatten(0, 1)
        shifts = self.shifts_WW[-1:] if last_only else self.shifts_WW
        kernels_DMW = kernel_WD[shifts].permute(2, 0, 1)
        filtered: Tensor = (kernels_DMW @ states.permute(2, 1, 0)).permute(2, 1, 0)
        return filtered


class FilterBlock(nn.Module):
    """One block: a filter, then a network of each position, each normalised with its residual.

    Args:
        width: W.
        dim: D.
        dropout: dropout rate of the outputs of filter and network.
    """

    def __init__(self, width: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.filter = FilterLayer(width, dim)
        self.inner, self.outer = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim, eps=1e-12) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, last_only: bool = False) -> Tensor:
        """Return the states (B, W, D) of the next layer, or (B, 1, D) at the last position only."""
        first, second = self.norms
        kept = states[:, -1:] if last_only else states
        filtered = first(kept + self.dropout(self.filter(states, last_only)))
        output: Tensor = second(filtered + self.dropout(self.outer(F.gelu(self.inner(filtered)))))
        return output


@MODELS.register("fmlprec", loss="bpr", gradients="layered", states="last")
class FMLPRec(FullRowArch):
    """Predict the next item by blocks of a filter with learned frequencies and a network of each position.

    A history is a row of `max_length` positions, and ends at the last one; positions before it hold their position
    embeddings, as in the authors' code. With x the states of the row, 𝓕 the Fourier transform along it and w complex
    weights of each frequency and dimension, a block is

    - y = LN(x + 𝓕⁻¹(w ⊙ 𝓕(x)));
    - LN(y + W2 gelu(W1 y)).

    The filter mixes all positions, so that only the state at the last position has not seen what it predicts: training
    is on prefixes. The paper's loss is `bpr` with one negative, written there as log σ of the difference. Its equations
    have relu; the authors' code has gelu, and so does this model. All weights start from N(0, `init_std`²).

    *Source:* Zhou, Yu, Zhao, Wen, "Filter-enhanced MLP is All You Need for Sequential Recommendation", WWW 2022,
    section 4.

    Args:
        max_length: the most items of a history that are read.
        embedding_dim: length of the embeddings and of all states.
        n_layers: number of blocks.
        dropout: dropout rate of the embeddings and of the outputs of filter and network.
        init_std: standard deviation of all initial weights.
    """

    attends = False

    def __init__(
        self,
        data: TrainingData,
        *,
        max_length: PositiveInt = 50,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 2,
        dropout: Fraction = 0.5,
        init_std: PositiveFloat = 0.02,
    ) -> None:
        super().__init__(data, max_length, embedding_dim, dropout)
        self.blocks.extend(FilterBlock(max_length, embedding_dim, dropout) for _ in range(n_layers))
        for module in self.modules():
            if isinstance(module, (nn.Embedding, nn.Linear)):
                nn.init.normal_(module.weight, std=init_std)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
            elif isinstance(module, FilterLayer):
                nn.init.normal_(module.filter, std=init_std)
