"""Compute scores in blocks of users and tiles of items, in bounded memory.

Shapes: B users of a block, U users, I items, W items of a tile, D embedding.

A score must not depend on how the work is split up. So products of vectors are always computed by the same calls: for
the same blocks of users, and for pieces of items that start at multiples of one number. A memory bound only decides how
many pieces make a tile, and one thread computes each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recrun.errors import TrainingError
from recrun.metrics.topk import EXACT_INTEGERS, GROUP, exact, exact_dtype

Array = NDArray[Any]

PIECE = 1 << 14
"""Items per matrix product; tiles are whole numbers of pieces."""
_MAX_PIECES = 4
"""Pieces per tile. Wider tiles are no faster, because they no longer fit the processor's caches."""
_PRODUCT_ROWS = {"cpu": 64}
_FEWEST_ROWS = 16
"""Products of fewer rows are padded to so many, those in double precision to a multiple of it: libraries round very few
rows otherwise, and in double precision the last rows, if they are no group of four. A user's scores must not depend on
who else is in the block."""
_DEVICE_ROWS = 1024
_SCORE_ROWS = 256
_COPIES = 3
"""Memory for a tile and all that is derived from it, in tiles: the scores, a sorted copy, masks and candidates."""

WriteTile = Callable[[Tensor, int], None]
"""Writes the scores of a block's users into a tensor (B, W), for the W items from a given id on."""


class Scores(Protocol):
    """Scores of all items, for blocks of users."""

    rows: int  # users per block
    dtype: torch.dtype
    is_thread_safe: bool

    def open(self, users_B: Array) -> WriteTile:
        """Return a function that writes the tiles of these users."""


