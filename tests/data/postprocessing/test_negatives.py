from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recrun.data.postprocessing import negatives
from recrun.errors import DataError


def drawn(pipe: Any, mode: str, *, seed: int = 0, epoch: int = 0) -> tuple[np.ndarray, np.ndarray]:
    batches = list(pipe.iterate(mode, seed=seed, epoch=epoch))
    return tuple(np.concatenate([batch[name] for batch in batches]) for name in ("user", "item"))  # type: ignore[return-value]


def table(data: Any, *splits: str) -> np.ndarray:
    seen = np.zeros((data.n_users, data.n_items), dtype=bool)
    for split in splits:
        interactions = data.interactions(split)
        seen[interactions.users, interactions.items] = True
    return seen


def test_each_train_row_comes_once_in_order_with_its_negatives_and_columns(random_set: Any) -> None:
    pipe = random_set.negatives_for_train_(3)
    users, items = drawn(pipe, "train")
    train = random_set.interactions("train")
    np.testing.assert_array_equal(users[:, 0], train.users)
    np.testing.assert_array_equal(items[:, 0], train.items)
    assert items.shape == (800, 4)
    assert items.dtype == np.int64
    assert not table(random_set, "train")[users, items[:, 1:]].any()
    (batch,) = pipe.iterate("train", seed=0, epoch=0)
    np.testing.assert_array_equal(batch["rating"][:, 0], train.columns["rating"])


def test_shuffled_before_it_each_train_row_still_comes_once(random_set: Any) -> None:
    users, items = drawn(random_set.shuffle_().negatives_for_train_(1), "train")
    train = random_set.interactions("train")
    assert sorted(zip(users[:, 0], items[:, 0], strict=True)) == sorted(zip(train.users, train.items, strict=True))
    assert not table(random_set, "train")[users, items[:, 1:]].any()


def test_negatives_may_be_valid_or_test_items_of_the_user(make_set: Any) -> None:
    data = make_set([(0, 0)], [(0, 1)], [(0, 2)], n_users=1, n_items=3)
    found = {drawn(data.negatives_for_train_(1), "train", epoch=epoch)[1][0, 1] for epoch in range(50)}
    assert found == {1, 2}


@pytest.mark.parametrize(("mode", "parts"), [("valid", ["train", "valid"]), ("test", ["train", "valid", "test"])])
def test_negatives_for_evaluation_are_distinct_and_in_no_part_that_the_mode_may_read(
    random_set: Any, mode: str, parts: list[str]
) -> None:
    users, items = drawn(random_set.negatives_for_eval_(12), mode)
    held_out = random_set.interactions(mode)
    np.testing.assert_array_equal(users[:, 0], held_out.users)
    np.testing.assert_array_equal(items[:, 0], held_out.items)
    assert items.shape == (len(held_out), 13)
    assert not table(random_set, *parts)[users, items[:, 1:]].any()
    assert (np.diff(np.sort(items, axis=1), axis=1) > 0).all()


def test_negatives_for_evaluation_are_the_same_in_every_epoch_and_differ_by_seed(random_set: Any) -> None:
    pipe = random_set.negatives_for_eval_(5)
    first = drawn(pipe, "valid", epoch=0)[1]
    np.testing.assert_array_equal(drawn(pipe, "valid", epoch=9)[1], first)
    assert (drawn(pipe, "valid", seed=1)[1] != first).any()


def test_more_negatives_than_a_user_has_unseen_items_are_refused(small: Any) -> None:
    with pytest.raises(DataError, match=r"1 of 4 users have fewer than 5 unseen items .*ask for fewer negatives"):
        drawn(small.negatives_for_eval_(5), "valid")
    assert drawn(small.negatives_for_eval_(4), "valid")[1].shape == (3, 5)


def test_users_who_are_not_evaluated_may_have_every_item(make_set: Any) -> None:
    data = make_set([(0, 0), (0, 1), (0, 2)], [(1, 0)], n_users=2, n_items=3)
    assert sorted(drawn(data.negatives_for_eval_(2), "valid")[1][0].tolist()) == [0, 1, 2]


def test_a_user_with_every_item_is_refused_for_training(make_set: Any) -> None:
    with pytest.raises(DataError, match="1 of 1 users have seen every item"):
        make_set([(0, 0)], n_users=1, n_items=1).negatives_for_train_()


def test_the_modes_they_do_not_serve_are_refused(small: Any) -> None:
    with pytest.raises(DataError, match="negatives_for_train_ serves train only; join a pipe for test"):
        drawn(small.negatives_for_train_(), "test")
    with pytest.raises(DataError, match="negatives_for_eval_ serves valid and test"):
        drawn(small.negatives_for_eval_(1), "train")


def test_negatives_behind_negatives_are_refused(small: Any) -> None:
    with pytest.raises(DataError, match="the item column already holds 2 negatives"):
        drawn(small.negatives_for_train_(2).negatives_for_train_(1), "train")


def test_wide_rows_come_in_shorter_chunks(random_set: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negatives, "chunk_rows", lambda width: 1200 // width)
    pipe = random_set.negatives_for_train_(3)
    assert pipe.sizes("train") == [300, 300, 200]
    assert [len(batch["user"]) for batch in pipe.iterate("train", seed=0, epoch=0)] == [300, 300, 200]
