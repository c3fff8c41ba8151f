"""DCN-V2: cross layers with a matrix, or a mixture of low-rank matrices.

Shapes: B rows, F fields, D embedding, X = F D, E experts, R rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from recrun.architectures.prediction import Batch, Decays, PredictingArch, hidden_layers
from recrun.data.fields import Tokenizer
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, BatchNormalized, Fraction, MinLen, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.data.interactions import TrainingData


@MODELS.register("dcnv2", loss="bce", gradients="mixed")
class DCNv2(PredictingArch):
    """Predict a click by feature crosses whose weights are matrices, and a deep network beside or above them.

    A cross layer is x' = x_0 ⊙ (W x + b) + x. With `low_rank` it is a mixture of E experts
    x' = x_0 ⊙ (Σ_e g_e(x) U_e tanh(C_e tanh(V_e^T x)) + b) + x, where g is the softmax of a linear layer. Each layer
    has gates of its own; FuxiCTR's layers share theirs.

    *Source:* Wang, Shivanna, Cheng, Jain, Lin, Hong, Chi, "DCN V2", WWW 2021, eq. 1 and sections 3.2 to 3.5.

    Args:
        embedding_dim: length of the embeddings.
        structure: the deep network takes the embeddings, and the output both results (parallel), or it takes the result
            of the crosses (stacked).
        n_cross_layers: number of cross layers.
        low_rank: rank of the matrices of each expert; null for one matrix of full rank.
        n_experts: number of experts of a cross layer.
        hidden_dims: units of each hidden layer.
        dropout: dropout rate of the hidden layers.
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
        structure: Literal["parallel", "stacked"] = "parallel",
        n_cross_layers: PositiveInt = 2,
        low_rank: PositiveInt | None = None,
        n_experts: Annotated[PositiveInt, AppliesIf("low_rank is not None", "experts have a low_rank")] = 4,
        hidden_dims: Annotated[list[PositiveInt], MinLen(1)] = [64, 64],  # noqa: B006 - never changed
        dropout: Fraction = 0.0,
        batch_norm: BatchNormalized = False,
        activation: Literal["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"] = "relu",
        init_std: PositiveFloat = 0.01,
        **decays: Unpack[Decays],
    ) -> None:
        super().__init__(data, **decays)
        width = len(self.features) * embedding_dim
        self.tokenizer = Tokenizer(self.features).embed(embedding_dim)
        self.crosses = nn.ModuleList(
            nn.Linear(width, width) if low_rank is None else LowRankMixture(width, low_rank, n_experts)
            for _ in range(n_cross_layers)
        )
        rates = [dropout] * len(hidden_dims)
        self.deep = hidden_layers([width, *hidden_dims], rates, batch_norm=batch_norm, activation=activation)
        self.is_parallel = structure == "parallel"
        self.output = nn.Linear(hidden_dims[-1] + self.is_parallel * width, 1)
        self.initialize(init_std)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits (B,)."""
        first_BX = self.embed_fields(self.tokenizer, batch).flatten(1)
        crossed_BX = first_BX
        for cross in self.crosses:
            crossed_BX = first_BX * cross(crossed_BX) + crossed_BX
        last = torch.cat([crossed_BX, self.deep(first_BX)], dim=1) if self.is_parallel else self.deep(crossed_BX)
        logits: Tensor = self.output(last).squeeze(-1)
        return logits


class LowRankMixture(nn.Module):
    """Map rows (B, X) to rows (B, X) by experts of low rank, weighted by gates.

    Args:
        width: X.
        rank: R.
        n_experts: E.
    """

    def __init__(self, width: int, rank: int, n_experts: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, n_experts, bias=False)
        self.down = nn.Parameter(_xavier(n_experts, width, rank))
        self.inner = nn.Parameter(_xavier(n_experts, rank, rank))
        self.up = nn.Parameter(_xavier(n_experts, width, rank))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, rows_BX: Tensor) -> Tensor:
        """Return the weighted sums of the experts' results (B, X)."""
        hidden_BER = torch.tanh(torch.einsum("bx,exr->ber", rows_BX, self.down))
        hidden_BER = torch.tanh(torch.einsum("ber,eqr->beq", hidden_BER, self.inner))
        # The gates of a row sum to 1. So they may be applied before the last matrix, and the bias is added once.
        weighted_BER = self.gate(rows_BX).softmax(dim=1).unsqueeze(-1) * hidden_BER
        return torch.einsum("ber,exr->bx", weighted_BER, self.up) + self.bias


def _xavier(n_experts: int, n_rows: int, n_columns: int) -> Tensor:
    """Return a matrix for each expert, drawn by Xavier initialisation (E, n_rows, n_columns)."""
    return torch.stack([nn.init.xavier_normal_(torch.empty(n_rows, n_columns)) for _ in range(n_experts)])
