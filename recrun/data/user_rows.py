"""Look up users' whole rows as tensors, for models trained on them.

Shapes: B users in a batch, N items in all their rows together, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData


def bags_of(rows: CSR, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return rows as bags for `embedding_bag`: their items one after the other (N,), and the start of each row (B,)."""
    items, starts = torch.from_numpy(rows.indices), torch.from_numpy(rows.indptr[:-1])
    return items.to(device, torch.int64), starts.to(device)


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
        return bags_of(self.of(users), users.device)

    def of(self, users: Tensor) -> CSR:
        """Return the rows of users (B,)."""
        return self._rows.take(users.cpu().numpy())

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
