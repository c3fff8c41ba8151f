"""CML: users and items as points, recommended by their distance.

Shapes: B users in a batch, K negatives, U users, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.base import Batch, RecSysArch
from recrun.architectures.fold_in import FoldIn
from recrun.architectures.item_products import BatchItems
from recrun.registry import MODELS
from recrun.types import NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import CSR, TrainingData


def as_vectors(users: Tensor) -> Tensor:
    """Return the vectors (B, D + 2) of users' points (B, D): (2u, -|u|², 1)."""
    squares_B1 = users.square().sum(dim=1, keepdim=True)
    return torch.cat([2 * users, -squares_B1, torch.ones_like(squares_B1)], dim=1)


@MODELS.register("cml", loss="warp", new_users=True, gradients="dense")
class CML(RecSysArch):
    """Place users near their items: the score is minus the squared Euclidean distance of two points within a ball.

    After each step, points outside the ball of radius `radius` are moved to its surface. The usual loss is `warp`
    with `rank_weight: log` and `violators: hardest`. The covariance term is `covariance_weight` times the sum of the
    squared covariances of different coordinates, over the points of all users and items. Item features are not built.

    Distances are computed by products: -|u - v|² = (2u, -|u|², 1)·(v, 1, -|v|²), which is what `vectors` returns.

    *Source:* Hsieh, Yang, Cui, Lin, Belongie, Estrin, "Collaborative Metric Learning", WWW 2017, sections 3.1, 3.2,
    3.4 and 3.5. The covariance term is that of Cogswell et al., ICLR 2016, without its factor 1/2; the paper's eq. 6
    has the first norm unsquared and divides by the batch size, and the authors' code adds the covariances themselves.

    Args:
        embedding_dim: D, coordinates of a point.
        init_std: standard deviation of the initial coordinates; 1 / √D in the authors' code.
        radius: radius of the ball.
        covariance_weight: weight of the covariance term.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 100,
        init_std: PositiveFloat = 0.1,
        radius: PositiveFloat = 1.0,
        covariance_weight: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__()
        self.users = nn.Embedding(data.n_users, embedding_dim)
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.batch_items = BatchItems(data.n_items)
        self.radius, self.covariance_weight = radius, covariance_weight
        self.fold_in = FoldIn(self)
        self.initialize(init_std)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch, after what the last step moved out of the ball is put back."""
        with torch.no_grad():
            for points in (self.users.weight, self.items.weight):
                points.copy_(self._within(points))
        return super().training_loss(batch, criterion)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores (B, 1 + K) of items (B, 1 + K) for users (B, 1)."""
        return self.batch_items.scores(as_vectors(self._points(self.users(users[:, 0]))), items, self._of_items)

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the covariance term."""
        if self.covariance_weight == 0:
            return 0.0
        points_ND = torch.cat([self.users.weight, self.items.weight])
        centred_ND = points_ND - points_ND.mean(dim=0)
        covariances_DD = centred_ND.T @ centred_ND / len(points_ND)
        squares: Tensor = covariances_DD.square().sum() - covariances_DD.diagonal().square().sum()
        return self.covariance_weight * squares

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return vectors (U, D + 2) and (I, D + 2) whose products are minus the squared distances."""
        return as_vectors(self._points(self.users.weight)), self._of_items()

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return the vectors (B, D + 2) of new users.

        Their points lie in the direction that `FoldIn` finds, as far from the centre as known users do on average.
        """
        directions_BD = F.normalize(self.fold_in.embed(histories)[:, : self.items.embedding_dim], dim=1)
        return as_vectors(directions_BD * self._points(self.users.weight).norm(dim=1).mean())

    def _of_items(self, items: Tensor | None = None) -> Tensor:
        """Return the vectors (..., D + 2) of items (...), or of all: (v, 1, -|v|²)."""
        points = self._points(self.items.weight if items is None else self.items(items))
        squares = points.square().sum(dim=-1, keepdim=True)
        return torch.cat([points, torch.ones_like(squares), -squares], dim=-1)

    def _points(self, points: Tensor) -> Tensor:
        """Return points within the ball; in training they are there already."""
        return points if self.training else self._within(points)

    def _within(self, points: Tensor) -> Tensor:
        """Return points (..., D), those outside the ball moved to its surface."""
        lengths = points.norm(dim=-1, keepdim=True)
        return torch.where(lengths > self.radius, points * (self.radius / lengths), points)
