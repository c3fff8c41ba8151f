from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recrun.data import filters
from recrun.data.datasets.preparation import Preparation, Prepared, prepare
from recrun.data.formats.table import Table
from recrun.data.interactions import CSR, union
from recrun.data.large import pieces, scratch
from recrun.data.sampling.unseen import SeenItems, UnseenItems
from recrun.data.splits import rules


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have columns of more than 16 rows worked on in pieces, and arrays of 64 bytes or more held in files."""
    monkeypatch.setattr(pieces, "PIECE", 16)
    monkeypatch.setattr(scratch, "LARGE", 64)
    monkeypatch.setenv("RECRUN_CACHE", str(tmp_path / "cache"))


def table(n_rows: int, seed: int, *, sorted_by_user: bool, with_times: bool = True) -> Table:
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 60, n_rows), rng.integers(0, 40, n_rows)
    if sorted_by_user:
        users.sort()
    columns = {"rating": rng.integers(1, 6, n_rows).astype(np.float32)}
    if with_times:
        columns["timestamp"] = rng.integers(1_000_000_000, 1_000_000_300, n_rows)
    return Table.of(users, items, columns)


def same(one: Prepared, other: Prepared) -> None:
    assert one.notes == other.notes
    assert one.shipped == other.shipped
    np.testing.assert_array_equal(one.user_ids, other.user_ids)
    np.testing.assert_array_equal(one.item_ids, other.item_ids)
    assert list(one.parts) == list(other.parts)
    for part, rows in one.parts.items():
        others = other.parts[part]
        assert list(rows.columns) == list(others.columns)
        pairs = [(rows.users, others.users), (rows.items, others.items)]
        pairs += [(rows.columns[name], others.columns[name]) for name in rows.columns]
        for values, expected in pairs:
            np.testing.assert_array_equal(values, expected)
            assert values.dtype == expected.dtype


@pytest.mark.parametrize("sorted_by_user", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"duplicates": "first"},
        {"duplicates": "all"},
        {"min_user_interactions": 8, "min_item_interactions": 9},
        {"rating_threshold": 3.0},
        {"split": "user_time"},
        {"split": "leave_one_out"},
        {"split": "leave_k", "n_held_out": 2},
        {"split": "time"},
        {"split": "k_fold", "test_fold": 2},
        {"split": "cold_items"},
        {"split": "new_users"},
        {"split": "new_users", "fold_in_by": "time"},
        {"split": "sessions"},
    ],
    ids=str,
)
def test_data_prepared_in_pieces_is_that_prepared_at_once(
    settings: dict[str, object], sorted_by_user: bool, request: pytest.FixtureRequest
) -> None:
    preparation = Preparation(**settings)  # type: ignore[arg-type]
    at_once = prepare({"all": table(700, 3, sorted_by_user=sorted_by_user)}, preparation)
    request.getfixturevalue("small_pieces")
    same(prepare({"all": table(700, 3, sorted_by_user=sorted_by_user)}, preparation), at_once)


def test_data_without_times_is_prepared_in_pieces_too(request: pytest.FixtureRequest) -> None:
    at_once = prepare({"all": table(700, 4, sorted_by_user=False, with_times=False)}, Preparation())
    request.getfixturevalue("small_pieces")
    same(prepare({"all": table(700, 4, sorted_by_user=False, with_times=False)}, Preparation()), at_once)


def test_a_user_with_more_rows_than_a_piece_stays_in_one(request: pytest.FixtureRequest) -> None:
    users = np.repeat([0, 1, 2, 5], [3, 50, 1, 30])
    items = np.random.default_rng(0).integers(0, 20, len(users))
    at_once = CSR.from_pairs(users, items, 7)
    request.getfixturevalue("small_pieces")
    found = list(pieces.pieces_of_groups(users))
    assert [(at.start, at.stop) for at in found] == [(0, 3), (3, 53), (53, 54), (54, 84)]
    rows = CSR.from_pairs(users, items, 7)
    np.testing.assert_array_equal(rows.indptr, at_once.indptr)
    np.testing.assert_array_equal(rows.indices, at_once.indices)
    assert sum(part.nnz for _, part in rows.pieces()) == rows.nnz


def test_what_is_drawn_from_rows_in_pieces_is_that_drawn_from_them_at_once(request: pytest.FixtureRequest) -> None:
    rng = np.random.default_rng(1)
    users, items = np.sort(rng.integers(0, 30, 300)), rng.integers(0, 50, 300)
    weights = rng.integers(1, 9, 50)
    asked, wanted = rng.integers(0, 30, 500), rng.integers(0, 50, 500)

    def answers() -> list[np.ndarray]:
        rows = CSR.from_pairs(users, items, 30)
        other = CSR.from_pairs(users[::3], (items[::3] + 1) % 50, 30)
        both = union(rows, other)
        drawn = [UnseenItems(rows, 50, by).draw(asked, np.random.default_rng(2)) for by in (None, weights)]
        found = SeenItems(rows, 50).find(asked, wanted)
        return [rows.indptr, rows.indices, both.indptr, both.indices, *drawn, found]

    at_once = answers()
    request.getfixturevalue("small_pieces")
    for values, expected in zip(answers(), at_once, strict=True):
        np.testing.assert_array_equal(values, expected)


@pytest.mark.usefixtures("small_pieces")
def test_columns_are_selected_looked_up_counted_and_joined_in_pieces() -> None:
    rng = np.random.default_rng(0)
    values, mask = rng.integers(0, 9, 100), rng.random(100) < 0.5
    table = rng.random(9)
    np.testing.assert_array_equal(pieces.select(values, mask), values[mask])
    np.testing.assert_array_equal(pieces.look_up(table, values), table[values])
    np.testing.assert_array_equal(pieces.occurrences(values, 12), np.bincount(values, minlength=12))
    joined = pieces.concatenate([values, values.astype(np.float64) / 2])
    np.testing.assert_array_equal(joined, np.concatenate([values, values / 2]))
    assert pieces.concatenate([values]) is values


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("place", [15, 16, 17, 98])
def test_disorder_is_seen_at_the_border_of_pieces(place: int) -> None:
    values = np.arange(100)
    assert pieces.is_ascending(values)
    assert pieces.is_chronological(values, values)
    values[place + 1] = values[place] - 1
    assert not pieces.is_ascending(values)
    assert not pieces.is_chronological(np.zeros(100, dtype=int), values)


def test_the_random_order_of_a_split_is_numpys_permutation() -> None:
    order = rules._permutation(1000, np.random.default_rng(5))
    np.testing.assert_array_equal(order, np.random.default_rng(5).permutation(1000))
    assert order.dtype == np.int32


def test_repeats_are_found_within_pieces(request: pytest.FixtureRequest) -> None:
    rng = np.random.default_rng(8)
    users, items = np.sort(rng.integers(0, 12, 200)), rng.integers(0, 30, 200)
    at_once = [filters.without_repeats(users, items, keep) for keep in ("first", "last", "all")]
    assert not at_once[0].all()
    assert (at_once[0] != at_once[1]).any()
    assert at_once[2].all()
    request.getfixturevalue("small_pieces")
    for keep, expected in zip(("first", "last", "all"), at_once, strict=True):
        np.testing.assert_array_equal(filters.without_repeats(users, items, keep), expected)
