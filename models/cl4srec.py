"""CL4SRec: self-attention trained with a contrastive loss between altered copies of a history.

Shapes: B users in a batch, L items of a history, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.prediction import Batch
from recrun.data.postprocessing.sequences import LENGTH
from recrun.models.sasrec import SASRec
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

Similarity = Literal["dot", "cosine"]


class Encoder(SASRec):
    """SASRec in the form of RecBole, whose initial weights are all drawn like the embeddings.

    Args:
        data: the train part.
        inner_dim: width of the network of each position; four times `embedding_dim` if null.
        embedding_dim: length of the embeddings and of all states.
        sizes: the other sizes and rates of `SASRec`.
    """

    def __init__(self, data: TrainingData, *, embedding_dim: int, inner_dim: int | None, **sizes: Any) -> None:
        super().__init__(
            data,
            embedding_dim=embedding_dim,
            inner_dim=inner_dim or 4 * embedding_dim,
            norm="post",
            activation="gelu",
            drop_inner=False,
            scale_embeddings=False,
            norm_embeddings=True,
            **sizes,
        )

    def initialize(self, std: float = 0.02) -> None:
        """Draw embeddings and weights of linear layers from N(0, std²); set biases to zero."""
        self.initialize_alike(std)


def contrast_views(first: Tensor, second: Tensor, temperature: float, similarity: Similarity) -> Tensor:
    """Return the InfoNCE loss of two views (B, D) of B things: the cross entropy of finding each one's other view.

    Each of the 2 B views is compared with all others; all but its own other view are negatives.
    """
    views = torch.cat([first, second])
    if similarity == "cosine":
        views = F.normalize(views, dim=1)
    is_own = torch.eye(len(views), dtype=torch.bool, device=views.device)
    logits = (views @ views.T / temperature).masked_fill(is_own, -torch.inf)
    others = torch.arange(len(views), device=views.device).roll(len(first))
    return F.cross_entropy(logits, others)


def crop(items: Tensor, lengths: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Return a random run of each history (B, L), as long as a share of it rounded down, but at least one item."""
    kept = (lengths * share).long().clamp(min=1)
    starts = _starts(lengths - kept)
    places = torch.arange(items.size(1), device=items.device) + starts[:, None]
    return items.gather(1, places.clamp(max=items.size(1) - 1)), kept


def mask(items: Tensor, lengths: Tensor, share: float, token: int) -> tuple[Tensor, Tensor]:
    """Return histories (B, L) in which a random share of the items, rounded down, is replaced by a token."""
    is_filled = torch.arange(items.size(1), device=items.device) < lengths[:, None]
    draws = torch.rand(items.shape, device=items.device).masked_fill(~is_filled, torch.inf)
    is_masked = draws.argsort(dim=1).argsort(dim=1) < (lengths * share).long()[:, None]
    return items.masked_fill(is_masked, token), lengths