class ProductScores:
    """Scores that are products of user and item vectors.

    Args:
        users_UD: vectors of all users.
        items_ID: vectors of all items.
        device: where the products are computed.
    """

    is_thread_safe = True

    def __init__(self, users_UD: Tensor, items_ID: Tensor, device: torch.device) -> None:
        self.dtype = _product_dtype(users_UD, items_ID)
        self._users_UD = users_UD.detach().to(device, self.dtype)
        self._items_DI = items_ID.detach().to(device, self.dtype).T
        self.rows = _PRODUCT_ROWS.get(device.type, _DEVICE_ROWS)

    def open(self, users_B: Array) -> WriteTile:
        """Return a function that writes the products of these users' vectors and the items'."""
        n_users = len(users_B)
        vectors_BD = self._users_UD[torch.from_numpy(users_B).to(self._users_UD.device)]
        n_rows = max(n_users, _FEWEST_ROWS)
        if self.dtype == torch.float64:
            n_rows = -(-n_users // _FEWEST_ROWS) * _FEWEST_ROWS
        if n_users < n_rows:
            vectors_BD = torch.cat([vectors_BD, vectors_BD.new_zeros(n_rows - n_users, vectors_BD.shape[1])])

        def write(tile_BW: Tensor, first: int) -> None:
            width = tile_BW.shape[1]
            for start in range(0, width, PIECE):
                stop = min(start + PIECE, width)
                items_DW = self._items_DI[:, first + start : first + stop]
                if n_users < n_rows:
                    tile_BW[:, start:stop] = torch.mm(vectors_BD, items_DW)[:n_users]
                else:
                    torch.mm(vectors_BD, items_DW, out=tile_BW[:, start:stop])

        return write


class ModelScores:
    """Scores that a model computes for whole rows.

    Args:
        score: `score(users (B,)) -> (B, I)`.
        n_items: I.
        device: the device for the users' ids and for ranking.
        memory: bytes that the scores of a block may take, unless those of one user take more.
    """

    is_thread_safe = False

    def __init__(self, score: Callable[[Tensor], Tensor], n_items: int, device: torch.device, memory: int) -> None:
        self._score = score
        self._n_items = n_items
        self._device = device
        self.dtype = torch.float64  # the widest type, until the model has returned scores
        self.rows = max(1, min(_SCORE_ROWS, memory // (8 * max(n_items, 1))))

    def open(self, users_B: Array) -> WriteTile:
        """Score these users, and return a function that copies tiles from the result.

        Raises:
            TrainingError: the shape of the scores is not (B, I), or their type has no exact order here.
        """
        with torch.no_grad():
            scores_BI = self._score(torch.from_numpy(users_B).to(self._device)).detach().to(self._device)
        if tuple(scores_BI.shape) != (len(users_B), self._n_items):
            raise TrainingError(
                f"score() must return one score per user and item, of shape ({len(users_B)}, {self._n_items}); "
                f"it returned {tuple(scores_BI.shape)}"
            )
        try:
            scores_BI = exact(scores_BI)
        except ValueError as error:
            raise TrainingError(f"score() cannot be ranked: {error}") from None
        self.dtype = scores_BI.dtype

        def write(tile_BW: Tensor, first: int) -> None:
            tile_BW.copy_(scores_BI[:, first : first + tile_BW.shape[1]])

        return write


def scores_of(model: Any, n_users: int, n_items: int, device: torch.device, memory: int) -> Scores:
    """Return the scores of a model: products of `vectors()` where it has them, else those of `score(users)`.

    Args:
        model: has `vectors() -> ((U, D), (I, D)) | None`, or `score(users (B,)) -> (B, I)`, or both.
        n_users: U.
        n_items: I.
        device: where to rank.
        memory: bytes that may be used.

    Raises:
        TrainingError: the shapes of the vectors do not fit the numbers of users and items, or their products have no
            exact order.
    """
    with torch.no_grad():
        vectors = model.vectors() if hasattr(model, "vectors") else None
    if vectors is None:
        return ModelScores(model.score, n_items, device, memory // 4)
    users_UD, items_ID = vectors
    if users_UD.ndim != 2 or items_ID.ndim != 2 or len(users_UD) < n_users or len(items_ID) != n_items:
        raise TrainingError(
            f"vectors() must return tensors of shape ({n_users}, D) and ({n_items}, D); "
            f"it returned {tuple(users_UD.shape)} and {tuple(items_ID.shape)}"
        )
    return ProductScores(users_UD, items_ID, device)


class Tile(NamedTuple):
    """Scores of a block of users for consecutive items."""

    scores_BW: Tensor
    """-inf for masked items, and in the columns that only pad the width."""
    first: int
    """Id of the first column's item."""


@dataclass(frozen=True)
class Block:
    """The scores of some users, tile by tile; each iteration computes the tiles anew.

    All tiles share one buffer: a tile is overwritten by the next one.
    """

    write: WriteTile
    n_users: int
    masked: tuple[Array, Array]  # rows (N,), items (N,)
    n_items: int
    width: int
    buffer: Tensor
    only: tuple[Array, Array] | None = None  # the rows and items that are not masked; None for all
    barred: Array | None = None  # items (N,), ascending, that are masked in every row

    @property
    def n_tiles(self) -> int:
        """The number of tiles in a row."""
        return -(-self.n_items // self.width)

    def __iter__(self) -> Iterator[Tile]:
        return (self._tile(first) for first in range(0, self.n_items, self.width))

    def _tile(self, first: int) -> Tile:
        width = min(self.width, self.n_items - first)
        filled = -(-width // GROUP) * GROUP
        scores_BW = self.buffer[: self.n_users * filled].view(self.n_users, filled)
        self.write(scores_BW[:, :width], first)
        scores_BW[:, width:] = -torch.inf
        flat = scores_BW.view(-1)
        if self.only is not None:
            positions_N = self._positions(self.only, first, width, filled).to(flat.device)
            kept_N = flat[positions_N]
            flat.fill_(-torch.inf)
            flat[positions_N] = kept_N
        flat.index_fill_(0, self._positions(self.masked, first, width, filled).to(flat.device), -torch.inf)
        if self.barred is not None:
            inside = self.barred[slice(*np.searchsorted(self.barred, (first, first + width)))] - first
            scores_BW.index_fill_(1, torch.from_numpy(inside).to(flat.device), -torch.inf)
        return Tile(scores_BW, first)

    def _positions(self, pairs: tuple[Array, Array], first: int, width: int, filled: int) -> Tensor:
        """Return where in a tile, of rows of `filled` places, those pairs are that it holds."""
        rows_N, items_N = pairs
        if self.n_tiles > 1:
            inside_N = (items_N >= first) & (items_N < first + width)
            rows_N, items_N = rows_N[inside_N], items_N[inside_N]
        return torch.from_numpy(rows_N * filled + (items_N - first))


class Tiler:
    """Open blocks of users, one at a time; all of them share one buffer.

    Args:
        scores: where the scores come from.
        n_items: I.
        device: where the tiles are.
        memory: bytes to use; but at least one piece of items is computed at a time.

    Attributes:
        scores: where the scores come from; may be set to others of the same kind, which then use the same buffer.
    """

    def __init__(self, scores: Scores, n_items: int, device: torch.device, memory: int) -> None:
        self.scores = scores
        self._n_items = n_items
        self._device = device
        n_pieces = min(memory // smallest_tile(scores), _MAX_PIECES, -(-n_items // PIECE))
        self.width = PIECE * max(1, n_pieces)
        self._buffer: Tensor | None = None

    def open(
        self,
        users_B: Array,
        masked: tuple[Array, Array],
        only: tuple[Array, Array] | None = None,
        barred: Array | None = None,
    ) -> Block:
        """Return the scores of at most `scores.rows` users.

        Args:
            users_B: their ids.
            masked: rows (N,) and items (N,) to set to -inf, int64.
            only: rows and items whose scores are kept, all others being set to -inf; None for all.
            barred: items (N,), int64, ascending, to set to -inf for all of these users.
        """
        write = self.scores.open(users_B)
        size = self.scores.rows * self.width
        if self._buffer is None or self._buffer.dtype != self.scores.dtype or len(self._buffer) < size:
            self._buffer = torch.empty(size, dtype=self.scores.dtype, device=self._device)
        return Block(write, len(users_B), masked, self._n_items, self.width, self._buffer, only, barred)


def smallest_tile(scores: Scores) -> int:
    """Return the bytes that a tile of one piece takes, including all that is derived from it."""
    return scores.rows * PIECE * (torch.finfo(scores.dtype).bits // 8) * _COPIES


def _product_dtype(users_UD: Tensor, items_ID: Tensor) -> torch.dtype:
    """Return the type in which products of vectors are computed: double where they are whole numbers.

    Raises:
        TrainingError: the vectors are complex, or of integers whose products double precision cannot tell apart.
    """
    dtype = torch.promote_types(users_UD.dtype, items_ID.dtype)
    if dtype.is_complex:
        raise TrainingError(f"vectors() must return real numbers, found {dtype}: complex products have no order")
    if dtype.is_floating_point:
        return exact_dtype(dtype)
    if users_UD.numel() and items_ID.numel():
        largest = [max(abs(int(vectors.min())), abs(int(vectors.max()))) for vectors in (users_UD, items_ID)]
        if users_UD.shape[1] * largest[0] * largest[1] > EXACT_INTEGERS:
            raise TrainingError(
                "the products of vectors() may lie beyond 2^53, where whole numbers cannot be ranked exactly: return "
                "smaller integers, or floating-point numbers"
            )
    return torch.float64
