from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from recrun.data.fields import FieldTuple
from recrun.data.interactions import Interactions, TrainingData
from recrun.data.sampling.alias_table import AliasTable, integer_weights
from recrun.data.sampling.negatives import (
    DynamicNegatives,
    InBatchNegatives,
    MixedNegatives,
    NegativeSampler,
    PopularityNegatives,
    UniformNegatives,
)
from recrun.errors import DataError
from recrun.randomness import generator
from recrun.registry import SAMPLERS


def data_of(table: np.ndarray) -> TrainingData:
    users, items = np.nonzero(table)
    interactions = Interactions(users.astype(np.int32), items.astype(np.int32))
    return TrainingData(FieldTuple(), *table.shape, interactions)


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    """Users with a few, half, nearly all and no items, out of 12; popularity differs."""
    rng = np.random.default_rng(1)
    seen: np.ndarray = rng.random((40, 12)) < np.repeat([0.1, 0.5, 0.9, 0.0], 10)[:, None]
    seen[:, 0] = True
    seen[20, 1:] = True
    seen[20, 7] = False
    seen[:, 11] = False
    seen[35] = False
    return seen


SAMPLERS_UNDER_TEST = [
    pytest.param(lambda data, k: UniformNegatives(data, n_negatives=k), 0.0, id="uniform"),
    pytest.param(lambda data, k: PopularityNegatives(data, n_negatives=k), 0.75, id="popularity"),
    pytest.param(lambda data, k: PopularityNegatives(data, n_negatives=k, alpha=2.5), 2.5, id="popularity 2.5"),
    pytest.param(lambda data, k: PopularityNegatives(data, n_negatives=k, alpha=0.0), 0.0, id="popularity 0"),
]


def test_the_samplers_are_registered_with_their_settings() -> None:
    assert SAMPLERS.names() == ["dns", "in_batch", "mixed", "popularity", "shared", "uniform"]
    assert [parameter.name for parameter in SAMPLERS.describe("popularity").parameters] == ["n_negatives", "alpha"]
    assert SAMPLERS.get("uniform") is UniformNegatives


@pytest.mark.parametrize(("build", "alpha"), SAMPLERS_UNDER_TEST)
def test_no_negative_is_in_the_train_row_and_each_unseen_item_has_its_exact_share(
    table: np.ndarray, build: object, alpha: float
) -> None:
    sampler: NegativeSampler = build(data_of(table), 5)  # type: ignore[operator]
    n_rounds = 4000
    users = np.tile(np.arange(len(table), dtype=np.int32), n_rounds)
    drawn = sampler.draw(users, generator(2, 0, "test"))
    assert drawn.shape == (len(users), 5)
    assert drawn.dtype == np.int32
    assert not table[users[:, None], drawn].any()
    counts = np.zeros(table.shape)
    np.add.at(counts, (users[:, None], drawn), 1)
    weights = np.where(table, 0, np.maximum(table.sum(axis=0), 1) ** alpha)
    expected = n_rounds * 5 * weights / weights.sum(axis=1, keepdims=True)
    tested = expected > 5
    statistic = ((counts - expected)[tested] ** 2 / expected[tested]).sum()
    assert chi2.sf(statistic, tested.sum() - len(table)) > 1e-4


@pytest.mark.parametrize(("build", "alpha"), SAMPLERS_UNDER_TEST)
def test_the_same_generator_gives_the_same_negatives(table: np.ndarray, build: object, alpha: float) -> None:
    sampler: NegativeSampler = build(data_of(table), 3)  # type: ignore[operator]
    users = np.array([3, 20, 3, 35])
    first, again, other = (sampler.draw(users, generator(seed, 0, "test")) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**32))
def test_a_user_may_have_seen_all_items_but_one(n_users: int, n_items: int, seed: int) -> None:
    seen = np.ones((n_users, n_items), dtype=bool)
    left = np.random.default_rng(seed).integers(0, n_items, n_users)
    seen[np.arange(n_users), left] = False
    users = np.repeat(np.arange(n_users), 4)
    for sampler in (UniformNegatives(data_of(seen)), PopularityNegatives(data_of(seen))):
        np.testing.assert_array_equal(sampler.draw(users, generator(seed, 0, "test"))[:, 0], left[users])


