"""DeepFM: a factorization machine and a deep network on the same embeddings.

Shapes: B rows, F fields, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from recrun.architectures.prediction import Batch, LinearTerms, PredictingArch, pairwise_products, perceptron
from recrun.data.fields import Tokenizer
from recrun.registry import MODELS
from recrun.types import Annotated, Fraction, MinLen, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("deepfm", loss="bce", gradients="mixed")
class DeepFM(PredictingArch):
    """Predict a click by the sum of a factorization machine and a deep network over the same embeddings.

    *Source:* Guo, Tang, Ye, Li, He, "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", IJCAI
    2017, eq. 1 to 4.

    Args:
        embedding_dim: length of the embeddings, which both parts share.
        hidden_dims: units of each hidden layer.
        dropout: dropout rate of the hidden layers.
        init_std: standard deviation of the initial weights and embeddings.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 16,
        hidden_dims: Annotated[list[int], MinLen(1)] = [64, 64],  # noqa: B006 - never changed
        dropout: Fraction = 0.0,
        init_std: PositiveFloat = 0.01,
    ) -> None:
        super().__init__(data)
        self.linear = LinearTerms(self.features)
        self.tokenizer = Tokenizer(self.features).embed(embedding_dim)
        self.deep = perceptron([len(self.features) * embedding_dim, *hidden_dims, 1], dropout)
        self.initialize(init_std)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits (B,)."""
        embedded_BFD = self.embed_fields(self.tokenizer, batch)
        deep: Tensor = self.deep(embedded_BFD.flatten(1)).squeeze(-1)
        return self.linear(batch) + pairwise_products(embedded_BFD) + deep
