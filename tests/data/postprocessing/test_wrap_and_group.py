from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recrun.data.fields import Tokenizer
from recrun.data.tags import ID, ITEM, RATING, TARGET, TIMESTAMP, USER
from recrun.errors import DataError


def first(pipe: Any, mode: str) -> Any:
    return next(pipe.iterate(mode, seed=0, epoch=0))


def test_the_chain_of_the_seed_feeds_its_model(random_set: Any) -> None:
    basepipe = random_set
    trainpipe = basepipe.shard_().uniform_sampling_(num_negatives=1).tensor_().split_(64)
    validpipe = basepipe.trisample_(batch_size=2048).shard_().tensor_()
    dataset = trainpipe.wrap_(validpipe).group_((USER, ITEM))
    User, Item = dataset.fields[USER, ID], dataset.fields[ITEM, ID]
    tokenizer = Tokenizer(basepipe.fields.groupby(ID))
    tokenizer.embed(8, ID)

    batches = list(dataset.iterate("train", seed=0, epoch=0))
    assert [len(users[User.name]) for users, _ in batches] == [64] * 12 + [32]
    assert dataset.n_batches("train") == 13
    users, items = batches[0]
    assert users[User.name].shape == (64, 1)
    assert items[Item.name].shape == (64, 2)
    scores = torch.mul(
        tokenizer[USER, ID].look_up(users[User.name]), tokenizer[ITEM, ID].look_up(items[Item.name])
    ).sum(-1)
    assert scores.shape == (64, 2)

    for mode in ("valid", "test"):
        ((users, items),) = dataset.iterate(mode, seed=0, epoch=0)
        targets = items[Item.name]
        assert targets.shape == (len(users[User.name]), 50)
        assert set(targets.unique().tolist()) == {-1, 0, 1}
        vectors = tokenizer[USER, ID].embeddings.weight[users[User.name]].flatten(1)
        preds = vectors @ tokenizer[ITEM, ID].embeddings.weight.flatten(1).T
        preds[targets == -1] = -1e10
        targets[targets == -1] = 0
        assert preds.shape == targets.shape


def test_each_mode_is_served_by_its_own_pipe(small: Any) -> None:
    pipe = small.negatives_for_train_(2).wrap_(small.trisample_(1), small.negatives_for_eval_(1).split_(2))
    assert first(pipe, "train")["item"].shape == (7, 3)
    assert first(pipe, "valid")["item"].shape == (1, 8)
    assert first(pipe, "test")["item"].shape == (2, 2)
    assert [pipe.n_batches(mode) for mode in ("train", "valid", "test")] == [1, 3, 2]


def test_the_pipe_for_valid_serves_test_where_none_is_given(small: Any) -> None:
    pipe = small.wrap_(small.trisample_(4))
    assert first(pipe, "test")["item"].shape == (3, 8)
    with pytest.raises(DataError, match="unknown mode"):
        pipe.sizes("eval")


def test_pipes_of_different_data_sets_are_not_joined(small: Any, random_set: Any) -> None:
    with pytest.raises(DataError, match="start from the same data set"):
        small.wrap_(random_set.trisample_(4))


def test_grouped_pipes_are_joined_only_with_grouped_ones(small: Any) -> None:
    joined = small.negatives_for_train_().group_(USER, ITEM).wrap_(small.trisample_(4).group_(USER, ITEM))
    assert len(first(joined, "valid")) == 2
    with pytest.raises(DataError, match="all pipes joined by wrap_ end in group_, or none"):
        small.group_(USER).wrap_(small.trisample_(4))
    with pytest.raises(DataError, match="must be the last step"):
        joined.split_(2)


@pytest.mark.parametrize("groups", [((USER, ITEM),), (USER, ITEM), (((USER, ID), (ITEM, ID)),)])
def test_groups_may_be_written_in_three_ways(groups: tuple[Any, ...], small: Any) -> None:
    users, items = first(small.group_(*groups), "train")
    assert list(users) == ["user"]
    assert list(items) == ["item"]


def test_a_group_may_hold_several_columns_and_a_column_may_be_in_several_groups(small: Any) -> None:
    ids, target, rating = first(small.group_(ID, TARGET, (RATING, TARGET)), "train")
    assert list(ids) == ["user", "item"]
    assert list(target) == list(rating) == ["rating"]
    np.testing.assert_array_equal(target["rating"], rating["rating"])


def test_a_group_without_fields_or_columns_is_refused(small: Any) -> None:
    with pytest.raises(DataError, match="no field belongs to the group TIMESTAMP; there are SparseField"):
        small.group_(USER, TIMESTAMP)
    with pytest.raises(DataError, match="group_ needs at least one group"):
        small.group_()
    with pytest.raises(
        DataError, match="no column of the train batches belongs to the group TARGET; columns: user, item"
    ):
        first(small.uniform_sampling_().group_(USER, TARGET), "train")
