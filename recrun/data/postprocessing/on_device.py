"""Draw training rows on the model's device, from interactions kept in its memory, so that no batch is copied to it.

Shapes: N interactions, B rows of a batch, K negatives, I items.

The rows have the same distribution as those of `shuffle_().negatives_for_train_()` (or of `uniform_sampling_()`), but
come from the device's own generator, so individual rows differ. As there, an epoch is a pure function of (seed, epoch),
here for one kind of device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from recrun.data.postprocessing.base import Pipe, PostProcessor
from recrun.data.postprocessing.batch_negatives import LOG_Q
from recrun.data.postprocessing.mode import Mode, check_mode
from recrun.data.postprocessing.own_rows import draws_from
from recrun.data.tags import ID, ITEM, USER
from recrun.errors import DataError
from recrun.randomness import generator

_BYTES_PER_ROW: Final = 64
"""Device memory for one interaction: its user, item and search key, and the epoch's permutation and draws."""
_SHARE: Final = 0.25
"""Share of the device's free memory that the interactions may take."""


class OnDevice(PostProcessor):
    """Draws batches of users (B, 1) and items (B, 1 + K), the positive first, with uniform unseen negatives.

    Args:
        source: the data set.
        batch_size: B; only the last batch of an epoch may be smaller.
        n_negatives: K; 0 for none.
        by_user: draw users uniformly, each with one of their items, as many times as train has rows; otherwise every
            interaction is used once, in random order.
        device: the device to draw on.
        logs: whether the log-probabilities of negatives are added, (B, K).

    Raises:
        DataError: train is empty, or negatives are asked for and a user has seen every item.
    """

    def __init__(
        self,
        source: Pipe,
        *,
        batch_size: int,
        n_negatives: int,
        by_user: bool,
        device: torch.device | str,
        logs: bool = False,
    ) -> None:
        draws_from(source, "OnDevice")
        super().__init__(source)
        self.fields = source.fields.groupby(ID)
        self._batch_size, self._n_negatives, self._by_user = batch_size, n_negatives, by_user
        self._logs = logs
        self._device = torch.device(device)
        data = self.base.training_data()
        rows = data.csr()
        self._n_items, self._n_rows = data.n_items, len(data.interactions)
        if not self._n_rows:
            raise DataError("no user has train interactions")
        full = int((rows.lengths >= self._n_items).sum())
        if n_negatives and full:
            raise DataError(f"{full} users have seen every item in train, so there are no negatives for them")
        self._users = torch.from_numpy(data.interactions.users).to(self._device, torch.int64)
        self._items = torch.from_numpy(data.interactions.items).to(self._device, torch.int64)
        self._starts = torch.from_numpy(rows.indptr).to(self._device)
        self._seen = torch.from_numpy(rows.indices).to(self._device, torch.int64)
        self._lengths = self._starts.diff()
        self._active = self._lengths.nonzero()[:, 0]
        owners = torch.repeat_interleave(self._lengths)
        # The rank of each seen item among the unseen ones of its user, in one ascending array over all users.
        passed = torch.arange(len(self._seen), device=self._device) - self._starts[owners]
        self._keys = owners * self._n_items + self._seen - passed

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[dict[str, Tensor]]:
        self._require_train(mode)
        random = torch.Generator(self._device)
        random.manual_seed(int(generator(seed, epoch, "on_device").integers(2**63)))
        user, item = self.fields[USER, ID].name, self.fields[ITEM, ID].name
        order = None if self._by_user else torch.randperm(self._n_rows, generator=random, device=self._device)
        for start in range(0, self._n_rows, self._batch_size):
            size = min(self._batch_size, self._n_rows - start)
            if order is None:
                users, positives = self._draw_positives(size, random)
            else:
                users = self._users[order[start : start + size]]
                positives = self._items[order[start : start + size]]
            negatives = self._draw_negatives(users, random)
            batch = {user: users[:, None], item: torch.cat([positives[:, None], negatives], dim=1)}
            if self._logs:
                batch[LOG_Q] = -(self._n_items - self._lengths[users]).float().log()[:, None].expand_as(negatives)
            yield batch

    def sizes(self, mode: Mode) -> list[int]:
        self._require_train(mode)
        return [min(self._batch_size, self._n_rows - start) for start in range(0, self._n_rows, self._batch_size)]

    def _draw_positives(self, size: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(self._active), (size,), generator=random, device=self._device)
        users = self._active[chosen]
        return users, self._seen[self._starts[users] + self._below(self._lengths[users], random)]

    def _draw_negatives(self, users: Tensor, random: torch.Generator) -> Tensor:
        """Return (B, K) items, each the r-th unseen item of its user for a uniform r: one search, no rejection."""
        owners = users[:, None].expand(-1, self._n_negatives)
        ranks = self._below(self._n_items - self._lengths[owners], random)
        passed = torch.searchsorted(self._keys, (owners * self._n_items + ranks).contiguous(), right=True)
        return ranks + passed - self._starts[owners]

    def _below(self, bounds: Tensor, random: torch.Generator) -> Tensor:
        """Return a uniform integer below each bound; in double precision the bias is below bound / 2**53."""
        points = torch.rand(bounds.shape, generator=random, device=self._device, dtype=torch.float64)
        return (points * bounds).long()

    def _require_train(self, mode: str) -> None:
        if check_mode(mode) != "train":
            raise DataError(f"OnDevice serves train only; join a pipe for {mode} with wrap_")


def fits(n_rows: int, device: torch.device) -> bool:
    """Return whether a CUDA device has enough free memory for that many interactions."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return n_rows * _BYTES_PER_ROW <= _SHARE * free
