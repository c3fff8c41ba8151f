"""DeepFM: a factorization machine and a deep network on the same embeddings.

Shapes: B rows, F fields, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import Tensor

from recrun.architectures.prediction import (
    Batch,
    Decays,
    LinearTerms,
    PredictingArch,
    pairwise_products,
    perceptron,
    rates_of_layers,
)
from recrun.data.fields import Tokenizer
from recrun.registry import MODELS
from recrun.types import Annotated, BatchNormalized, MinLen, PositiveFloat, PositiveInt, RateOfLayers, RatesOfLayers

if TYPE_CHECKING:
    from typing_extensions import Unpack

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
        dropouts: dropout rate of each hidden layer, in place of dropout; null uses dropout.
        batch_norm: normalise each hidden layer over the batch, between its linear part and its activation.
        activation: activation of the hidden layers.
        init_std: standard deviation of the initial weights and embeddings.
        **decays: weights of the L2 terms.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 16,
        hidden_dims: Annotated[list[PositiveInt], MinLen(1)] = [64, 64],  # noqa: B006 - never changed
        dropout: RateOfLayers = 0.0,
        dropouts: RatesOfLayers = None,
        batch_norm: BatchNormalized = False,
        activation: Literal["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"] = "relu",
        init_std: PositiveFloat = 0.01,
        **decays: Unpack[Decays],
    ) -> None:
        super().__init__(data, **decays)
        self.linear = LinearTerms(self.features)
        self.tokenizer = Tokenizer(self.features).embed(embedding_dim)
        rates = rates_of_layers(dropout, dropouts, len(hidden_dims))
        widths = [len(self.features) * embedding_dim, *hidden_dims, 1]
        self.deep = perceptron(widths, rates, batch_norm=batch_norm, activation=activation)
        self.initialize(init_std)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits (B,)."""
        embedded_BFD = self.embed_fields(self.tokenizer, batch)
        deep: Tensor = self.deep(embedded_BFD.flatten(1)).squeeze(-1)
        return self.linear(batch) + pairwise_products(embedded_BFD) + deep
