"""xDeepFM: the Compressed Interaction Network, linear terms and a deep network.

Shapes: B rows, F fields, D embedding, H feature maps.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from recrun.architectures.prediction import Batch, Decays, LinearTerms, PredictingArch, perceptron
from recrun.data.fields import Tokenizer
from recrun.registry import MODELS
from recrun.types import Annotated, BatchNormalized, Fraction, MinLen, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.data.interactions import TrainingData


@MODELS.register("xdeepfm", loss="bce", gradients="mixed")
class XDeepFM(PredictingArch):
    """Predict a click by crosses of whole embeddings up to an order, linear terms and a deep network.

    The feature maps of layer k are X^k_h = Σ_ij W^k_hij (X^(k-1)_i ⊙ X^0_j) + b^k_h, summed over the D entries. The
    bias is of FuxiCTR. The paper finds no gain in an activation of the maps; its code passes on only half of them.

    *Source:* Lian, Zhou, Zhang, Chen, Xie, Sun, "xDeepFM: Combining Explicit and Implicit Feature Interactions for
    Recommender Systems", KDD 2018, eq. 6 and section 3.

    Args:
        embedding_dim: length of the embeddings, which all parts but the linear terms share.
        cross_dims: feature maps of each layer of crosses.
        hidden_dims: units of each hidden layer.
        dropout: dropout rate of the hidden layers.
        batch_norm: normalise each hidden layer over the batch, between its linear part and its activation.
        activation: activation of the hidden layers.
        init_std: standard deviation of the initial weights of categories and embeddings.
        **decays: weights of the L2 terms.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 16,
        cross_dims: Annotated[list[PositiveInt], MinLen(1)] = [16, 16],  # noqa: B006 - never changed
        hidden_dims: Annotated[list[PositiveInt], MinLen(1)] = [64, 64],  # noqa: B006 - never changed
        dropout: Fraction = 0.0,
        batch_norm: BatchNormalized = False,
        activation: Literal["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"] = "relu",
        init_std: PositiveFloat = 0.01,
        **decays: Unpack[Decays],
    ) -> None:
        super().__init__(data, **decays)
        n_fields = len(self.features)
        self.linear = LinearTerms(self.features, bias=False)
        self.tokenizer = Tokenizer(self.features).embed(embedding_dim)
        self.crosses = CompressedInteractions(n_fields, cross_dims)
        widths = [n_fields * embedding_dim, *hidden_dims, 1]
        self.deep = perceptron(widths, dropout, batch_norm=batch_norm, activation=activation)
        self.initialize(init_std)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits (B,)."""
        embedded_BFD = self.embed_fields(self.tokenizer, batch)
        deep: Tensor = self.deep(embedded_BFD.flatten(1)).squeeze(-1)
        crossed: Tensor = self.crosses(embedded_BFD)
        return self.linear(batch) + crossed + deep


class CompressedInteractions(nn.Module):
    """Cross embeddings with those of the layer before, and sum the results.

    Args:
        n_fields: F.
        dims: H of each layer.
    """

    def __init__(self, n_fields: int, dims: Sequence[int]) -> None:
        super().__init__()
        widths = itertools.pairwise([n_fields, *dims])
        self.layers = nn.ModuleList(nn.Linear(n_fields * before, after) for before, after in widths)
        self.output = nn.Linear(sum(dims), 1)

    def forward(self, embedded_BFD: Tensor) -> Tensor:
        """Return a logit (B,) of embeddings (B, F, D)."""
        first_BDF = embedded_BFD.transpose(1, 2)
        maps_BDH, sums = first_BDF, []
        for layer in self.layers:
            maps_BDH = layer((maps_BDH.unsqueeze(3) * first_BDF.unsqueeze(2)).flatten(2))
            sums.append(maps_BDH.sum(dim=1))
        logits: Tensor = self.output(torch.cat(sums, dim=1)).squeeze(-1)
        return logits
