from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.interactions import CSR
from recrun.data.sampling.unseen import SeenItems, UnseenItems, refuse_short_of
from recrun.errors import DataError
from recrun.randomness import generator


@st.composite
def seen_tables(draw: st.DrawFn) -> np.ndarray:
    """Which user has seen which item, bool (U, I), with users who have seen none or all among them."""
    n_users, n_items = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shares = rng.choice([0.0, 0.1, 0.5, 0.9, 1.0], size=(n_users, 1))
    table: np.ndarray = rng.random((n_users, n_items)) < shares
    return table


def rows_of(table: np.ndarray) -> CSR:
    return CSR.from_pairs(*np.nonzero(table), n_rows=len(table))


@given(seen_tables())
def test_membership_is_exact(table: np.ndarray) -> None:
    users, items = (index.ravel() for index in np.indices(table.shape, dtype=np.int32))
    found = SeenItems(rows_of(table), table.shape[1]).find(users, items)
    np.testing.assert_array_equal(found, np.flatnonzero(table.ravel()))


def test_membership_is_exact_where_the_bits_collide() -> None:
    rng = generator(0, 0, "test")
    codes = np.unique(rng.integers(0, 300 * 70_000, 200_000))
    seen = SeenItems(CSR.from_pairs(codes // 70_000, codes % 70_000, 300), 70_000)
    asked = rng.integers(0, 300 * 70_000, 1_000_000)
    found = seen.find(asked // 70_000, asked % 70_000)
    np.testing.assert_array_equal(found, np.flatnonzero(np.isin(asked, codes)))


def test_rows_of_very_unequal_length_are_searched_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recrun.data.sampling.unseen._BLOCK", 7)
    table = np.zeros((5, 300), dtype=bool)
    table[0, 5:299] = table[1, 17] = table[3] = True
    table[4, ::3] = True
    users, items = (index.ravel() for index in np.indices(table.shape))
    found = SeenItems(rows_of(table), 300).find(users, items)
    np.testing.assert_array_equal(found, np.flatnonzero(table.ravel()))
    users, items = np.nonzero(~table)
    ranks = (np.cumsum(~table, axis=1) - 1)[users, items]
    np.testing.assert_array_equal(UnseenItems(rows_of(table), 300).at(users, ranks), items)


@given(seen_tables())
def test_each_unseen_item_stands_at_its_rank(table: np.ndarray) -> None:
    unseen = UnseenItems(rows_of(table), table.shape[1])
    np.testing.assert_array_equal(unseen.mass, (~table).sum(axis=1))
    users, items = np.nonzero(~table)
    ranks = (np.cumsum(~table, axis=1) - 1)[users, items]
    np.testing.assert_array_equal(unseen.at(users, ranks), items)


@given(seen_tables(), st.integers(0, 2**32))
def test_each_unseen_item_covers_as_many_points_as_its_weight(table: np.ndarray, seed: int) -> None:
    weights = np.random.default_rng(seed).integers(1, 7, table.shape[1])
    unseen = UnseenItems(rows_of(table), table.shape[1], weights)
    np.testing.assert_array_equal(unseen.mass, (~table) @ weights)
    users = np.repeat(np.arange(len(table)), unseen.mass)
    points = np.concatenate([np.arange(mass) for mass in unseen.mass])
    drawn = np.zeros(table.shape, dtype=np.int64)
    np.add.at(drawn, (users, unseen.at(users, points)), 1)
    np.testing.assert_array_equal(drawn, np.where(table, 0, weights))


def test_distinct_draws_differ_and_are_unseen_even_when_all_are_taken() -> None:
    table = np.zeros((3, 10), dtype=bool)
    table[1, ::2] = True
    table[2, :7] = True
    unseen = UnseenItems(rows_of(table), 10)
    users = np.tile(np.arange(3), 50)
    drawn = unseen.draw_distinct(users, 3, generator(0, 0, "test"))
    assert drawn.shape == (150, 3)
    assert not table[users[:, None], drawn].any()
    assert (np.diff(np.sort(drawn, axis=1), axis=1) > 0).all()
    assert {tuple(sorted(row)) for row in drawn[users == 2].tolist()} == {(7, 8, 9)}


def test_every_set_of_distinct_draws_is_equally_likely() -> None:
    unseen = UnseenItems(rows_of(np.array([[False, True, False, False, False, False]])), 6)
    drawn = np.sort(unseen.draw_distinct(np.zeros(20_000, dtype=np.int64), 2, generator(3, 0, "test")), axis=1)
    _, counts = np.unique(drawn[:, 0] * 6 + drawn[:, 1], return_counts=True)
    assert len(counts) == 10
    assert ((counts - 2000) ** 2 / 2000).sum() < 27.9  # chi-square with 9 degrees of freedom at 0.001


def test_distinct_draws_of_none_are_empty() -> None:
    unseen = UnseenItems(CSR.empty(2), 3)
    assert unseen.draw_distinct(np.array([0, 1]), 0, generator(0, 0, "test")).shape == (2, 0)


def test_users_short_of_unseen_items_are_counted_and_the_first_is_named() -> None:
    refuse_short_of(1, np.array([1, 5]), "negatives")
    with pytest.raises(DataError) as error:
        refuse_short_of(1, np.array([4, 0, 0]), "negatives")
    assert str(error.value) == (
        "2 of 3 users have seen every item (the first: internal id 1), so negatives cannot be drawn; "
        "leave such users out of the data, or train without sampled negatives (model: ease, or loss: cross_entropy)"
    )
    with pytest.raises(DataError, match=r"\(the first: user anna\)"):
        refuse_short_of(1, np.array([4, 0]), "negatives", np.array(["bert", "anna"]))
    with pytest.raises(DataError, match=r"1 of 2 users have fewer than 3 unseen items .* or ask for fewer negatives"):
        refuse_short_of(3, np.array([2, 3]), "3 negatives")