@pytest.mark.parametrize("sampler", [UniformNegatives, PopularityNegatives])
def test_users_who_have_every_item_are_refused(sampler: type[NegativeSampler]) -> None:
    table = np.array([[True, False], [True, True]])
    with pytest.raises(DataError, match=r"1 of 2 users have seen every item .* internal id 1"):
        sampler(data_of(table))  # type: ignore[call-arg]


def test_one_user_and_one_item_leave_nothing_to_draw_or_only_that_item() -> None:
    with pytest.raises(DataError, match="1 of 1 users have seen every item"):
        UniformNegatives(data_of(np.ones((1, 1), dtype=bool)))
    sampler = UniformNegatives(data_of(np.zeros((1, 1), dtype=bool)), n_negatives=3)
    assert sampler.draw(np.array([0, 0]), generator(0, 0, "test")).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_no_users_give_no_negatives(table: np.ndarray) -> None:
    sampler = PopularityNegatives(data_of(table), n_negatives=4)
    assert sampler.draw(np.empty(0, dtype=np.int32), generator(0, 0, "test")).shape == (0, 4)


def test_draws_longer_than_a_block_are_as_exact_as_short_ones(table: np.ndarray) -> None:
    users = np.random.default_rng(0).integers(0, len(table), 100_000)
    drawn = UniformNegatives(data_of(table), n_negatives=3).draw(users, generator(0, 0, "test"))
    assert not table[users[:, None], drawn].any()


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=40))
def test_the_alias_table_holds_exactly_the_weights(weights: list[int]) -> None:
    table = AliasTable(np.array(weights))
    share = sum(weights)
    assert ((table._own >= 0) & (table._own <= share)).all()
    held = np.zeros(len(weights), dtype=np.int64)
    np.add.at(held, np.arange(len(weights)), table._own)
    np.add.at(held, table._other, share - table._own)
    assert held.tolist() == [weight * len(weights) for weight in weights]


@pytest.mark.parametrize("n_rows", [1, 10**6, 10**9])
def test_integer_weights_keep_proportions_and_their_sum_fits(n_rows: int) -> None:
    weights = np.array([1e-30, 1.0, 2.0, 5.0])
    integers = integer_weights(weights, n_rows)
    assert integers.min() == 1
    assert int(integers.sum()) * n_rows < 2**62
    np.testing.assert_allclose(integers[1:] / integers[1], weights[1:], rtol=1e-7)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 400.0])
def test_any_alpha_is_finite(alpha: float, table: np.ndarray) -> None:
    sampler = PopularityNegatives(data_of(table), alpha=alpha)
    users = np.arange(len(table)).repeat(20)
    assert not table[users, sampler.draw(users, generator(0, 0, "test"))[:, 0]].any()


def test_gowalla_has_no_false_negative(shared_data: Path) -> None:
    import gzip

    with gzip.open(shared_data / "gowalla" / "train.txt.gz", "rt") as file:
        lines = [np.array(line.split(), dtype=np.int64) for line in file]
    users = np.repeat([line[0] for line in lines], [len(line) - 1 for line in lines])
    items = np.concatenate([line[1:] for line in lines])
    data = TrainingData(FieldTuple(), 29_858, 40_981, Interactions(users.astype(np.int32), items.astype(np.int32)))
    codes = np.sort(users * data.n_items + items)
    for sampler in (UniformNegatives(data), PopularityNegatives(data, alpha=1.0)):
        drawn = users * data.n_items + sampler.draw(users, generator(0, 0, "test"))[:, 0]
        places = np.minimum(np.searchsorted(codes, drawn), len(codes) - 1)
        assert not (codes[places] == drawn).any()


