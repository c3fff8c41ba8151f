"""Factorization machine on categorical fields.

Shapes: B rows, F fields, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from recrun.architectures.prediction import Batch, Decays, LinearTerms, PredictingArch, pairwise_products
from recrun.data.fields import Tokenizer
from recrun.registry import MODELS
from recrun.types import PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.data.interactions import TrainingData


@MODELS.register("fm", loss="bce", gradients="mixed")
class FM(PredictingArch):
    """Predict a click by a factorization machine: linear weights plus pairwise products of embeddings.

    *Source:* Rendle, "Factorization Machines", ICDM 2010, eq. 1 and lemma 3.1.

    Args:
        embedding_dim: length of the embeddings.
        init_std: standard deviation of the initial weights and embeddings.
        **decays: weights of the L2 terms.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 16,
        init_std: PositiveFloat = 0.01,
        **decays: Unpack[Decays],
    ) -> None:
        super().__init__(data, **decays)
        self.linear = LinearTerms(self.features)
        self.tokenizer = Tokenizer(self.features).embed(embedding_dim)
        self.initialize(init_std)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits (B,)."""
        return self.linear(batch) + pairwise_products(self.embed_fields(self.tokenizer, batch))
