"""Where scores come from: the same products however the work is cut, and refusals of wrong shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recrun.errors import TrainingError
from recrun.evaluation import score_tiles
from recrun.evaluation.score_tiles import ModelScores, ProductScores, Tiler, scores_of, smallest_tile

CPU = torch.device("cpu")
NOTHING = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


class Vectors:
    def __init__(self, n_users: int, n_items: int, dtype: torch.dtype = torch.float32) -> None:
        generator = torch.Generator().manual_seed(n_users + n_items)
        self.pair = tuple(torch.randn(n, 24, generator=generator).to(dtype) for n in (n_users, n_items))

    def vectors(self) -> tuple[torch.Tensor, ...]:
        return self.pair


def all_scores(model: Vectors, memory: int, n_threads: int = 1) -> torch.Tensor:
    """Put the tiles of all users together."""
    n_users, n_items = (len(vectors) for vectors in model.pair)
    scores = scores_of(model, n_users, n_items, CPU, memory)
    tiler = Tiler(scores, n_items, CPU, memory)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        rows = []
        for start in range(0, n_users, scores.rows):
            users = np.arange(start, min(start + scores.rows, n_users))
            tiles = [tile.scores_BW.clone() for tile in tiler.open(users, NOTHING)]
            rows.append(torch.cat(tiles, dim=1)[:, :n_items])
        return torch.cat(rows)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_are_bit_for_bit_the_same_for_any_memory(dtype: torch.dtype) -> None:
    model = Vectors(70, 3 * score_tiles.PIECE + 123, dtype)
    scores = scores_of(model, 70, len(model.pair[1]), CPU, 1)
    assert Tiler(scores, len(model.pair[1]), CPU, 1).width == score_tiles.PIECE
    assert Tiler(scores, len(model.pair[1]), CPU, 1 << 30).width == 4 * score_tiles.PIECE
    assert torch.equal(all_scores(model, 1), all_scores(model, 1 << 30))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_of_a_user_do_not_depend_on_how_many_others_are_in_the_block(dtype: torch.dtype) -> None:
    model = Vectors(64, 150, dtype)
    scores = scores_of(model, 64, 150, CPU, 1 << 20)
    every = all_scores(model, 1 << 20)
    for n_users in range(1, 65):
        tile = torch.empty(n_users, 150, dtype=dtype)
        scores.open(np.arange(64 - n_users, 64))(tile, 0)
        assert torch.equal(tile, every[64 - n_users :]), n_users


def test_products_are_right() -> None:
    model = Vectors(70, 200, torch.float64)
    torch.testing.assert_close(all_scores(model, 1), model.pair[0] @ model.pair[1].T)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_vectors_in_half_precision_are_multiplied_in_single_precision(dtype: torch.dtype) -> None:
    model = Vectors(5, 9, dtype)
    torch.testing.assert_close(all_scores(model, 1), model.pair[0].float() @ model.pair[1].float().T)


def test_masked_items_and_the_fill_of_a_tile_are_minus_infinity() -> None:
    model = Vectors(3, score_tiles.PIECE + 10)
    scores = scores_of(model, 3, score_tiles.PIECE + 10, CPU, 1)
    masked = (np.array([0, 0, 2, 2]), np.array([1, score_tiles.PIECE, score_tiles.PIECE + 9, 7]))
    tiles = list(Tiler(scores, score_tiles.PIECE + 10, CPU, 1).open(np.arange(3), masked))
    assert [tile.first for tile in tiles] == [0, score_tiles.PIECE]
    last = tiles[1].scores_BW
    assert last.shape == (3, 16)
    assert torch.isneginf(last).sum(dim=1).tolist() == [7, 6, 7]
    assert torch.isneginf(last[:, 10:]).all()
    assert bool(torch.isneginf(last[0, 0]))
    assert bool(torch.isneginf(last[2, 9]))


def test_memory_bounds_the_width_of_a_tile_and_the_rows_that_a_model_scores() -> None:
    scores = ProductScores(torch.randn(3, 4), torch.randn(10 * score_tiles.PIECE, 4), CPU)
    assert Tiler(scores, 10 * score_tiles.PIECE, CPU, 2 * smallest_tile(scores)).width == 2 * score_tiles.PIECE
    assert ModelScores(lambda users: users, 1000, CPU, 80_000).rows == 10
    assert ModelScores(lambda users: users, 1000, CPU, 1).rows == 1


def test_the_scores_that_a_model_returns_are_not_written_to() -> None:
    popularity = torch.arange(6.0)

    class Popularity:
        def score(self, users: torch.Tensor) -> torch.Tensor:
            return popularity.expand(len(users), -1)

    scores = scores_of(Popularity(), 2, 6, CPU, 1 << 20)
    (tile,) = Tiler(scores, 6, CPU, 1 << 20).open(np.arange(2), (np.array([0]), np.array([5])))
    assert tile.scores_BW[:, :6].tolist() == [[0, 1, 2, 3, 4, float("-inf")], [0, 1, 2, 3, 4, 5]]
    assert popularity.tolist() == [0, 1, 2, 3, 4, 5]


def test_scores_of_the_wrong_shape_are_refused() -> None:
    class Short:
        def score(self, users: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(users), 5)

    scores = scores_of(Short(), 2, 6, CPU, 1 << 20)
    with pytest.raises(TrainingError, match=r"of shape \(2, 6\); it returned \(2, 5\)"):
        scores.open(np.arange(2))


@pytest.mark.parametrize(("n_users", "n_items"), [(3, 9), (4, 8)])
def test_vectors_that_do_not_fit_the_data_are_refused(n_users: int, n_items: int) -> None:
    with pytest.raises(TrainingError, match=r"shape \(4, D\) and \(9, D\)"):
        scores_of(Vectors(n_users, n_items), 4, 9, CPU, 1 << 20)