def batch_of(table: np.ndarray, size: int, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return users and positives of a batch of random interactions."""
    users, items = np.nonzero(table)
    chosen = np.random.default_rng(seed).permutation(len(users))[:size]
    return users[chosen].astype(np.int64), items[chosen].astype(np.int64)


def test_each_row_of_the_batch_whose_item_the_user_has_not_seen_is_equally_likely(table: np.ndarray) -> None:
    users, positives = batch_of(table, 30)
    sampler = InBatchNegatives(data_of(table), n_negatives=20_000)
    drawn = sampler.draw_from_batch(users, positives, generator(3, 0, "test"))
    for row, user in enumerate(users):
        in_batch = np.bincount(positives, minlength=table.shape[1])
        weights = np.where(table[user], 0, in_batch)
        weights = weights if weights.any() else np.where(table[user], 0, 1)
        expected = 20_000 * weights / weights.sum()
        counts = np.bincount(drawn[row], minlength=table.shape[1])
        assert not counts[weights == 0].any()
        possible = weights > 0
        statistic = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
        assert possible.sum() == 1 or chi2.sf(statistic, possible.sum() - 1) > 1e-5


def test_a_batch_with_nothing_for_a_user_gives_uniform_negatives(table: np.ndarray) -> None:
    users, positives = np.array([2]), np.flatnonzero(table[2])[:1]
    drawn = InBatchNegatives(data_of(table), n_negatives=400).draw_from_batch(users, positives, generator(3, 0, "test"))
    assert set(drawn[0]) == set(np.flatnonzero(~table[2]))


def test_mixed_negatives_are_uniform_ones_and_those_of_the_batch(table: np.ndarray) -> None:
    users, positives = batch_of(table, 30)
    sampler = MixedNegatives(data_of(table), n_negatives=40, uniform_share=0.25)
    drawn = sampler.draw_from_batch(users, positives, generator(3, 0, "test"))
    assert drawn.shape == (30, 40)
    assert not table[users[:, None], drawn].any()
    has_others = np.array([(~table[user][positives]).any() for user in users])
    assert np.isin(drawn[has_others, 10:], positives).all()
    assert not np.isin(drawn[:, :10], positives).all()
    for share, n_uniform in ((0.0, 1), (1.0, 39)):
        extreme = MixedNegatives(data_of(table), n_negatives=40, uniform_share=share)
        assert extreme._uniform.n_negatives == n_uniform


@pytest.mark.parametrize("alpha", [None, 0.0, 1.3])
def test_the_probabilities_of_a_users_unseen_items_add_up_to_one(table: np.ndarray, alpha: float | None) -> None:
    data = data_of(table)
    sampler = UniformNegatives(data) if alpha is None else PopularityNegatives(data, alpha=alpha)
    for user in (0, 20, 35):
        unseen = np.flatnonzero(~table[user])
        probabilities = np.exp(sampler.log_probability(np.array([user]), unseen[None])[0])
        weights = np.maximum(table.sum(0), 1)[unseen] ** (alpha or 0.0)
        np.testing.assert_allclose(probabilities, weights / weights.sum(), rtol=1e-5)


def test_the_probabilities_of_negatives_from_the_batch_are_shares_of_the_interactions(table: np.ndarray) -> None:
    data = data_of(table)
    counts = table.sum(0)
    assert (counts == 0).any()  # items that no batch can hold have no share, but a probability if they are drawn
    unseen = np.flatnonzero(~table[5])
    shares = np.maximum(counts, counts[counts > 0].min())[unseen] / (counts.sum() - counts[table[5]].sum())
    in_batch = np.exp(InBatchNegatives(data).log_probability(np.array([5]), unseen[None])[0])
    np.testing.assert_allclose(in_batch, shares, rtol=1e-5)
    np.testing.assert_allclose(in_batch[counts[unseen] > 0].sum(), 1, rtol=1e-5)
    mixed = MixedNegatives(data, n_negatives=4, uniform_share=0.25)
    expected = 0.25 / len(unseen) + 0.75 * in_batch
    np.testing.assert_allclose(np.exp(mixed.log_probability(np.array([5]), unseen[None])[0]), expected, rtol=1e-5)


def test_candidates_are_unseen_items_for_each_negative(table: np.ndarray) -> None:
    users = np.array([3, 20, 35])
    drawn = DynamicNegatives(data_of(table), n_negatives=2, n_candidates=7).draw(users, generator(0, 0, "test"))
    assert drawn.shape == (3, 2, 7)
    assert not table[users[:, None, None], drawn].any()
