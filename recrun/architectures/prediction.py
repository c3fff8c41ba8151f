"""Define the base class of models that predict a row's label (such as a click) from its fields, and shared parts.

Shapes: B rows in a batch, F fields, D embedding.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor, nn

from recrun.architectures.activations import BatchNorm, activation_of
from recrun.architectures.base import Batch, RecSysArch, expect_scores
from recrun.data.fields import FieldTuple
from recrun.data.tags import DENSE, TARGET
from recrun.data.tokenizer import Tokenizer
from recrun.errors import ConfigError, Fault
from recrun.types import Annotated, Default, NonNegativeFloat

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData


class Decays(TypedDict, total=False):
    """Settings of the L2 terms of models that predict labels.

    Args:
        embedding_decay: weight of the L2 term on all embeddings, and on the linear weights of categories and numbers:
            half their squared norms, in each step of the whole tables and not only of a batch's rows.
        net_decay: weight of the L2 term on all other parameters, biases included: half their squared norms.
    """

    embedding_decay: Annotated[NonNegativeFloat, Default(0.0)]
    net_decay: Annotated[NonNegativeFloat, Default(0.0)]


class PredictingArch(RecSysArch):
    """Base of models that predict the label of a row, such as a click, from its fields. They do not rank items.

    `forward(batch)` returns the logits (B,) of the label being 1.

    Args:
        data: the train part; its fields are sparse and dense, and one is the target.
        **decays: weights of the L2 terms.

    Attributes:
        features: the input fields; a field with a single category carries no information and is left out.
        label: the name of the target's column.
    """

    def __init__(self, data: TrainingData, **decays: Unpack[Decays]) -> None:
        super().__init__()
        self.embedding_decay, self.net_decay = decays.get("embedding_decay", 0.0), decays.get("net_decay", 0.0)
        fields = data.fields.groupbynot(TARGET)
        self.features = FieldTuple(field for field in fields if field.match(DENSE) or field.count > 1)
        self.label = data.fields[TARGET].name

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch: columns (B, 1) by field name."""
        labels = batch[self.label][:, 0]
        loss: Tensor = criterion(expect_scores(self, self(batch), labels.shape), labels)
        return loss + self.decay() if self.embedding_decay or self.net_decay else loss

    def decay(self) -> Tensor | float:
        """Return the L2 terms of a step: half the squared norms of embeddings and of other parameters, weighted.

        They are not divided by B, nor restricted to the rows of a batch: a category that a batch lacks decays as well.
        With plain gradients that is the same as `weight_decay` of Adam or SGD for each of the two groups.

        *Source:* FuxiCTR 1.1 (`base_model.py`, `embedding_regularizer` and `net_regularizer`).
        """
        tokenizers = (module for module in self.modules() if isinstance(module, Tokenizer))
        embedded = {id(parameter) for tokenizer in tokenizers for parameter in tokenizer.parameters()}
        total: Tensor | float = 0.0
        for parameter in self.parameters():
            weight = self.embedding_decay if id(parameter) in embedded else self.net_decay
            if weight:
                total = total + 0.5 * weight * parameter.square().sum()
        return total

    def score(self, users: Tensor) -> Tensor:
        """Raise ConfigError: the model predicts labels and does not rank items."""
        raise ConfigError(f"{type(self).__name__} predicts labels and does not rank items")

    def embed_fields(self, tokenizer: Tokenizer, batch: Batch) -> Tensor:
        """Return the embeddings (B, F, D) of a batch's fields."""
        return torch.cat([tokenizer[field.name].look_up(batch[field.name]) for field in self.features], dim=1)


class LinearTerms(nn.Module):
    """Sum a weight for each category, a slope times each number, and a bias.

    Args:
        features: the fields.
        bias: whether there is one.
    """

    def __init__(self, features: FieldTuple, *, bias: bool = True) -> None:
        super().__init__()
        self.tokenizer = Tokenizer(features).embed(1)
        self.bias = nn.Parameter(torch.zeros(())) if bias else None

    def forward(self, batch: Batch) -> Tensor:
        """Return the sums (B,)."""
        sums: Tensor = self.tokenizer.look_up(batch).sum(dim=(1, 2))
        return sums if self.bias is None else sums + self.bias


def pairwise_products(embedded_BFD: Tensor) -> Tensor:
    """Return the sum over all pairs of fields of the products of their embeddings (B,), in time linear in F.

    *Source:* Rendle, "Factorization Machines", ICDM 2010, lemma 3.1.
    """
    squares: Tensor = embedded_BFD.sum(dim=1).square() - embedded_BFD.square().sum(dim=1)
    return 0.5 * squares.sum(dim=1)


def rates_of_layers(dropout: float, dropouts: Sequence[float] | None, n_layers: int) -> Sequence[float]:
    """Return the dropout rate of each hidden layer: those given, or one for all.

    Raises:
        ConfigError: there are more or fewer rates than layers.
    """
    if dropouts is not None and len(dropouts) != n_layers:
        message = f"expected a rate for each of the {n_layers} hidden layers, found {len(dropouts)}"
        raise ConfigError(Fault(message, key="dropouts"))
    return [dropout] * n_layers if dropouts is None else dropouts


def hidden_layers(
    dims: Sequence[int], dropouts: Sequence[float], *, batch_norm: bool = False, activation: str = "relu"
) -> nn.Sequential:
    """Return linear layers of these widths, each with batch normalisation if wanted, an activation and dropout.

    Args:
        dims: the width of the input and of each layer.
        dropouts: the dropout rate of each layer.
        batch_norm: whether to normalise between a linear layer and its activation.
        activation: a name that `activation_of` knows.
    """
    layers: list[nn.Module] = []
    for (before, after), rate in zip(itertools.pairwise(dims), dropouts, strict=True):
        normalization = [BatchNorm(after)] if batch_norm else []
        layers += [nn.Linear(before, after), *normalization, activation_of(activation, after), nn.Dropout(rate)]
    return nn.Sequential(*layers)


def perceptron(
    dims: Sequence[int],
    dropout: float | Sequence[float],
    *,
    batch_norm: bool = False,
    activation: str = "relu",
) -> nn.Sequential:
    """Return a multilayer perceptron: hidden layers as of `hidden_layers`, and a linear layer of the last width.

    Args:
        dims: the width of the input, of each hidden layer, and of the output.
        dropout: the dropout rate of all hidden layers, or one for each.
        batch_norm: whether to normalise between a linear layer and its activation.
        activation: a name that `activation_of` knows.
    """
    rates = [dropout] * (len(dims) - 2) if isinstance(dropout, float | int) else dropout
    hidden = hidden_layers(dims[:-1], rates, batch_norm=batch_norm, activation=activation)
    return hidden.append(nn.Linear(dims[-2], dims[-1]))
