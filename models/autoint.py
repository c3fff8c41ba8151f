"""AutoInt: self-attention between fields, with or without a deep network (AutoInt+).

Shapes: B rows, F fields, D embedding or layer, H heads, A entries of a head.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from recrun.architectures.prediction import Batch, Decays, LinearTerms, PredictingArch, perceptron
from recrun.data.fields import Tokenizer
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, BatchNormalized, Fraction, PositiveFloat, PositiveInt, Where

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.data.interactions import TrainingData


@MODELS.register("autoint", loss="bce", gradients="mixed")
class AutoInt(PredictingArch):
    """Predict a click from fields that attend to each other; with hidden layers (AutoInt+) a deep network adds to it.

    A layer is x'_f = relu(concat_h Σ_g softmax_g(q_fh · k_gh) v_gh + W x_f). The paper scales no products and always
    has the matrix W; as in FuxiCTR, there is none where x and x' have the same length, and the residual x_f itself is
    added. Layer normalisation and the division of products by √A are of FuxiCTR.

    *Source:* Song, Shi, Xiao, Duan, Xu, Zhang, Tang, "AutoInt: Automatic Feature Interaction Learning via
    Self-Attentive Neural Networks", CIKM 2019, eq. 5 to 9.

    Args:
        embedding_dim: length of the embeddings.
        n_layers: number of layers of attention.
        attention_dim: length of a field in each layer, of all heads together.
        n_heads: number of heads.
        residual: add what a layer takes to its result.
        layer_norm: normalise each field of a layer, before the ReLU.
        scale_products: divide the products of queries and keys by the root of the length of a head.
        linear_terms: add a weight of each category, and a slope times each number.
        deep_dims: units of each hidden layer of the deep network; none leaves it out.
        dropout: dropout rate of attention and of the hidden layers.
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
        n_layers: PositiveInt = 2,
        attention_dim: PositiveInt = 32,
        n_heads: Annotated[
            PositiveInt,
            Where(
                "attention_dim % n_heads == 0", "expected a divisor of attention_dim {attention_dim}, found {n_heads}"
            ),
        ] = 2,
        residual: bool = True,
        layer_norm: bool = False,
        scale_products: bool = False,
        linear_terms: bool = False,
        deep_dims: list[PositiveInt] = [],  # noqa: B006 - never changed
        dropout: Fraction = 0.0,
        batch_norm: Annotated[BatchNormalized, AppliesIf("len(deep_dims) > 0", "there are no hidden layers")] = False,
        activation: Annotated[
            Literal["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"],
            AppliesIf("len(deep_dims) > 0", "there are no hidden layers"),
        ] = "relu",
        init_std: PositiveFloat = 0.01,
        **decays: Unpack[Decays],
    ) -> None:
        super().__init__(data, **decays)
        self.tokenizer = Tokenizer(self.features).embed(embedding_dim)
        widths = itertools.pairwise([embedding_dim, *[attention_dim] * n_layers])
        self.attention = nn.Sequential(
            *(
                FieldAttention(
                    before, after, n_heads, dropout, residual=residual, layer_norm=layer_norm, scale=scale_products
                )
                for before, after in widths
            )
        )
        self.output = nn.Linear(len(self.features) * attention_dim, 1)
        self.linear = LinearTerms(self.features, bias=False) if linear_terms else None
        deep_widths = [len(self.features) * embedding_dim, *deep_dims, 1]
        self.deep = (
            perceptron(deep_widths, dropout, batch_norm=batch_norm, activation=activation) if deep_dims else None
        )
        self.initialize(init_std)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits (B,)."""
        embedded_BFD = self.embed_fields(self.tokenizer, batch)
        logits: Tensor = self.output(self.attention(embedded_BFD).flatten(1)).squeeze(-1)
        if self.deep is not None:
            logits = logits + self.deep(embedded_BFD.flatten(1)).squeeze(-1)
        return logits if self.linear is None else logits + self.linear(batch)


class FieldAttention(nn.Module):
    """Let the fields of a row attend to each other.

    Args:
        before: length of a field.
        after: length of a field in the result, of all heads together.
        n_heads: H.
        dropout: dropout rate of the attention.
        residual: add the fields themselves, mapped to the new length if it is another.
        layer_norm: normalise each field before the ReLU.
        scale: divide products by √A.
    """

    def __init__(
        self, before: int, after: int, n_heads: int, dropout: float, *, residual: bool, layer_norm: bool, scale: bool
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.factor = (after // n_heads) ** -0.5 if scale else 1.0
        self.queries, self.keys, self.values = (nn.Linear(before, after, bias=False) for _ in range(3))
        self.dropout = nn.Dropout(dropout)
        self.residual = None
        if residual:
            self.residual = nn.Identity() if before == after else nn.Linear(before, after, bias=False)
        self.norm = nn.LayerNorm(after) if layer_norm else nn.Identity()

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """Return the fields (B, F, H A) of fields (B, F, D)."""
        queries_BFHA, keys_BFHA, values_BFHA = (
            layer(fields_BFD).unflatten(2, (self.n_heads, -1)) for layer in (self.queries, self.keys, self.values)
        )
        products_BHFG = torch.einsum("bfha,bgha->bhfg", queries_BFHA, keys_BFHA) * self.factor
        weights_BHFG = self.dropout(products_BHFG.softmax(dim=-1))
        mixed: Tensor = torch.einsum("bhfg,bgha->bfha", weights_BHFG, values_BFHA).flatten(2)
        if self.residual is not None:
            mixed = mixed + self.residual(fields_BFD)
        return torch.relu(self.norm(mixed))
