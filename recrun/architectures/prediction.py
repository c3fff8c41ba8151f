"""Define the base class of models that predict a row's label (such as a click) from its fields, and shared parts.

Shapes: B rows in a batch, F fields, D embedding.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recrun.architectures.base import Batch, RecSysArch, expect_scores
from recrun.data.fields import FieldTuple
from recrun.data.tags import DENSE, TARGET
from recrun.data.tokenizer import Tokenizer
from recrun.errors import ConfigError

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData


class PredictingArch(RecSysArch):
    """Base of models that predict the label of a row, such as a click, from its fields. They do not rank items.

    `forward(batch)` returns the logits (B,) of the label being 1.

    Args:
        data: the train part; its fields are sparse and dense, and one is the target.

    Attributes:
        features: the input fields; a field with a single category carries no information and is left out.
        label: the name of the target's column.
    """

    def __init__(self, data: TrainingData) -> None:
        super().__init__()
        fields = data.fields.groupbynot(TARGET)
        self.features = FieldTuple(field for field in fields if field.match(DENSE) or field.count > 1)
        self.label = data.fields[TARGET].name

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch: columns (B, 1) by field name."""
        labels = batch[self.label][:, 0]
        loss: Tensor = criterion(expect_scores(self, self(batch), labels.shape), labels)
        return loss

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
    """

    def __init__(self, features: FieldTuple) -> None:
        super().__init__()
        self.tokenizer = Tokenizer(features).embed(1)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, batch: Batch) -> Tensor:
        """Return the sums (B,)."""
        sums: Tensor = self.tokenizer.look_up(batch).sum(dim=(1, 2)) + self.bias
        return sums


def pairwise_products(embedded_BFD: Tensor) -> Tensor:
    """Return the sum over all pairs of fields of the products of their embeddings (B,), in time linear in F.

    *Source:* Rendle, "Factorization Machines", ICDM 2010, lemma 3.1.
    """
    squares: Tensor = embedded_BFD.sum(dim=1).square() - embedded_BFD.square().sum(dim=1)
    return 0.5 * squares.sum(dim=1)


def perceptron(dims: Sequence[int], dropout: float) -> nn.Sequential:
    """Return a multilayer perceptron: linear layers of these widths, with ReLU and dropout between them."""
    layers: list[nn.Module] = []
    for position, (before, after) in enumerate(itertools.pairwise(dims)):
        layers += [nn.ReLU(), nn.Dropout(dropout)] if position else []
        layers.append(nn.Linear(before, after))
    return nn.Sequential(*layers)
