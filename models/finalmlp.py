"""FinalMLP: two perceptrons on differently gated fields, joined by a bilinear form.

Shapes: B rows, F fields, D embedding, X = F D, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from recrun.architectures.prediction import Batch, Decays, PredictingArch, hidden_layers, perceptron
from recrun.data.fields import FieldTuple, Tokenizer
from recrun.errors import ConfigError, Fault, unknown
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, BatchNormalized, Fraction, MinLen, PositiveFloat, PositiveInt, Where

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.data.interactions import TrainingData


@MODELS.register("finalmlp", loss="bce", gradients="mixed")
class FinalMLP(PredictingArch):
    """Predict a click by two perceptrons over the same embeddings, each of which sees them through a gate of its own.

    A gate is 2 σ(g(c)), where g is a perceptron and c are further embeddings of some fields, or a learned vector. The
    logit of the two results x and y is b + w · x + u · y + Σ_h x_h^T W_h y_h over the H parts of both.

    *Source:* Mao, Zhu, Su, Cai, Li, Dong, "FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction", AAAI 2023,
    the sections on feature selection of each stream and on the fusion of both.

    Args:
        embedding_dim: length of the embeddings.
        hidden_dims: units of each hidden layer of the first perceptron.
        second_hidden_dims: units of each hidden layer of the second perceptron.
        dropout: dropout rate of the hidden layers of the first perceptron.
        second_dropout: dropout rate of the hidden layers of the second perceptron.
        n_heads: number of parts of both results between which the bilinear form is; it divides the units of both last
            layers.
        gates: whether there are gates; if not, both perceptrons see the same.
        gate_dims: units of each hidden layer of the gates.
        gate_columns: names of the fields by which the first gate opens; none for one that is the same for all rows.
        second_gate_columns: names of the fields by which the second gate opens.
        batch_norm: normalise each hidden layer of both perceptrons over the batch, before its activation.
        activation: activation of the hidden layers; gates have ReLU.
        init_std: standard deviation of the initial embeddings.
        **decays: weights of the L2 terms.

    Raises:
        ConfigError: a gate's field is not there, or `n_heads` does not divide the units of the last layers.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 16,
        hidden_dims: Annotated[list[PositiveInt], MinLen(1)] = [64, 64],  # noqa: B006 - never changed
        second_hidden_dims: Annotated[list[PositiveInt], MinLen(1)] = [64, 64],  # noqa: B006 - never changed
        dropout: Fraction = 0.0,
        second_dropout: Fraction = 0.0,
        n_heads: Annotated[
            PositiveInt,
            Where(
                "last(hidden_dims) % n_heads == 0 and last(second_hidden_dims) % n_heads == 0",
                "expected a divisor of the last of {hidden_dims} and {second_hidden_dims}, found {n_heads}",
            ),
        ] = 1,
        gates: bool = True,
        gate_dims: Annotated[list[PositiveInt], MinLen(1), AppliesIf("gates", "there are no gates")] = [64],  # noqa: B006 - never changed
        gate_columns: Annotated[list[str], AppliesIf("gates", "there are no gates")] = [],  # noqa: B006 - never changed
        second_gate_columns: Annotated[list[str], AppliesIf("gates", "there are no gates")] = [],  # noqa: B006 - never changed
        batch_norm: BatchNormalized = False,
        activation: Literal["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"] = "relu",
        init_std: PositiveFloat = 0.01,
        **decays: Unpack[Decays],
    ) -> None:
        super().__init__(data, **decays)
        width = len(self.features) * embedding_dim
        self.tokenizer = Tokenizer(self.features).embed(embedding_dim)
        self.gates = nn.ModuleList()
        for key, names in (("gate_columns", gate_columns), ("second_gate_columns", second_gate_columns)):
            if gates:
                self.gates.append(Gate(self._fields_of(key, names), embedding_dim, [*gate_dims, width]))
        self.streams = nn.ModuleList(
            hidden_layers([width, *dims], [rate] * len(dims), batch_norm=batch_norm, activation=activation)
            for dims, rate in ((hidden_dims, dropout), (second_hidden_dims, second_dropout))
        )
        self.fusion = BilinearFusion(hidden_dims[-1], second_hidden_dims[-1], n_heads)
        self.initialize(init_std)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits (B,)."""
        embedded_BX = self.embed_fields(self.tokenizer, batch).flatten(1)
        seen = [embedded_BX * gate(batch) for gate in self.gates] or [embedded_BX] * 2
        logits: Tensor = self.fusion(*(stream(rows) for stream, rows in zip(self.streams, seen, strict=True)))
        return logits

    def _fields_of(self, key: str, names: Sequence[str]) -> FieldTuple:
        """Return the features of these names, in the order of the features."""
        known = [field.name for field in self.features]
        for name in names:
            if name not in known:
                raise ConfigError(Fault(unknown("field", name, known), key=key))
        return FieldTuple(field for field in self.features if field.name in names)


class Gate(nn.Module):
    """Weigh the entries of all embeddings of a row by some of its fields, each by between 0 and 2.

    Args:
        fields: those fields, which get embeddings of their own; without any, a learned vector takes their place.
        embedding_dim: D.
        dims: the widths of the hidden layers and of the result.
    """

    def __init__(self, fields: FieldTuple, embedding_dim: int, dims: Sequence[int]) -> None:
        super().__init__()
        self.fields = fields
        self.tokenizer = Tokenizer(fields).embed(embedding_dim) if len(fields) else None
        self.context = None if len(fields) else nn.Parameter(torch.zeros(1, embedding_dim))
        self.network = perceptron([max(1, len(fields)) * embedding_dim, *dims], 0.0)

    def forward(self, batch: Batch) -> Tensor:
        """Return the weights (B, X), or (1, X) where they are the same for all rows."""
        if self.tokenizer is None:
            return 2 * torch.sigmoid(self.network(self.context))
        return 2 * torch.sigmoid(self.network(self.tokenizer.look_up(batch).squeeze(1)))


class BilinearFusion(nn.Module):
    """Join two results by a linear form of each and a bilinear form of both, part by part.

    The matrices are drawn from N(0, 2 / (n + 1)), where n is how many entries they have together.

    Args:
        first: the length of the first result.
        second: the length of the second.
        n_heads: H.

    Raises:
        ConfigError: `n_heads` does not divide both.
    """

    def __init__(self, first: int, second: int, n_heads: int) -> None:
        super().__init__()
        if first % n_heads or second % n_heads:
            message = f"expected a divisor of the units of both last layers, {first} and {second}, found {n_heads}"
            raise ConfigError(Fault(message, key="n_heads"))
        self.n_heads = n_heads
        self.of_first, self.of_second = nn.Linear(first, 1), nn.Linear(second, 1)
        n_weights = first * second // n_heads
        weights = torch.randn(n_heads, first // n_heads, second // n_heads)
        self.weights = nn.Parameter(weights * (2 / (n_weights + 1)) ** 0.5)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the logits (B,) of results (B, first) and (B, second)."""
        parts, others = (result.unflatten(1, (self.n_heads, -1)) for result in (first, second))
        products = torch.einsum("bhm,hmn->bhn", parts, self.weights) * others
        logits: Tensor = (self.of_first(first) + self.of_second(second)).squeeze(-1) + products.sum(dim=(1, 2))
        return logits
