"""Matrix factorisation trained with sampled negatives.

Shapes: B users in a batch, K negatives, U users, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.base import RecSysArch
from recrun.architectures.fold_in import FoldIn
from recrun.architectures.item_products import BatchItems
from recrun.data.fields import Tokenizer
from recrun.data.tags import ID, ITEM, USER
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, Fraction, NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("bprmf", loss="bpr", new_users=True)
class BPRMF(RecSysArch):
    """Factorise the interaction matrix by ranking observed above sampled items (BPR).

    The score is the product, or the cosine, of the user's and the item's embedding. The loss can be chosen. Dropout of
    users' embeddings comes before the cosine in the code of BSL (Wu et al., ICDE 2024), and after it in that of SimpleX
    (Mao et al., CIKM 2021; RecZoo), so that there the scores of a training step are no cosines.

    *Source:* Rendle, Freudenthaler, Gantner, Schmidt-Thieme, "BPR: Bayesian Personalized Ranking from Implicit
    Feedback", UAI 2009, section 4.3.1.

    Args:
        embedding_dim: length of the embeddings.
        init_std: standard deviation of the initial embeddings.
        embedding_decay: weight of the L2 term on the embeddings of a batch, half their squared norms over B.
        similarity: "dot" for the product of the embeddings, "cosine" for their cosine.
        embedding_dropout: dropout rate of the users' embeddings in training.
        dropout_after_scaling: whether entries of users' vectors are dropped after they are scaled for the cosine, not
            before.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        init_std: PositiveFloat = 0.01,
        embedding_decay: NonNegativeFloat = 0.0,
        similarity: Literal["dot", "cosine"] = "dot",
        embedding_dropout: Fraction = 0.0,
        dropout_after_scaling: Annotated[
            bool, AppliesIf("similarity == 'cosine' and embedding_dropout > 0", "nothing is dropped after scaling")
        ] = False,
    ) -> None:
        super().__init__()
        self.tokenizer = Tokenizer(data.fields.groupby(ID))
        self.tokenizer.embed(embedding_dim, ID)
        self.User, self.Item = self.tokenizer[USER, ID], self.tokenizer[ITEM, ID]
        self.batch_items = BatchItems(data.n_items, penalized=embedding_decay > 0)
        self.embedding_decay = embedding_decay
        self.similarity = similarity
        self.embedding_dropout, self.dropout_after_scaling = embedding_dropout, dropout_after_scaling
        self.fold_in = FoldIn(self, unit=similarity == "cosine")
        self.initialize(init_std)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores (B, 1 + K) of items (B, 1 + K) for users (B, 1)."""
        users_BD = self._of_users(self.User.look_up(users)).squeeze(1)
        return self.batch_items.scores(users_BD, items, self._of_items, whole=not self.Item.embeddings.sparse)

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the L2 term on the batch's embeddings."""
        if self.embedding_decay == 0:
            return 0.0
        squares = self.User.look_up(users).square().sum() + self.batch_items.sum_squares(self.Item.look_up, items)
        return self.embedding_decay * 0.5 * squares / len(users)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the embeddings of all users and all items, at unit length for the cosine; dropped only in training."""
        return self._of_users(self.User.embeddings.weight), self._of_items()

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return the vectors (B, D) of new users by `FoldIn`."""
        return self.fold_in.embed(histories)

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for new users."""
        return self.fold_in.score(histories)

    def _of_users(self, embeddings: Tensor) -> Tensor:
        if self.dropout_after_scaling:
            return self._drop(self._scale(embeddings))
        return self._scale(self._drop(embeddings))

    def _of_items(self, items: Tensor | None = None) -> Tensor:
        return self._scale(self.Item.embeddings.weight if items is None else self.Item.look_up(items))

    def _drop(self, embeddings: Tensor) -> Tensor:
        return F.dropout(embeddings, self.embedding_dropout, self.training) if self.embedding_dropout else embeddings

    def _scale(self, embeddings: Tensor) -> Tensor:
        return F.normalize(embeddings, dim=-1) if self.similarity == "cosine" else embeddings
