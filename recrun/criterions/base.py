"""Define the base class of losses: the reduction and the methods that the training loop calls.

Letters in shapes: B rows of the batch (users, or positions of sequences), K sampled negatives, I items.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from recrun.errors import ConfigError, Fault, TrainingError, nearest
from recrun.registry.user_files import is_foreign

Reduction = Literal["mean", "sum", "none"]
_REDUCTIONS = ("mean", "sum", "none")


class BaseCriterion(nn.Module):
    """Base of all losses: the reduction, the methods that the training loop calls, and L1/L2 regularisation.

    A loss is a registered subclass whose `forward` returns `self.reduce(terms)`. With `forward(pos, neg)` that is all
    it needs; with `forward(preds, targets)` it sets `pointwise = True`. A loss that compares the
    rows of one user overrides `from_users`. A loss over all items sets `ranks_all_items = True` and overrides
    `from_all`; a loss over users' whole rows overrides `from_rows`. A loss that takes vectors instead of scores sets
    `compares_vectors = True`.

    Args:
        reduction: "mean" or "sum" of the loss's terms, or "none" to return the terms themselves.

    Raises:
        ConfigError: the reduction is none of the three.
    """

    pointwise = False
    ranks_all_items = False
    compares_vectors = False

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        if reduction not in _REDUCTIONS:
            guess = nearest(str(reduction), _REDUCTIONS)
            message = f"expected one of {', '.join(_REDUCTIONS)}, found {reduction!r}"
            raise ConfigError(Fault(message, key="reduction", suggestion=guess))
        self.reduction = reduction
        self.n_items: int | None = None

    def bind(self, n_items: int) -> None:
        """Set the number of items, which some losses need; called once before training."""
        self.n_items = n_items

    def from_scores(self, scores: Tensor) -> Tensor:
        """Return the loss of rows of a positive and its sampled negatives.

        Args:
            scores: (B, 1+K) floating; column 0 is the positive. For pointwise losses its target is 1, the others' 0.

        Raises:
            TrainingError: the loss does not take sampled negatives, or there are none.
        """
        if self.pointwise:
            targets = torch.zeros_like(scores)
            targets[:, 0] = 1
            loss: Tensor = self(scores, targets)
        else:
            loss = self(scores[:, :1], scores[:, 1:])
        return loss

    def from_users(self, scores: Tensor, users: Tensor) -> Tensor:
        """Return the loss as `from_scores` does, for losses that compare the rows of one user; others ignore `users`.

        Args:
            scores: (B, 1+K) floating; column 0 is the positive.
            users: (B,) int64, the user of each row.
        """
        return self.from_scores(scores)

    def from_corrected(self, scores: Tensor, log_q: Tensor) -> Tensor:
        """Return the loss as `from_scores` does, corrected for the sampling probabilities of the negatives.

        Args:
            scores: (B, 1+K) floating; column 0 is the positive.
            log_q: (B, K) floating, the logarithm of the probability with which each negative was drawn.

        Raises:
            TrainingError: the loss has no such correction.
        """
        raise TrainingError(f"{type(self).__name__} has no correction for the sampling probabilities of negatives")

    def from_all(self, scores: Tensor, positives: Tensor) -> Tensor:
        """Return the loss of rows of scores for all items, with one positive each.

        Args:
            scores: (B, I) floating.
            positives: (B,) int64, the positive item of each row.

        Raises:
            TrainingError: the loss is not over all items.
        """
        raise TrainingError(f"{type(self).__name__} compares positives with sampled negatives, not with all items")

    def from_products(self, states: Tensor, items: Tensor, positives: Tensor) -> Tensor:
        """Return what `from_all` does for scores that are products, which a loss may compute without holding them.

        Args:
            states: (B, D) floating.
            items: (I, D) floating, the vectors of all items.
            positives: (B,) int64, the positive item of each row.

        Raises:
            TrainingError: the loss is not over all items.
        """
        return self.from_all(states @ items.T, positives)

    def from_rows(self, scores: Tensor, rows: Tensor) -> Tensor:
        """Return the loss of users' whole rows.

        Args:
            scores: (B, I) floating.
            rows: (B, I), 1 where the user has interacted with the item, else 0.

        Raises:
            TrainingError: the loss is not over users' whole rows.
        """
        raise TrainingError(f"{type(self).__name__} is not a loss over users' whole rows; choose loss: multinomial")

    def reduce(self, terms: Tensor) -> Tensor:
        """Return the mean of `terms`, their sum, or `terms` itself, depending on `reduction`."""
        if self.reduction == "mean":
            return terms.mean()
        return terms.sum() if self.reduction == "sum" else terms

    @staticmethod
    def regularize(params: Tensor | Iterable[Tensor], rtype: Literal["l1", "l2"] = "l2") -> Tensor:
        """Return the penalty on parameters: the sum of |x| ("l1"), or half the sum of x² ("l2").

        It is not divided by the batch size. Without parameters the penalty is 0.

        Raises:
            ConfigError: `rtype` is neither.

        >>> BaseCriterion.regularize(torch.tensor([3.0, -4.0])).item()
        12.5
        """
        if rtype not in ("l1", "l2"):
            raise ConfigError(f"rtype must be 'l1' or 'l2', found {rtype!r}")
        tensors = [params] if isinstance(params, Tensor) else list(params)
        parts = [tensor.abs().sum() if rtype == "l1" else tensor.square().sum() / 2 for tensor in tensors]
        return torch.stack(parts).sum() if parts else torch.zeros(())


def as_rows(pos: Tensor, neg: Tensor) -> tuple[Tensor, Tensor]:
    """Return positives as (B, 1) and negatives as (B, K): two vectors must never broadcast to B x B pairs."""
    pos_B1, neg_BK = pos.reshape(-1, 1), neg.unsqueeze(1) if neg.dim() == 1 else neg
    if neg_BK.dim() != 2 or neg_BK.size(1) < 1 or pos_B1.size(0) != neg_BK.size(0):
        found = f"{tuple(pos.shape)} and {tuple(neg.shape)}"
        raise TrainingError(f"expected positives (B,) or (B, 1) and negatives (B,) or (B, K), K >= 1, found {found}")
    return pos_B1, neg_BK


def require_one_shape(preds: Tensor, targets: Tensor) -> None:
    if preds.shape != targets.shape:
        raise TrainingError(f"predictions {tuple(preds.shape)} and targets {tuple(targets.shape)} differ in shape")


def checked_loss(loss: Any, model: nn.Module, criterion: BaseCriterion) -> Tensor:
    """Return the loss of a batch if it can be trained on.

    Raises:
        TrainingError: it is not a tensor with one number that depends on the model.
    """
    by_model = is_foreign(getattr(type(model), "training_loss", None))
    who = f"training_loss() of {type(model).__name__}" if by_model else f"loss {type(criterion).__name__}"
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise wrong_loss(who, loss)
    if not loss.requires_grad:
        raise TrainingError(
            f"the loss has no gradient, so nothing would be learned: {type(model).__name__} and "
            f"{type(criterion).__name__} must compute it without detach(), item(), comparisons and no_grad()"
        )
    return loss


def wrong_loss(who: str, loss: Any) -> TrainingError:
    """Return the error of what is no loss: `who` returned something else than a tensor with one number."""
    found = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
    return TrainingError(f"{who} returned {found}, expected a tensor with one number")
