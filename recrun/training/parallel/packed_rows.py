"""Put rows of tables and their numbers into bytes, as processes send them to each other, and add them up.

Shapes: N rows, D embedding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

Rows = tuple[Tensor, Tensor]
"""Numbers of rows, int64 (N,), and these rows (N, D)."""

_NUMBER: Final = 8
"""The bytes of the number of a row."""


def bytes_of(tensor: Tensor) -> Tensor:
    """Return the memory of a tensor as bytes, uint8; a view if it is contiguous."""
    return tensor.contiguous().view(-1).view(torch.uint8)


def packed(rows: Rows) -> list[Tensor]:
    """Return the bytes of the numbers of rows, and those of the rows."""
    return [bytes_of(part) for part in rows]


def packed_length(n_rows: int, table: Tensor) -> int:
    """Return how many bytes so many rows of a table (R, D) have with their numbers."""
    return n_rows * (_NUMBER + table.element_size() * math.prod(table.shape[1:]))


def unpacked(memory: Tensor, n_rows: int, table: Tensor) -> Rows:
    """Return rows of a table (R, D) and their numbers from the bytes that hold these and then those."""
    numbers, rows = memory[: _NUMBER * n_rows], memory[_NUMBER * n_rows :]
    # What is not aligned cannot be read as wider numbers.
    return numbers.clone().view(torch.int64), rows.clone().view(table.dtype).view(n_rows, *table.shape[1:])


def joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of several parts, one after the other."""
    numbers, rows = zip(*parts, strict=True)
    return torch.cat(numbers), torch.cat(rows)


def summed(rows: Rows, shape: torch.Size | tuple[int, ...]) -> Tensor:
    """Return a sparse tensor of a shape, coalesced, in which rows of one number are added up in their order."""
    numbers, values = rows
    return torch.sparse_coo_tensor(numbers[None], values, shape, check_invariants=False).coalesce()