def reorder(items: Tensor, lengths: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Return histories (B, L) in which a random run, as long as a share of the items rounded down, is shuffled."""
    shuffled = (lengths * share).long()
    starts = _starts(lengths - shuffled)[:, None]
    places = torch.arange(items.size(1), device=items.device).expand(items.shape)
    is_inside = (places >= starts) & (places < starts + shuffled[:, None])
    # Within the run all keys are below the place of its end, and not below that of its start.
    keys = torch.where(is_inside, starts + 0.99 * torch.rand(items.shape, device=items.device), places)
    return items.gather(1, keys.argsort(dim=1, stable=True)), lengths


def _starts(most: Tensor) -> Tensor:
    """Return random integers (B,) from 0 to `most` (B,), both included."""
    draws = (torch.rand(most.shape, device=most.device) * (most + 1)).long()
    return torch.minimum(draws, most)


@MODELS.register("cl4srec", loss="sampled_softmax", gradients="layered")
class CL4SRec(Encoder):
    """Train SASRec with a contrastive loss between two altered copies of each history.

    The copies of a history are made by two different operators of three: a run of it is cropped, some of its items are
    masked, or a run of them is shuffled. Its states are told apart from those of all other copies in the batch:

    loss + λ · mean over the 2 B copies of -log (exp(s · s⁺ / τ) / Σ exp(s · s' / τ)), with s⁺ the other copy of the
    same history, and s' all copies but s itself.

    The paper predicts each item of a history from those before it, with one negative: `sampled_softmax` and
    `sequence_rows: all_positions`. The code of DuoRec's authors, who compare with this model, trains it on prefixes
    with `cross_entropy`. Encoder, initialisation and dropout are those of that code, which is RecBole's SASRec; the
    paper's temperature is 1. A history of one item is not altered.

    *Source:* Xie, Sun, Liu, Wu, Gao, Zhang, Ding, Cui, "Contrastive Learning for Sequential Recommendation", ICDE 2022,
    section III.

    Args:
        max_length: the most items of a history that are read.
        embedding_dim: length of the embeddings and of all states.
        n_layers: number of blocks.
        n_heads: heads of the attention, a divisor of `embedding_dim`.
        inner_dim: width of the network of each position; four times `embedding_dim` if null.
        dropout: dropout rate of the embeddings and of each layer's output.
        attention_dropout: dropout rate of the attention probabilities.
        contrast_weight: λ, the weight of the contrastive loss; 0 for none.
        contrast_temperature: τ.
        contrast_similarity: "dot" for products of states, "cosine" for those of states of length 1.
        crop_share: share of the items that a cropped history keeps.
        mask_share: share of the items that are masked.
        reorder_share: share of the items that are shuffled.
        init_std: standard deviation of all initial weights.
    """

    tensor_axes: ClassVar = {"items.weight": "item+1"}
    n_extra_tokens: ClassVar = 1  # the mask

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
        dropout: Fraction = 0.5,
        attention_dropout: Fraction = 0.5,
        contrast_weight: NonNegativeFloat = 0.1,
        contrast_temperature: Annotated[PositiveFloat, AppliesIf("contrast_weight > 0", "contrast_weight is 0")] = 1.0,
        contrast_similarity: Annotated[
            Literal["dot", "cosine"], AppliesIf("contrast_weight > 0", "contrast_weight is 0")
        ] = "dot",
        crop_share: Annotated[UnitInterval, AppliesIf("contrast_weight > 0", "contrast_weight is 0")] = 0.6,
        mask_share: Annotated[UnitInterval, AppliesIf("contrast_weight > 0", "contrast_weight is 0")] = 0.3,
        reorder_share: Annotated[UnitInterval, AppliesIf("contrast_weight > 0", "contrast_weight is 0")] = 0.6,
        init_std: PositiveFloat = 0.02,
    ) -> None:
        super().__init__(
            data,
            max_length=max_length,
            embedding_dim=embedding_dim,
            n_layers=n_layers,
            n_heads=n_heads,
            inner_dim=inner_dim,
            dropout=dropout,
            attention_dropout=attention_dropout,
            init_std=init_std,
        )
        self.contrast_weight, self.contrast_temperature = contrast_weight, contrast_temperature
        self.contrast_similarity: Similarity = contrast_similarity
        self.crop_share, self.mask_share, self.reorder_share = crop_share, mask_share, reorder_share

    def item_vectors(self) -> Tensor:
        """Return the embeddings (I, D) of the items, shared with the history."""
        return super().item_vectors()[: self.n_items]

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch and the contrastive loss of its histories."""
        loss = super().training_loss(batch, criterion)
        if self.contrast_weight == 0:
            return loss
        items, lengths = batch[self.item_column], batch[LENGTH][:, 0]
        # A row of all positions may have one more item than is read: its first is not altered.
        shifts = (lengths - self.max_length).clamp(min=0)[:, None] + torch.arange(items.size(1), device=items.device)
        latest = items.gather(1, shifts.clamp(max=items.size(1) - 1))
        views = self.alter(latest[:, : self.max_length], lengths.clamp(max=self.max_length))
        first, second = (self.read_all(*view) for view in views)
        contrast = contrast_views(first, second, self.contrast_temperature, self.contrast_similarity)
        return loss + self.contrast_weight * contrast

    def alter(self, items: Tensor, lengths: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return two altered copies of histories (B, L) of lengths (B,), each by another operator."""
        copies = [
            crop(items, lengths, self.crop_share),
            mask(items, lengths, self.mask_share, self.n_items),
            reorder(items, lengths, self.reorder_share),
        ]
        items_3BL, lengths_3B = (torch.stack(each) for each in zip(*copies, strict=True))
        chosen_B3 = torch.rand(len(items), 3, device=items.device).argsort(dim=1)
        rows_B, is_single = torch.arange(len(items), device=items.device), lengths == 1
        return [
            (
                torch.where(is_single[:, None], items, items_3BL[chosen_B, rows_B]),
                torch.where(is_single, lengths, lengths_3B[chosen_B, rows_B]),
            )
            for chosen_B in (chosen_B3[:, 0], chosen_B3[:, 1])
        ]
