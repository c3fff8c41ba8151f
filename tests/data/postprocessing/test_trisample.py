from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recrun.errors import DataError


def test_targets_are_one_where_held_out_and_minus_one_where_seen(small: Any) -> None:
    (batch,) = small.trisample_(batch_size=10).iterate("valid", seed=0, epoch=0)
    assert batch["user"].tolist() == [[0], [1], [2]]
    assert batch["user"].dtype == np.int64
    assert batch["item"].dtype == np.int8
    assert batch["item"].tolist() == [
        [1, -1, 0, -1, -1, 0, 0, 0],
        [-1, 0, 0, 0, 0, -1, 1, 0],
        [0, 0, 1, 0, 0, 0, 0, 0],
    ]


def test_in_test_mode_valid_items_count_as_seen(small: Any) -> None:
    batches = list(small.trisample_(batch_size=2).iterate("test", seed=0, epoch=0))
    assert [batch["user"].tolist() for batch in batches] == [[[0], [1]], [[2]]]
    assert batches[0]["item"].tolist() == [[-1, -1, 0, -1, -1, 0, 0, 1], [-1, 0, 0, 0, 0, -1, -1, 1]]
    assert batches[1]["item"].tolist() == [[0, 0, -1, 0, 0, 1, 0, 0]]


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_every_user_with_held_out_items_comes_once_whatever_the_batch_size(random_set: Any, batch_size: int) -> None:
    pipe = random_set.trisample_(batch_size)
    batches = list(pipe.iterate("test", seed=0, epoch=0))
    assert pipe.sizes("test") == [len(batch["user"]) for batch in batches]
    users = np.concatenate([batch["user"] for batch in batches])[:, 0]
    np.testing.assert_array_equal(users, np.unique(random_set.interactions("test").users))
    targets = np.concatenate([batch["item"] for batch in batches])
    assert (targets == 1).sum() == len(random_set.interactions("test"))


def test_it_needs_users_in_a_batch_and_the_data_set_before_it(small: Any) -> None:
    with pytest.raises(DataError, match="expected a batch size of at least 1, found 0"):
        small.trisample_(0)
    with pytest.raises(DataError, match="trisample_ creates its own rows"):
        small.split_(3).trisample_(4)


def test_train_is_refused(small: Any) -> None:
    with pytest.raises(DataError, match="trisample_ serves valid and test"):
        small.trisample_(2).n_batches("train")
