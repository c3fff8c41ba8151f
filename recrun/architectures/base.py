"""Define the base class of all models, which also serves the family trained on sampled items.

Shapes: B users in a batch, K sampled negatives, U users, I items, D embedding.

A model is evaluated by `vectors()` if its scores are one matrix product (the fast path), else by `score(users)`. Users
that training never saw are scored from their items by `score_histories`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import torch
from torch import Tensor, nn

from recrun.architectures.networks import ScoringNetwork, UserNetwork
from recrun.config.family import without_new_users
from recrun.criterions.base import wrong_loss
from recrun.data.postprocessing.batch_negatives import CANDIDATES, LOG_Q, SEEN, SHARED
from recrun.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    from recrun.architectures.item_weights import ItemWeights
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import CSR

Batch = Mapping[str, Tensor]

_LOW: Final = -1e9
"""A score whose exponential is 0 beside any other; losses with the trait `masks` take it."""


class RecSysArch(nn.Module):
    """Base of all models; used directly by those trained on sampled items.

    A registered model is constructed as `Model(data, **settings)`: `data` is the train part of the data set, and the
    keyword-only parameters of the constructor are its settings.
    """

    user_column: ClassVar[str] = "user"
    item_column: ClassVar[str] = "item"
    rereads_scores: ClassVar[bool] = False
    """Whether scores are computed from earlier scores of all items, so that untrained items change those of others."""

    def initialize(self, std: float = 1e-2) -> None:
        """Draw embeddings from N(0, std²) and weights of linear layers by Xavier initialisation; set biases to zero.

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

    def initialize_alike(self, std: float) -> None:
        """Draw embeddings and weights of linear layers from N(0, std²); set biases to zero.

        Args:
            std: the standard deviation, > 0.
        """
        for module in self.modules():
            if isinstance(module, (nn.Embedding, nn.Linear)):
                nn.init.normal_(module.weight, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def vectors(self) -> tuple[Tensor, Tensor] | None:
        """Return ((U, D) users, (I, D) items) whose products are the scores, or None if there are none."""
        return None

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for some users (B,).

        Raises:
            ConfigError: the model defines neither `vectors` nor `score`.
        """
        vectors = self.vectors()
        if vectors is None:
            raise ConfigError(f"{type(self).__name__} cannot rank items: define vectors() or score()")
        return vectors[0][users] @ vectors[1].T

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return vectors (B, D) of new users, whose products with those of all items, `vectors()[1]`, are the scores.

        Like `score_histories`, it changes nothing in the model.

        Args:
            histories: the internal ids of the users' items in the order of time, B rows.

        Raises:
            ConfigError: the model cannot score new users, or has no vectors of them.
        """
        raise ConfigError(without_new_users(type(self).__name__))

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for new users, with the items that they have interacted with.

        Args:
            histories: the internal ids of the users' items in the order of time, B rows. Only models of sequences look
                at the order, and at items that occur several times.

        Raises:
            ConfigError: the model cannot score new users.
        """
        users_BD, vectors = self.embed_histories(histories), self.vectors()
        if vectors is None:
            raise ConfigError(f"{type(self).__name__} embeds new users, but defines no vectors()")
        return users_BD @ vectors[1].T

    def network(self) -> ScoringNetwork | None:
        """Return the model as a network that needs no data, to be exported, or None if it cannot be one.

        By default it is the product of the vectors of users and items.
        """
        vectors = self.vectors()
        return None if vectors is None else UserNetwork(*vectors)

    def item_weights(self) -> ItemWeights | None:
        """Return the weights between items that the model consists of, to be exported; None if there are none."""
        return None

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch, a scalar to call `backward()` on.

        Args:
            batch: users (B, 1) and items (B, 1 + K) with the positive first; or only the positive, with candidates
                (B, K, M) for the negatives: the highest scored of each M becomes a negative; or with negatives (K,)
                that the rows share, and which of them do not count.
            criterion: the chosen loss.
        """
        users, items = self.pairs(batch)
        if criterion.compares_vectors:
            loss = criterion(*self.embed(users[:, 0], items[:, 0]))
        elif criterion.ranks_all_items:
            loss = criterion.from_all(self.score(users[:, 0]), items[:, 0])
        else:
            scores = self.score_pairs(users, items)
            if SHARED in batch:
                scores = hide_uncounted(scores, items, batch[SEEN])
            if LOG_Q in batch:
                loss = criterion.from_corrected(scores, batch[LOG_Q].expand(len(scores), -1))
            else:
                loss = criterion.from_users(scores, users[:, 0])
        if not isinstance(loss, Tensor):
            raise wrong_loss(f"loss {type(criterion).__name__}", loss)
        total: Tensor = loss + self.penalty(users, items)
        return total

    def n_terms(self, batch: Batch) -> int:
        """Return of how many terms the loss of a batch is the mean, by which several processes weight their shares."""
        return len(next(iter(batch.values())))

    def score_pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Return what `forward` does: the scores (B, 1 + K) of items (B, 1 + K) for users (B, 1).

        Raises:
            TrainingError: it is no such tensor. One of another shape might be broadcast, to a loss of other pairs.
        """
        return expect_scores(self, self(users, items), items.shape)

    def pairs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return users (B, 1) and items (B, 1 + K), the positive first.

        Negatives are those of the batch, those that all rows share, or the highest scored candidates. A model that
        computes a loss of its own from shared ones hides those that do not count by `hide_uncounted`.
        """
        users, items = batch[self.user_column], batch[self.item_column]
        if CANDIDATES in batch:
            items = torch.cat([items, self.choose_hardest(users, batch[CANDIDATES])], dim=1)
        elif SHARED in batch:
            items = torch.cat([items, batch[SHARED].expand(len(items), -1)], dim=1)
        return users, items

    @torch.no_grad()
    def choose_hardest(self, users: Tensor, candidates: Tensor) -> Tensor:
        """Return the highest scored of each M candidates (B, K, M) for users (B, 1): items (B, K)."""
        scores = self.score_pairs(users, candidates.flatten(1)).view_as(candidates)
        hardest: Tensor = candidates.gather(2, scores.argmax(dim=2, keepdim=True))[..., 0]
        return hardest

    def embed(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors (B, D) of users (B,) and of items (B,), for a loss that compares them.

        Raises:
            ConfigError: the model has none.
        """
        vectors = self.vectors()
        if vectors is None:
            raise ConfigError(f"{type(self).__name__} has no vectors(), which this loss needs")
        return vectors[0][users], vectors[1][items]

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return what is added to the loss of a batch, such as an L2 term on its embeddings; 0 by default."""
        return 0.0


def hide_uncounted(scores: Tensor, items: Tensor, seen: Tensor) -> Tensor:
    """Return scores in which shared negatives that do not count for a row are so low that they add nothing to a loss.

    Args:
        scores: (B, 1 + K), the positive first.
        items: (B, 1 + K); a negative that is the positive of its row does not count.
        seen: bool (B, K), the others that do not.
    """
    is_hidden = seen | (items[:, 1:] == items[:, :1])
    return torch.cat([scores[:, :1], scores[:, 1:].masked_fill(is_hidden, _LOW)], dim=1)


def expect_scores(model: nn.Module, scores: Any, shape: Sequence[int]) -> Tensor:
    """Return what a model's `forward` did, if it is scores of a shape.

    Raises:
        TrainingError: it is something else.
    """
    if not isinstance(scores, Tensor) or scores.shape != shape:
        found = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
        raise TrainingError(
            f"forward() of {type(model).__name__} must return a score for each pair, of shape {tuple(shape)}; found "
            f"{found}"
        )
    return scores


@torch.no_grad()
def n_parameters(model: nn.Module) -> int:
    """Return how many numbers a model learns: those of its parameters, or of its buffers if it has no parameters.

    An embedding counts as a whole, though other processes may have a part of its rows.
    """
    wholes = {id(table.weight): _size(table) for table in _embeddings(model)}
    trained = sum(wholes.get(id(parameter), parameter.numel()) for parameter in model.parameters())
    return trained or sum(buffer.numel() for buffer in model.buffers())


def trains_only_embeddings(model: nn.Module) -> bool:
    """Return whether a model has no parameters besides embeddings."""
    return sum(map(_size, _embeddings(model))) == n_parameters(model)


def _embeddings(model: nn.Module) -> list[nn.Embedding]:
    return [module for module in model.modules() if isinstance(module, nn.Embedding)]


def _size(embedding: nn.Embedding) -> int:
    return embedding.num_embeddings * embedding.embedding_dim
