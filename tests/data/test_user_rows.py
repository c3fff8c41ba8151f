"""Users' whole rows as tensors."""

from __future__ import annotations

import numpy as np
import torch

from recrun.data.fields import FieldTuple
from recrun.data.interactions import Interactions, TrainingData
from recrun.data.user_rows import UserRows

TABLE = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]])


def _rows() -> UserRows:
    users, items = np.nonzero(TABLE)
    return UserRows(TrainingData(FieldTuple(), 3, 3, Interactions(users.astype(np.int32), items.astype(np.int32))))


def test_rows_come_in_the_order_asked_for_with_empty_and_repeated_ones() -> None:
    users = torch.tensor([2, 1, 0, 0, 1])
    assert _rows().dense(users).tolist() == TABLE[users.numpy()].tolist()
    positions, items = _rows().pairs(users)
    assert positions.tolist() == [0, 2, 2, 3, 3]
    assert items.tolist() == [1, 0, 2, 0, 2]
    assert [each.tolist() for each in _rows().bags(users)] == [[1, 0, 2, 0, 2], [0, 1, 1, 3, 5]]
