"""Lists of the best items: as plain sorting gives them, and the same however the work is cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.interactions import CSR
from recrun.evaluation import top_lists as module
from recrun.evaluation.score_tiles import ModelScores, ProductScores, Scores
from recrun.evaluation.top_lists import Lists, top_lists

N_USERS, N_ITEMS = 90, 50


def _scores(seed: int = 0, *, rounded: bool = True) -> tuple[ProductScores, np.ndarray]:
    """Return scores, many of them equal if they are rounded, and the same as an array (U, I)."""
    generator = torch.Generator().manual_seed(seed)
    users, items = (torch.randn(n, 5, generator=generator) for n in (N_USERS, N_ITEMS))
    if rounded:
        users, items = users.round(), items.round()
    return ProductScores(users, items, torch.device("cpu")), (users.double() @ items.double().T).numpy()


def _sorted_lists(table: np.ndarray, users: np.ndarray, left_out: list[set[int]], k: int) -> list[list[int]]:
    """Rank by Python: descending score, then ascending item, without some items for each user."""
    return [
        sorted((i for i in range(N_ITEMS) if i not in left_out[user]), key=lambda i: (-table[user, i], i))[:k]
        for user in users
    ]


def _as_lists(found: list[Lists]) -> list[list[int]]:
    return [[int(i) for i in row if i >= 0] for block in found for row in block.items_BK]


@given(
    seed=st.integers(0, 1000),
    k=st.integers(1, 60),
    users=st.lists(st.integers(0, N_USERS - 1), max_size=80),
    barred=st.sets(st.integers(0, N_ITEMS - 1), max_size=N_ITEMS),
)
def test_lists_are_those_of_plain_sorting(seed: int, k: int, users: list[int], barred: set[int]) -> None:
    scores, table = _scores(seed)
    rng = np.random.default_rng(seed)
    seen = CSR.from_pairs(rng.integers(0, N_USERS, 500), rng.integers(0, N_ITEMS, 500), N_USERS)
    asked = np.array(users, dtype=np.int64)
    found = list(
        top_lists(scores, asked, n_items=N_ITEMS, k=k, excluded=seen, barred=np.array(sorted(barred), dtype=np.int64))
    )
    left_out = [set(seen.row(user).tolist()) | barred for user in range(N_USERS)]
    assert _as_lists(found) == _sorted_lists(table, asked, left_out, k)
    assert [int(user) for block in found for user in block.users_B] == users


def test_scores_stand_beside_their_items_and_empty_ranks_have_none() -> None:
    scores, table = _scores()
    seen = CSR.from_pairs(np.zeros(N_ITEMS - 2, dtype=int), np.arange(N_ITEMS - 2), N_USERS)
    (block,) = top_lists(scores, np.array([0, 1]), n_items=N_ITEMS, k=4, excluded=seen)
    assert sorted(block.items_BK[0].tolist()) == [-1, -1, N_ITEMS - 2, N_ITEMS - 1]
    assert block.scores_BK[0].tolist()[2:] == [-np.inf, -np.inf]
    assert block.scores_BK[1].tolist() == table[1, block.items_BK[1]].tolist()


def test_a_list_is_no_longer_than_there_are_items() -> None:
    (block,) = top_lists(_scores()[0], np.array([3]), n_items=N_ITEMS, k=1000)
    assert block.items_BK.shape == (1, N_ITEMS)


def test_without_users_there_are_no_lists() -> None:
    assert list(top_lists(_scores()[0], np.zeros(0, dtype=np.int64), n_items=N_ITEMS, k=3)) == []


@pytest.mark.parametrize("n_together", [1, 2, 3, 5, 15, 16, 17, 64])
def test_scores_of_a_user_do_not_depend_on_who_else_is_asked_for(n_together: int) -> None:
    generator = torch.Generator().manual_seed(1)
    users, items = (torch.randn(n, 64, generator=generator) for n in (64, 40_000))
    scores = ProductScores(users, items, torch.device("cpu"))

    def ranked(asked: np.ndarray) -> np.ndarray:
        found = list(top_lists(scores, asked, n_items=len(items), k=50))
        return np.concatenate([block.scores_BK for block in found])

    assert np.array_equal(ranked(np.arange(64))[:n_together], ranked(np.arange(n_together)))


def test_lists_do_not_depend_on_how_many_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, _ = _scores(rounded=False)
    users = np.arange(N_USERS)
    whole = np.concatenate([each.items_BK for each in top_lists(scores, users, n_items=N_ITEMS, k=7)])
    monkeypatch.setattr(module, "_PLACES", 1)
    pieces = np.concatenate([each.items_BK for each in top_lists(scores, users, n_items=N_ITEMS, k=7)])
    assert np.array_equal(whole, pieces)


def test_a_model_that_scores_whole_rows_is_ranked_alike() -> None:
    products, table = _scores()
    rows: Scores = ModelScores(lambda users: torch.from_numpy(table)[users], N_ITEMS, torch.device("cpu"), 1 << 20)
    asked = np.array([5, 3, 5])
    (one,), (other,) = (top_lists(each, asked, n_items=N_ITEMS, k=9) for each in (products, rows))
    assert np.array_equal(one.items_BK, other.items_BK)
