"""FEARec: attention in the time and in the frequency domain over a user's latest items, with contrastive losses.

Shapes: B users, L items of a history, W positions of a row, R frequencies, I items, D embedding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.attention import AttentionBlock, BlockForm
from recrun.architectures.prediction import Batch
from recrun.architectures.sequence import FullRowArch
from recrun.models.bsarec import band_pass
from recrun.models.cl4srec import Similarity, contrast_views
from recrun.models.duorec import SameTarget
from recrun.registry import MODELS
from recrun.types import (
    Annotated,
    AppliesIf,
    Fraction,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    UnitInterval,
    Where,
)

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData


def ramp(n_frequencies: int, n_layers: int, share: float) -> list[tuple[int, int]]:
    """Return the frequencies of each layer, from the first to before the last; the first layer has the highest.

    Each layer has a share of the frequencies, and the layers slide from the highest to the lowest in equal steps. With
    a share of 1 / `n_layers` or less they take turns: each has a part of its own.

    Args:
        n_frequencies: R, the frequencies of a row, the mean included.
        n_layers: number of layers.
        share: share of the frequencies that a layer has.
    """
    if share * n_layers <= 1:
        bounds = [n_frequencies * number // n_layers for number in range(n_layers, -1, -1)]
        return list(zip(bounds[1:], bounds, strict=False))
    left = n_frequencies * (1 - share)
    step = int(left // (n_layers - 1)) if n_layers > 1 else 0
    return [(int(left) - layer * step, n_frequencies - layer * step) for layer in range(n_layers)]


class HybridBlock(AttentionBlock):
    """One block: attention of both domains, then a network of each position, each normalised with its residual.

    Args:
        form: the form of the block.
        band_WW: what keeps the frequencies of the block.
        n_delays: how many delays of a row are mixed.
        frequency_weight: weight of the attention in the frequency domain; that in the time domain has the rest.
    """

    band_WW: Tensor
    later_WW: Tensor

    def __init__(self, form: BlockForm, band_WW: Tensor, n_delays: int, frequency_weight: float) -> None:
        super().__init__(form)
        self.n_delays, self.frequency_weight = n_delays, frequency_weight
        self.register_buffer("band_WW", band_WW, persistent=False)
        places_W = torch.arange(len(band_WW))
        # A delay t and a position s: the position that is t later, around the end of the row.
        self.register_buffer("later_WW", (places_W[:, None] + places_W) % len(band_WW), persistent=False)

    def forward(self, states: Tensor, visible: Tensor | None = None, last_only: bool = False) -> Tensor:
        """Return the states (B, W, D) of the next layer, or (B, 1, D) at the last position only.

        Args:
            states: (B, W, D).
            visible: bool (B, W, W), the positions that each one attends to.
            last_only: whether only the state at the last position is needed.
        """
        first, second = self.norms
        parts = self.attention.inputs(states)
        queries, keys, values = (self.band_WW @ parts).chunk(3, dim=-1)
        asked = slice(-1, None) if last_only else slice(None)
        by_delay = self.delays(queries, keys)[:, asked] @ parts.chunk(3, dim=-1)[2]
        by_state = self._attend_in_time(queries[:, asked], keys, values, None if visible is None else visible[:, asked])
        mixed = self.frequency_weight * by_delay + (1 - self.frequency_weight) * by_state
        attended = first(states[:, asked] + self.dropout(self.attention.output(mixed)))
        output: Tensor = second(attended + self._think(attended))
        return output

    def delays(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return the weights (B, W, W) by which each position takes the values of those that are some delays later.

        The correlation of queries and keys at each delay is the mean over the dimensions, and the sum over positions.

        Args:
            queries: those of the frequencies of the block, (B, W, D).
            keys: the same.
        """
        size, width, dim = queries.shape
        products_BWW = queries @ keys.transpose(1, 2) / dim
        correlations_BW = products_BWW.gather(1, self.later_WW.expand(size, width, width)).sum(2)
        highest, delays = correlations_BW.topk(self.n_delays, dim=1)
        weights_BW = torch.zeros_like(correlations_BW).scatter(1, delays, highest.softmax(1))
        back_WW = (self.later_WW[0] - self.later_WW[0][:, None]) % width
        return weights_BW[:, None].expand(size, width, width).gather(2, back_WW.expand(size, width, width))

    def _attend_in_time(self, queries: Tensor, keys: Tensor, values: Tensor, visible: Tensor | None) -> Tensor:
        """Return the states (B, M, D) that M queries attend to in the positions visible to each, (B, M, W)."""
        size, _, dim = queries.shape
        n_heads = self.form.n_heads
        heads = (each.view(size, -1, n_heads, dim // n_heads).transpose(1, 2) for each in (queries, keys, values))
        mask = None if visible is None else visible[:, None]
        rate = self.form.attention_dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(*heads, mask, rate, is_causal=visible is None)
        return mixed.transpose(1, 2).reshape(size, -1, dim)


@MODELS.register("fearec", loss="cross_entropy", gradients="layered", states="last")
class FEARec(FullRowArch):
    """Predict the next item by attention to states and to delays of the history, each layer at other frequencies.

    A history is a row of `max_length` positions, and ends at the last one. Each layer has a band of the frequencies
    along the row, the first one the highest. With q, k, v the queries, keys and values of a row, and a hat for what a
    band leaves of them, the attention of a block is the weighted sum γ f + (1 - γ) t, with

    - t = softmax(q̂ k̂ᵀ / √d) v̂, causal and by heads: attention in the time domain;
    - f(s) = Σ over the delays τ with the highest correlations of softmax(R)(τ) · v(s + τ), around the end of the row;
      R(τ) is the mean over the dimensions of Σ q̂(s + τ) k̂(s) over the positions s: attention in the frequency domain,
      where R is a product of spectra.

    The layer's output is projected, and normalised with its residual, and so is a network of each position.

    The loss is `cross_entropy` on prefixes, since bands mix all positions. To it is added λ times the contrastive loss
    of DuoRec, between a second pass of a history and another history that the same item follows, and the spectrum's
    weight times the mean of |spectrum of the one state - spectrum of the other|, spectra taken along the dimensions.

    Correlations are computed here from products of positions, which are the same as those of spectra. The authors' code
    starts each history at the first position; that of BSARec, which compares with this model, ends it at the last. In
    training the authors' code chooses the delays by the mean over the batch, here each row has its own at all times, as
    in the paper. All weights start from N(0, `init_std`²).

    *Source:* Du, Yuan, Zhao, Qu, Zhuang, Liu, Sheng, "Frequency Enhanced Hybrid Attention Network for Sequential
    Recommendation", SIGIR 2023.

    Args:
        max_length: the most items of a history that are read.
        embedding_dim: length of the embeddings and of all states.
        n_layers: number of blocks.
        n_heads: heads of the attention in the time domain, a divisor of `embedding_dim`.
        inner_dim: width of the network of each position; four times `embedding_dim` if null.
        frequency_share: share of the frequencies that each layer has. Up to 1 / `n_layers`, each has a part of its own.
        frequency_weight: γ, the weight of the attention in the frequency domain; that in the time domain has the rest.
        delay_factor: how many delays are mixed, as a multiple of the logarithm of `max_length`, rounded down.
        dropout: dropout rate of the embeddings and of each layer's output.
        attention_dropout: dropout rate of the probabilities of the attention in the time domain.
        contrast_weight: λ, the weight of the contrastive loss; 0 for none.
        contrast_temperature: τ of the contrastive loss.
        contrast_similarity: "dot" for products of states, "cosine" for those of states of length 1.
        spectrum_weight: weight of the difference of the spectra of two states of a pair; 0 for none. The authors' code
            has 0.1, where it is used.
        init_std: standard deviation of all initial weights.
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
        ] = 2,
        inner_dim: PositiveInt | None = None,
        frequency_share: UnitInterval = 0.6,
        frequency_weight: UnitInterval = 0.9,
        delay_factor: PositiveFloat = 1.0,
        dropout: Fraction = 0.5,
        attention_dropout: Fraction = 0.5,
        contrast_weight: NonNegativeFloat = 0.1,
        contrast_temperature: Annotated[PositiveFloat, AppliesIf("contrast_weight > 0", "contrast_weight is 0")] = 1.0,
        contrast_similarity: Annotated[
            Literal["dot", "cosine"], AppliesIf("contrast_weight > 0", "contrast_weight is 0")
        ] = "dot",
        spectrum_weight: NonNegativeFloat = 0.1,
        init_std: PositiveFloat = 0.02,
    ) -> None:
        super().__init__(data, max_length, embedding_dim, dropout)
        form = BlockForm(
            dim=embedding_dim,
            n_heads=n_heads,
            inner_dim=inner_dim or 4 * embedding_dim,
            norm="post",
            activation="gelu",
            dropout=dropout,
            attention_dropout=attention_dropout,
        )
        n_delays = min(max(int(delay_factor * math.log(max_length)), 1), max_length)
        bands = [band_pass(max_length, *band) for band in ramp(max_length // 2 + 1, n_layers, frequency_share)]
        self.blocks.extend(HybridBlock(form, band_WW, n_delays, frequency_weight) for band_WW in bands)
        self.initialize_alike(init_std)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = 1e-12
        self.contrast_weight, self.contrast_temperature = contrast_weight, contrast_temperature
        self.contrast_similarity: Similarity = contrast_similarity
        self.spectrum_weight = spectrum_weight
        self.same_target = SameTarget(data.interactions.histories(data.n_users), data.n_users)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch of prefixes, and those of their pairs."""
        loss = super().training_loss(batch, criterion)
        if self.contrast_weight == 0 and self.spectrum_weight == 0:
            return loss
        again, same = self.same_target.read_pairs(self, batch)
        if self.contrast_weight > 0:
            contrast = contrast_views(again, same, self.contrast_temperature, self.contrast_similarity)
            loss = loss + self.contrast_weight * contrast
        if self.spectrum_weight > 0:
            difference = torch.fft.rfft(again - same, norm="ortho").abs().mean()
            loss = loss + self.spectrum_weight * difference
        return loss
