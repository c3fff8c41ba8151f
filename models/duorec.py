"""DuoRec: self-attention trained with a contrastive loss between histories that the same item follows.

Shapes: B users in a batch, L items of a history, P places of train items that can be predicted, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from recrun.architectures.prediction import Batch
from recrun.data.postprocessing.sequences import LENGTH, TARGET
from recrun.models.cl4srec import Encoder, Similarity, contrast_views
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Where

if TYPE_CHECKING:
    from recrun.architectures.sequence import SequenceArch
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import CSR, TrainingData


class SameTarget:
    """Finds, for an item that follows a history, histories of other users that it follows too.

    Args:
        rows: the train items of users in the order of time.
        n_users: the number of users.
    """

    def __init__(self, rows: CSR, n_users: int) -> None:
        self.rows, self.n_users = rows, n_users
        places_P = np.arange(rows.nnz)
        owners_P = np.repeat(np.arange(rows.n_rows), rows.lengths)
        follows_P = places_P > rows.indptr[owners_P]
        keys_P = rows.indices[follows_P].astype(np.int64) * n_users + owners_P[follows_P]
        order_P = np.argsort(keys_P, kind="stable")
        self.keys_P, self.places_P = keys_P[order_P], places_P[follows_P][order_P]

    def draw(self, users: np.ndarray, targets: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return users (B,) and the places (B,) in their rows at which the targets stand.

        Args:
            users: whose histories these are, int (B,).
            targets: the items that follow, int (B,).
            draws: random numbers (B,) in [0, 1), which choose among the places of other users. A target that follows
                no other history is one of the user's own.
        """
        targets = targets.astype(np.int64)
        first, last = (np.searchsorted(self.keys_P, (targets + shift) * self.n_users) for shift in (0, 1))
        own_first, own_last = (np.searchsorted(self.keys_P, targets * self.n_users + users + shift) for shift in (0, 1))
        n_own = own_last - own_first
        n_others = last - first - n_own
        chosen = first + (draws * np.maximum(n_others, 1)).astype(np.int64)
        chosen = np.where(n_others == 0, own_first, chosen + n_own * (chosen >= own_first))
        return self.keys_P[chosen] % self.n_users, self.places_P[chosen]

    def draw_histories(self, users: Tensor, targets: Tensor, max_length: int) -> tuple[Tensor, Tensor]:
        """Return histories (B, L) and lengths (B,) of other users that the targets (B,) follow, drawn at random.

        Args:
            users: whose histories they are not, int64 (B,).
            targets: the items that follow, int64 (B,).
            max_length: L, the most items of a history, the latest ones.
        """
        draws_B = torch.rand(len(users), dtype=torch.float64, device=users.device)
        found = self.draw(*(each.cpu().numpy() for each in (users, targets, draws_B)))
        items, lengths = self.rows.before(*found, max_length)
        return torch.from_numpy(items).to(users.device), torch.from_numpy(lengths).to(users.device)

    def read_pairs(self, model: SequenceArch, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the states (B, D) of the histories of a batch, read once more, and of others with the same targets.

        Args:
            model: the model that reads them.
            batch: prefixes, of users (B, 1) with targets (B, 1).
        """
        again = model.read_all(batch[model.item_column], batch[LENGTH][:, 0])
        users, targets = batch[model.user_column][:, 0], batch[TARGET][:, 0]
        return again, model.read_all(*self.draw_histories(users, targets, model.max_length))


@MODELS.register("duorec", loss="cross_entropy", gradients="layered", states="last")
class DuoRec(Encoder):
    """Train SASRec with a contrastive loss between a history and another one that the same item follows.

    The states of a history and of another user's history with the same next item are each computed with a dropout of
    their own, and told apart from those of all others in the batch:

    loss + λ · mean over the 2 B states of -log (exp(s · s⁺ / τ) / Σ exp(s · s' / τ)), with s⁺ the other state of the
    pair, and s' all states but s itself.

    A history whose next item follows no other user's is paired with itself, so that dropout alone makes the pair. The
    state of the history is computed a second time for the pair. That is the authors' `us_x`; their code also has both
    pairs apart, dropout alone and same items alone. There, another place of the same user may be the pair.

    The paper's loss is `cross_entropy` on prefixes. Encoder and initialisation are those of its code, which is the
    SASRec of RecBole.

    *Source:* Qiu, Huang, Yin, Wang, "Contrastive Learning for Representation Degeneration Problem in Sequential
    Recommendation", WSDM 2022, section 3.

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
        dropout: Fraction = 0.5,
        attention_dropout: Fraction = 0.5,
        contrast_weight: NonNegativeFloat = 0.1,
        contrast_temperature: Annotated[PositiveFloat, AppliesIf("contrast_weight > 0", "contrast_weight is 0")] = 1.0,
        contrast_similarity: Annotated[
            Literal["dot", "cosine"], AppliesIf("contrast_weight > 0", "contrast_weight is 0")
        ] = "dot",
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
        self.same_target = SameTarget(data.interactions.histories(data.n_users), data.n_users)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the states (B, D) after the last items of histories (B, L) of lengths (B,)."""
        return super().forward(items, lengths)[torch.arange(len(items), device=items.device), lengths - 1]

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch of prefixes and the contrastive loss of their pairs."""
        loss = super().training_loss(batch, criterion)
        if self.contrast_weight == 0:
            return loss
        again, same = self.same_target.read_pairs(self, batch)
        contrast = contrast_views(again, same, self.contrast_temperature, self.contrast_similarity)
        return loss + self.contrast_weight * contrast
