"""Look up users' whole train rows as tensors, for models trained on them.

Shapes: B users in a batch, N items in all their rows together, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


class UserRows:
    """Looks up the train rows of a batch's users; rows are kept on the CPU and returned on the users' device.

    Args:
        data: the train part.
    """

    def __init__(self, data: TrainingData) -> None:
        self._rows = data.csr()
        self._n_items = data.n_items

    def bags(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Return the concatenated rows of users (B,): items (N,) int64, and the start of each row (B,)."""
        indptr, items = self._rows.rows(users.cpu().numpy())
        return torch.from_numpy(items).to(users.device, torch.int64), torch.from_numpy(indptr[:-1]).to(users.device)

    def pairs(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Return every (position in the batch, item) pair of the rows of users (B,), int64 (N,) each."""
        items, starts = self.bags(users)
        ends = torch.cat([starts[1:], starts.new_tensor([len(items)])])
        return torch.repeat_interleave(torch.arange(len(users), device=users.device), ends - starts), items

    def dense(self, users: Tensor) -> Tensor:
        """Return the rows of users (B,) as float32 (B, I): 1 where the user has interacted with the item, else 0."""
        rows = torch.zeros(len(users), self._n_items, device=users.device)
        rows[self.pairs(users)] = 1
        return rows
