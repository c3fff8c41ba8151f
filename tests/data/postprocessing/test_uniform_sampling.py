from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recrun.data.postprocessing import uniform_sampling
from recrun.data.sampling.negatives import PopularityNegatives
from recrun.errors import DataError


def drawn(pipe: Any, *, n_epochs: int = 1) -> tuple[np.ndarray, np.ndarray]:
    batches = [batch for epoch in range(n_epochs) for batch in pipe.iterate("train", seed=0, epoch=epoch)]
    return tuple(np.concatenate([batch[name] for batch in batches]) for name in ("user", "item"))  # type: ignore[return-value]


def test_an_epoch_has_as_many_rows_as_train_with_the_positive_first(random_set: Any) -> None:
    users, items = drawn(random_set.uniform_sampling_(num_negatives=4))
    seen = random_set.training_data().matrix().toarray().astype(bool)
    assert users.shape == (800, 1)
    assert items.shape == (800, 5)
    assert users.dtype == items.dtype == np.int64
    assert seen[users[:, 0], items[:, 0]].all()
    assert not seen[users, items[:, 1:]].any()


def test_only_the_columns_of_ids_come_out(small: Any) -> None:
    pipe = small.uniform_sampling_()
    assert [field.name for field in pipe.fields] == ["user", "item"]
    assert all(list(batch) == ["user", "item"] for batch in pipe.iterate("train", seed=0, epoch=0))


def test_users_are_drawn_uniformly_and_so_are_their_items(small: Any) -> None:
    users, items = drawn(small.uniform_sampling_(), n_epochs=3000)
    n = len(users)
    by_user = np.bincount(users[:, 0], minlength=4)
    assert by_user[2] == 0
    np.testing.assert_allclose(by_user[[0, 1, 3]] / n, 1 / 3, atol=0.015)
    positives = np.bincount(items[users[:, 0] == 0, 0], minlength=8) / by_user[0]
    np.testing.assert_allclose(positives[[1, 3, 4]], 1 / 3, atol=0.025)
    negatives = np.bincount(items[users[:, 0] == 0, 1], minlength=8) / by_user[0]
    np.testing.assert_allclose(negatives[[0, 2, 5, 6, 7]], 1 / 5, atol=0.025)


def test_a_sampler_may_be_given_and_brings_its_own_number(random_set: Any) -> None:
    sampler = PopularityNegatives(random_set.training_data(), n_negatives=3)
    _, items = drawn(random_set.uniform_sampling_(sampler=sampler))
    assert items.shape == (800, 4)


def test_no_negatives_may_be_asked_for_even_of_users_with_every_item(make_set: Any) -> None:
    pipe = make_set([(0, 0), (0, 1)], n_users=1, n_items=2).uniform_sampling_(0)
    assert drawn(pipe)[1].shape == (2, 1)


def test_a_user_with_every_item_is_refused_instead_of_looping_forever(make_set: Any) -> None:
    data = make_set([(0, 0), (1, 0), (1, 1)], n_users=2, n_items=2)
    with pytest.raises(DataError, match="1 of 2 users have seen every item"):
        data.uniform_sampling_()


def test_one_user_with_one_of_two_items_is_enough(make_set: Any) -> None:
    users, items = drawn(make_set([(0, 1)], n_users=1, n_items=2).uniform_sampling_(2))
    assert users.tolist() == [[0]]
    assert items.tolist() == [[1, 0, 0]]


def test_an_empty_train_part_is_refused(make_set: Any) -> None:
    with pytest.raises(DataError, match="no user has train interactions"):
        make_set([], n_users=2, n_items=2).uniform_sampling_()


def test_valid_and_test_are_refused_with_the_way_out(small: Any) -> None:
    for pipe in (small.uniform_sampling_(), small.shard_().uniform_sampling_().tensor_().split_(2)):
        with pytest.raises(DataError, match="uniform_sampling_ serves train only; join a pipe for valid with wrap_"):
            next(pipe.iterate("valid", seed=0, epoch=0))
        with pytest.raises(DataError, match="join a pipe for test"):
            pipe.n_batches("test")


def test_it_must_directly_follow_the_data_set(small: Any) -> None:
    with pytest.raises(DataError, match=r"must directly follow the data set .* here it follows Shuffle"):
        small.shuffle_().uniform_sampling_()


def test_long_epochs_come_in_chunks_bounded_in_cells(random_set: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uniform_sampling, "chunk_rows", lambda width: 600 // width)
    pipe = random_set.uniform_sampling_(2)
    assert pipe.sizes("train") == [200] * 4
    assert [len(batch["user"]) for batch in pipe.iterate("train", seed=0, epoch=0)] == [200] * 4
