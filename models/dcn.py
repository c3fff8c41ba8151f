"""DCN: the Deep & Cross Network.

Shapes: B rows, F fields, D embedding, X = F D.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from recrun.architectures.prediction import Batch, Decays, PredictingArch, hidden_layers, rates_of_layers
from recrun.data.fields import Tokenizer
from recrun.registry import MODELS
from recrun.types import Annotated, BatchNormalized, MinLen, PositiveFloat, PositiveInt, RateOfLayers, RatesOfLayers

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.data.interactions import TrainingData


@MODELS.register("dcn", loss="bce", gradients="mixed")
class DCN(PredictingArch):
    """Predict a click by explicit feature crosses and a deep network in parallel.

    A cross layer is x' = x_0 (x · w) + b + x. The paper normalises the deep network by batch (`batch_norm`); FuxiCTR
    drops units of its last hidden layer too (`dropouts`).

    *Source:* Wang, Fu, Fu, Wang, "Deep & Cross Network for Ad Click Predictions", ADKDD 2017, eq. 3 to 5.

    Args:
        embedding_dim: length of the embeddings.
        n_cross_layers: number of cross layers.
        hidden_dims: units of each hidden layer.
        dropout: dropout rate of the hidden layers except for the last.
        dropouts: dropout rate of each hidden layer, in place of dropout; null uses dropout.
        batch_norm: normalise each hidden layer over the batch, between its linear part and its activation.
        activation: activation of the hidden layers.
        init_std: standard deviation of the initial embeddings.
        **decays: weights of the L2 terms.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 16,
        n_cross_layers: PositiveInt = 2,
        hidden_dims: Annotated[list[PositiveInt], MinLen(1)] = [64, 64],  # noqa: B006 - never changed
        dropout: RateOfLayers = 0.0,
        dropouts: RatesOfLayers = None,
        batch_norm: BatchNormalized = False,
        activation: Literal["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"] = "relu",
        init_std: PositiveFloat = 0.01,
        **decays: Unpack[Decays],
    ) -> None:
        super().__init__(data, **decays)
        width = len(self.features) * embedding_dim
        self.tokenizer = Tokenizer(self.features).embed(embedding_dim)
        self.crosses = nn.ModuleList(nn.Linear(width, 1, bias=False) for _ in range(n_cross_layers))
        self.shifts = nn.ParameterList(torch.zeros(width) for _ in range(n_cross_layers))
        rates = rates_of_layers(dropout, dropouts, len(hidden_dims))
        if dropouts is None:
            rates = [*rates[:-1], 0.0]
        self.deep = hidden_layers([width, *hidden_dims], rates, batch_norm=batch_norm, activation=activation)
        self.output = nn.Linear(width + hidden_dims[-1], 1)
        self.initialize(init_std)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits (B,)."""
        first_BX = self.embed_fields(self.tokenizer, batch).flatten(1)
        crossed_BX = first_BX
        for cross, shift in zip(self.crosses, self.shifts, strict=True):
            crossed_BX = first_BX * cross(crossed_BX) + shift + crossed_BX
        logits: Tensor = self.output(torch.cat([crossed_BX, self.deep(first_BX)], dim=1)).squeeze(-1)
        return logits
