"""Define the base class of sequential models, which predict the next item from a user's history.

Shapes: B users in a batch, G of them with histories of similar length, L items of a history, N items to predict,
K negatives, U users, I items, W positions, D length of the vectors.

Histories are padded on the right, so causal models need no mask for the padding. Most histories are short: they are
sorted into groups of similar length, and each group is only as wide as its longest history.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.attention import end_at_last, visible_positions
from recrun.architectures.base import Batch, RecSysArch, hide_uncounted
from recrun.architectures.item_products import pair_scores, scores_of_rows
from recrun.architectures.networks import HistoryNetwork, ScoringNetwork
from recrun.config.family import without_new_users
from recrun.data.interactions import TIMESTAMP
from recrun.data.postprocessing.batch_negatives import LOG_Q, SEEN, SHARED
from recrun.data.postprocessing.sequences import LENGTH, NEGATIVE, TARGET, TIMES
from recrun.errors import ConfigError, DataError

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import CSR, TrainingData


_NARROWEST: Final = 8
"""Histories up to this length are one group; each further group is up to twice as wide as the one before."""

_RANKED_CELLS: Final = 1 << 15
"""The most items, padding included, that are read at a time for ranking; it bounds the memory."""


class SequenceArch(RecSysArch):
    """Base of models that read a user's latest items and score the next one.

    A model defines `forward` and `item_vectors`. One that is not trained to predict the next item at each position also
    overrides `predict`, and `read` if it reads histories differently for ranking. One that has a single state for a
    history is registered with `states="last"`, and trained on prefixes. The setting `max_length` tells recrun how much
    of a history to feed.

    One that reads the times of items is registered with `timed_by="its_setting"`, and sets `timed` if that setting is
    not 0. Times, (G, L) as the items, are then one argument more of `forward`, `read` and `predict`.

    A model with vectors of users sets `personal = True` in the body of its class and defines `personalize`. It scores
    users of the data only; without train rows, they have the vectors that they were initialised with.

    Args:
        data: the train part; its rows must have times, or an order.
        max_length: the most items of a history that are read, the latest ones.

    Raises:
        DataError: the data has neither times nor an order of interactions.
        ConfigError: the class defines `personalize` and is not `personal`, or the reverse.
    """

    personal: ClassVar[bool] = False

    def __init__(self, data: TrainingData, max_length: int) -> None:
        super().__init__()
        if TIMESTAMP not in data.interactions.columns:
            raise DataError(
                f"{type(self).__name__} reads interactions in the order of time, and the data has no times; for files "
                f"of your own name their time_column, or use a format whose lines are in that order (see docs/data.md)"
            )
        if self.personal != (type(self).personalize is not SequenceArch.personalize):
            missing = "define personalize()" if self.personal else "set personal = True in its body"
            raise ConfigError(f"class {type(self).__name__}: a model with vectors of users needs both; {missing}")
        self.n_items, self.max_length, self.timed = data.n_items, max_length, False
        self.take_histories(data.interactions.histories(data.n_users))

    @abstractmethod
    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the states (G, L, D) after each item of histories (G, L) of lengths (G,); arbitrary in the padding.

        A model with one state for a history returns those (G, D).
        """

    @abstractmethod
    def item_vectors(self) -> Tensor:
        """Return vectors (I, D): the score of an item is the dot product of its vector with the state."""

    def vectors_of(self, items: Tensor) -> Tensor:
        """Return the vectors (R, D) of some items (R,), by which sampled items are scored; rows of `item_vectors()`.

        A model whose `item_vectors()` computes something from a table overrides it, to do that for these rows alone.
        """
        vectors_ID = self.item_vectors()
        tables = (each for each in self.modules() if isinstance(each, nn.Embedding) and each.weight is vectors_ID)
        table = next(tables, None)
        return F.embedding(items, vectors_ID) if table is None else table(items)

    def predict(self, items: Tensor, lengths: Tensor, *times: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states (N, D) that predict items of histories (G, L), and the mask (G, L) of these items.

        By default each item is predicted from the items before it.
        """
        is_target = torch.arange(items.size(1), device=items.device) < lengths[:, None]
        is_target[:, 0] = False
        return self(items[:, :-1], lengths - 1, *(each[:, :-1] for each in times))[is_target[:, 1:]], is_target

    def read(self, items: Tensor, lengths: Tensor, *times: Tensor) -> Tensor:
        """Return the states (G, D) after the last item of histories (G, L)."""
        states: Tensor = self(items, lengths, *times)
        return states if states.dim() == 2 else states[torch.arange(len(items), device=items.device), lengths - 1]

    def read_all(self, items: Tensor, lengths: Tensor, *times: Tensor) -> Tensor:
        """Return the states (B, D) after the last items of histories (B, L) of any lengths (B,) >= 1."""
        groups = [
            (rows_G, self.read(items[rows_G, :width], lengths[rows_G], *(each[rows_G, :width] for each in times)))
            for rows_G, width in similar_lengths(lengths)
        ]
        order_B = torch.cat([rows_G for rows_G, _ in groups])
        return torch.cat([states_GD for _, states_GD in groups])[order_B.argsort()]

    def personalize(self, states: Tensor, users: Tensor) -> Tensor:
        """Return the states (N, D) that score items for users (N,), from the states (N, H) of their histories.

        It is called for `personal` models only.
        """
        return states

    def take_histories(self, histories: CSR) -> None:
        """Set the histories to rank from: what precedes the evaluated part. Initially they are those of train.

        Args:
            histories: items in the order of time, U rows.
        """
        self._histories = histories

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the states (U, D) after all users' histories, 0 for empty ones, and the vectors (I, D) of items."""
        return self._embed(self._histories, np.arange(self._histories.n_rows)), self.item_vectors()

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for some users (B,)."""
        users_B = users.cpu().numpy()
        return self._embed(self._histories.take(users_B), users_B) @ self.item_vectors().T

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items after histories, B rows in the order of time.

        Raises:
            ConfigError: the model is `personal`, or reads times, which the histories have not.
        """
        return self.embed_histories(histories) @ self.item_vectors().T

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return the states (B, D) after histories, B rows in the order of time; 0 for empty ones.

        Raises:
            ConfigError: the model is `personal`, or reads times, which the histories have not.
        """
        if self.personal:
            raise ConfigError(without_new_users(type(self).__name__))
        if self.timed and histories.times is None:
            raise ConfigError(
                f"{type(self).__name__} as it was trained reads the times of interactions, which these histories do "
                f"not tell; give them in a file with times"
            )
        return self._embed(histories)

    def _embed(self, histories: CSR, users: np.ndarray | None = None) -> Tensor:
        """Return the states (B, D) after histories, B rows of users (B,); 0 for empty ones."""
        items_ID = self.item_vectors()
        states_BD = items_ID.new_zeros(histories.n_rows, items_ID.size(1))
        lengths_B = torch.from_numpy(np.minimum(histories.lengths, self.max_length))
        for rows_G, width in similar_lengths(lengths_B, _RANKED_CELLS):
            stops_G = histories.indptr[rows_G.numpy() + 1]
            inputs = [*histories.before(rows_G.numpy(), stops_G, width)]
            if self.timed:
                inputs.append(histories.times_before(rows_G.numpy(), stops_G, width))
            read = self.read(*(torch.from_numpy(each).to(items_ID.device) for each in inputs))
            if self.personal and users is not None:
                read = self.personalize(read, torch.from_numpy(users[rows_G.numpy()]).to(items_ID.device))
            states_BD[rows_G.to(items_ID.device)] = read.to(states_BD.dtype)
        return states_BD

    def network(self) -> ScoringNetwork | None:
        """Return the model as a network that scores items for histories.

        If it is `personal`, or reads times, the network scores them for users of the data.
        """
        return super().network() if self.personal or self.timed else HistoryNetwork(self)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss over all predicted items, each with its own negatives.

        Args:
            batch: what the pipe `sequences_` yields, or `prefixes_`, of whose rows only what follows is predicted.
            criterion: the chosen loss.
        """
        states_ND, targets_N, rows_N, of_targets = self._prefixes(batch) if TARGET in batch else self._rows(batch)
        if self.personal:
            states_ND = self.personalize(states_ND, batch[self.user_column][rows_N, 0])
        if criterion.ranks_all_items:
            return criterion.from_products(states_ND, self.item_vectors(), targets_N)
        if SHARED in batch:
            positive_N1 = (self.vectors_of(targets_N) * states_ND).sum(1, keepdim=True)
            scores = torch.cat([positive_N1, states_ND @ self.vectors_of(batch[SHARED]).T], dim=1)
            items = torch.cat([targets_N[:, None], batch[SHARED].expand(len(targets_N), -1)], dim=1)
            scores = hide_uncounted(scores, items, batch[SEEN][rows_N])
        else:
            scores = self._score_each(states_ND, torch.cat([targets_N[:, None], of_targets[NEGATIVE]], dim=1))
        if LOG_Q not in batch:
            return criterion.from_scores(scores)
        log_q = batch[LOG_Q].expand(len(scores), -1) if SHARED in batch else of_targets[LOG_Q]
        return criterion.from_corrected(scores, log_q)

    def _score_each(self, states: Tensor, pairs: Tensor) -> Tensor:
        """Return the scores (N, 1 + K) of items (N, 1 + K) for states (N, D)."""
        if any(isinstance(module, nn.Embedding) and module.sparse for module in self.modules()):
            return scores_of_rows(states, pairs, self.vectors_of)
        return pair_scores(states, self.item_vectors(), pairs)

    def n_terms(self, batch: Batch) -> int:
        """Return how many items of a batch are predicted."""
        return batch[TARGET].numel() if TARGET in batch else int((batch[LENGTH] - 1).sum())

    def _rows(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Return states (N, D), the items (N,) they predict, the rows (N,) of these, and columns (N, K)."""
        parts: list[tuple[Tensor, ...]] = []
        columns = _of_targets(batch)
        for rows_G, width in similar_lengths(batch[LENGTH][:, 0]):
            items_GL = batch[self.item_column][rows_G, :width]
            times = [batch[TIMES][rows_G, :width]] if self.timed else []
            states_ND, is_target_GL = self.predict(items_GL, batch[LENGTH][rows_G, 0], *times)
            part = (states_ND, items_GL[is_target_GL], rows_G[is_target_GL.nonzero()[:, 0]])
            parts.append((*part, *(batch[name][rows_G, :width][is_target_GL] for name in columns)))
        states_ND, targets_N, rows_N, *negatives = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
        return states_ND, targets_N, rows_N, dict(zip(columns, negatives, strict=True))

    def _prefixes(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Return the same for histories (B, L) that are followed by targets (B, T) with negatives (B, T, K)."""
        times = [batch[TIMES]] if self.timed else []
        targets_BT, states_BD = batch[TARGET], self.read_all(batch[self.item_column], batch[LENGTH][:, 0], *times)
        rows_B = torch.arange(len(states_BD), device=states_BD.device)
        rows_N, states_ND = (each.repeat_interleave(targets_BT.size(1), dim=0) for each in (rows_B, states_BD))
        negatives = {name: batch[name].flatten(0, 1) for name in _of_targets(batch)}
        return states_ND, targets_BT.flatten(), rows_N, negatives


def _of_targets(batch: Batch) -> list[str]:
    """Return the columns of a batch that hold something for each negative of each target."""
    return [name for name in (NEGATIVE, LOG_Q) if name in batch] if NEGATIVE in batch else []


class FullRowArch(SequenceArch):
    """Base of models whose layers mix all positions of a row, so that the state at the last one stands for the history.

    A history is a row of `max_length` positions, and ends at the last one. Positions before it hold their position
    embeddings, and attend to all positions. A model appends its blocks to `blocks`, which are called with the states
    (B, W, D), the positions that each one attends to, bool (B, W, W), and `last_only`, with which they return the state
    at the last position alone. Blocks that do not attend are declared by `attends = False`, and called without these.

    Args:
        data: the train part.
        max_length: W, the most items of a history that are read.
        embedding_dim: D.
        dropout: dropout rate of the embeddings.
    """

    attends: ClassVar[bool] = True

    def __init__(self, data: TrainingData, max_length: int, embedding_dim: int, dropout: float) -> None:
        super().__init__(data, max_length)
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.positions = nn.Embedding(max_length, embedding_dim)
        self.norm, self.dropout = nn.LayerNorm(embedding_dim, eps=1e-12), nn.Dropout(dropout)
        self.blocks = nn.ModuleList()

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the states (B, D) after the last items of histories (B, L) of lengths (B,)."""
        items_BW, is_filled_BW = end_at_last(items, lengths, self.max_length)
        states = self.dropout(self.norm(self.items(items_BW) * is_filled_BW[..., None] + self.positions.weight))
        visible = {"visible": visible_positions(is_filled_BW)} if self.attends else {}
        for number, block in enumerate(self.blocks, start=1):
            states = block(states, last_only=number == len(self.blocks), **visible)
        last: Tensor = states[:, -1]
        return last

    def item_vectors(self) -> Tensor:
        """Return the embeddings (I, D) of the items, shared with the history."""
        return self.items.weight


def similar_lengths(lengths: Tensor, cells: int | None = None) -> Iterator[tuple[Tensor, int]]:
    """Yield groups of rows of similar length as (rows (G,), longest length); rows of length 0 are left out.

    Args:
        lengths: int64 (B,).
        cells: the largest size of a group, G times its longest length, unless a single row is longer; None for no
            bound.
    """
    ordered, order = torch.sort(lengths, stable=True)
    bound, start = _NARROWEST, int(torch.searchsorted(ordered, 1))
    while start < len(ordered):
        stop = int(torch.searchsorted(ordered, bound, right=True))
        while start < stop:
            size = stop - start if cells is None else max(1, cells // int(ordered[stop - 1]))
            end = min(start + size, stop)
            yield order[start:end], int(ordered[end - 1])
            start = end
        bound *= 2
