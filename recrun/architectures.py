"""What a model is to recrun: the bases that model files derive from.

Shapes: B users in a batch, K sampled negatives, U users, I items, D embedding.

`RecSysArch` carries models that are trained by gradient descent, `RowsArch` those of them that are trained on users'
whole rows, `ClosedFormArch` models that are fitted once. All are ranked the same way: `vectors()` where the scores are
one matrix product (the fast path), else `score(users)`.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from recrun.data.fields import FieldTuple
from recrun.data.postprocessing.sampled import CANDIDATES, LOG_Q
from recrun.data.rows import UserRows
from recrun.data.tags import DENSE, TARGET
from recrun.data.tokenizer import Tokenizer
from recrun.errors import ConfigError

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData

Batch = Mapping[str, Tensor]


class RecSysArch(nn.Module):
    """Base of every model; as it stands, of those that score sampled items.

    A registered model is constructed as `Model(data, **settings)`: `data` is the training part of the data set, and the
    keyword-only parameters of the constructor are its settings.
    """

    user_column: ClassVar[str] = "user"
    item_column: ClassVar[str] = "item"

    def initialize(self, std: float = 1e-2) -> None:
        """Draw embeddings from N(0, std²) and weights of linear layers by Xavier's rule; biases become zero.

        Args:
            std: standard deviation of the embeddings, > 0.
        """
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=std)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def vectors(self) -> tuple[Tensor, Tensor] | None:
        """Return ((U, D) users, (I, D) items) whose products are the scores, or None if there are no such vectors."""
        return None

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for some users (B,).

        Raises:
            ConfigError: the model defines neither `vectors` nor `score`.
        """
        vectors = self.vectors()
        if vectors is None:
            raise ConfigError(f"{type(self).__name__} can rank nothing: it defines neither vectors() nor score()")
        return vectors[0][users] @ vectors[1].T

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch, a scalar to call `backward()` on.

        Args:
            batch: users (B, 1) and items (B, 1 + K) with the positive first; or the positive alone, with candidates
                for negatives (B, K, M) of which the highest scored are taken.
            criterion: the chosen loss.
        """
        users, items = self.pairs(batch)
        if criterion.compares_vectors:
            loss = criterion(*self.embed(users[:, 0], items[:, 0]))
        elif criterion.ranks_all_items:
            loss = criterion.from_all(self.score(users[:, 0]), items[:, 0])
        elif LOG_Q in batch:
            loss = criterion.from_corrected(self(users, items), batch[LOG_Q])
        else:
            loss = criterion.from_scores(self(users, items))
        total: Tensor = loss + self.penalty(users, items)
        return total

    def pairs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return users (B, 1) and items (B, 1 + K), the positive first; of candidates the highest scored are taken."""
        users, items = batch[self.user_column], batch[self.item_column]
        if CANDIDATES in batch:
            items = torch.cat([items, self.choose_hardest(users, batch[CANDIDATES])], dim=1)
        return users, items

    @torch.no_grad()
    def choose_hardest(self, users: Tensor, candidates: Tensor) -> Tensor:
        """Return of candidates (B, K, M) for users (B, 1) the highest scored of each M, (B, K)."""
        scores: Tensor = self(users, candidates.flatten(1)).view_as(candidates)
        hardest: Tensor = candidates.gather(2, scores.argmax(dim=2, keepdim=True))[..., 0]
        return hardest

    def embed(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors (B, D) of users (B,) and of items (B,), for a loss that compares them.

        Raises:
            ConfigError: the model has none.
        """
        vectors = self.vectors()
        if vectors is None:
            raise ConfigError(f"{type(self).__name__} has no vectors() for the loss to compare")
        return vectors[0][users], vectors[1][items]

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return what is added to the loss of a batch, such as an L2 term on its rows; nothing by default."""
        return 0.0


class RowsArch(RecSysArch):
    """Base of models that are trained on users' whole rows: a batch holds users (B, 1), and an epoch every user once.

    In training, `forward(users)` returns the scores (B, I) of all items for users (B,).

    Args:
        data: the train part.
    """

    def __init__(self, data: TrainingData) -> None:
        super().__init__()
        self.rows = UserRows(data)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of the rows of a batch's users.

        Args:
            batch: users (B, 1).
            criterion: the chosen loss.
        """
        users = batch[self.user_column][:, 0]
        if not criterion.compares_vectors:
            loss = criterion.from_rows(self(users), self.rows.dense(users))
        else:
            vectors = self.vectors()
            if vectors is None:
                raise ConfigError(f"{type(self).__name__} has no vectors() for {type(criterion).__name__} to compare")
            loss = criterion(vectors[0][users], vectors[1], *self.rows.pairs(users))
        return loss


class ClosedFormArch(RecSysArch):
    """Base of models that are computed from the training data at once, without gradients.

    What `fit` computes must be kept in buffers (`recrun.sparse.SparseMatrix` where it is sparse), so that checkpoints
    hold it.

    Attributes:
        progress: is told (done, total) while a long `fit` works; None when nobody listens.
    """

    progress: Callable[[int, int], None] | None = None

    @abstractmethod
    def fit(self, data: TrainingData) -> None:
        """Compute the model from the training interactions."""

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Refuse: there is nothing to descend."""
        raise ConfigError(f"{type(self).__name__} is fitted in closed form and has no training loss")


class PredictingArch(RecSysArch):
    """Base of models that predict the label of a row from its fields: a click, say. They rank nothing.

    `forward(batch)` returns the logits (B,) of the label being 1.

    Args:
        data: the train part; its fields are sparse and dense, and one is the target.

    Attributes:
        features: the fields that are predicted from; one with a single category tells nothing and is left out.
        label: the name of the target's column.
    """

    def __init__(self, data: TrainingData) -> None:
        super().__init__()
        fields = data.fields.groupbynot(TARGET)
        self.features = FieldTuple(field for field in fields if field.match(DENSE) or field.count > 1)
        self.label = data.fields[TARGET].name

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch: columns (B, 1) by field name."""
        loss: Tensor = criterion(self(batch), batch[self.label][:, 0])
        return loss

    def score(self, users: Tensor) -> Tensor:
        """Refuse: rows are predicted, items are not ranked."""
        raise ConfigError(f"{type(self).__name__} predicts labels and ranks nothing")

    def embed_fields(self, tokenizer: Tokenizer, batch: Batch) -> Tensor:
        """Return the embeddings (B, F, D) of a batch's fields."""
        return torch.cat([tokenizer[field.name].look_up(batch[field.name]) for field in self.features], dim=1)


class LinearTerms(nn.Module):
    """A weight for each category, a slope for each number, and a constant.

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
    """Return linear layers of these widths, with ReLU and dropout between them."""
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(itertools.pairwise(dims)):
        layers += [nn.ReLU(), nn.Dropout(dropout)] if place else []
        layers.append(nn.Linear(before, after))
    return nn.Sequential(*layers)


@torch.no_grad()
def n_parameters(model: nn.Module) -> int:
    """Return how many numbers a model learns: its parameters, or its buffers when it has none."""
    trained = sum(parameter.numel() for parameter in model.parameters())
    return trained or sum(buffer.numel() for buffer in model.buffers())
