from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from recrun.data.postprocessing import source
from recrun.data.tags import ID, ITEM, RATING, USER
from recrun.errors import DataError


def rows(pipe: Any, mode: str = "train", *, seed: int = 0, epoch: int = 0) -> list[tuple[float, ...]]:
    """Return the rows of an epoch, each with its columns side by side."""
    batches = list(pipe.iterate(mode, seed=seed, epoch=epoch))
    return [tuple(row) for batch in batches for row in np.concatenate(list(batch.values()), axis=1).tolist()]


def test_pipes_are_made_without_torch() -> None:
    code = "import sys, recrun.data.postprocessing.base; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_data_set_streams_its_rows_in_their_order_with_columns_two_dimensional(small: Any) -> None:
    (batch,) = small.iterate("train", seed=0, epoch=0)
    assert list(batch) == ["user", "item", "rating"]
    assert all(column.shape == (7, 1) for column in batch.values())
    assert [column.dtype for column in batch.values()] == [np.int64, np.int64, np.float32]
    assert batch["user"][:, 0].tolist() == [0, 0, 1, 3, 0, 3, 1]
    assert batch["rating"][:, 0].tolist() == [1, 3, 10, 37, 4, 32, 15]
    assert small.base is small


def test_batches_are_copies_that_may_be_written_to(small: Any) -> None:
    for batch in small.iterate("train", seed=0, epoch=0):
        for column in batch.values():
            column[:] = -1
    assert rows(small)[0] == (0, 1, 1)


def test_long_parts_come_in_chunks_of_bounded_length(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "chunks", lambda n, size=3: ((i, min(i + size, n)) for i in range(0, n, size)))
    assert small.sizes("train") == [3, 3, 1]
    assert [len(batch["user"]) for batch in small.iterate("train", seed=0, epoch=0)] == [3, 3, 1]
    assert (small.n_batches("train"), small.n_rows("train")) == (3, 7)


def test_an_unknown_mode_is_refused_with_the_list_of_modes(small: Any) -> None:
    with pytest.raises(DataError, match="unknown mode 'vaild'; did you mean 'valid'"):
        next(small.iterate("vaild", seed=0, epoch=0))
    with pytest.raises(DataError, match="Available: test, train, valid"):
        small.shard_().sizes("x")


def test_an_empty_part_yields_nothing(make_set: Any) -> None:
    assert list(make_set([], n_users=1, n_items=2).shuffle_().iterate("train", seed=0, epoch=0)) == []
    pipe = make_set([(0, 0)], n_users=1, n_items=2).shuffle_().negatives_for_eval_(1).tensor_().split_(4)
    assert list(pipe.iterate("valid", seed=0, epoch=0)) == []
    assert pipe.n_batches("valid") == 0


def test_subfield_keeps_the_columns_of_fields_with_all_tags(small: Any) -> None:
    pipe = small.subfield_(ID)
    assert [field.name for field in pipe.fields] == ["user", "item"]
    assert rows(pipe)[0] == (0, 1)
    assert rows(small.subfield_(RATING))[1] == (3,)
    with pytest.raises(DataError, match="no field has the tags USER, RATING; there are SparseField"):
        small.subfield_(USER, RATING)


def test_no_step_may_follow_group(small: Any) -> None:
    with pytest.raises(DataError, match="must be the last step"):
        small.group_(USER).split_(3)


def test_a_chain_shares_nothing_with_another_from_the_same_data_set(small: Any) -> None:
    pipe = small.shuffle_().negatives_for_train_(2).split_(3)
    first = rows(pipe)
    stream = pipe.iterate("train", seed=0, epoch=0)
    next(stream)
    assert rows(small.negatives_for_train_(1).split_(2)) != first
    assert rows(pipe) == first
    assert pipe.base is small
    assert [field.name for field in small.subfield_(ITEM).base.fields] == ["user", "item", "rating"]


def test_training_and_validation_never_read_test(small: Any) -> None:
    small.read.clear()
    for pipe in (small.shard_().uniform_sampling_(2).tensor_().split_(3), small.shuffle_().negatives_for_train_(1)):
        rows(pipe)
        assert pipe.n_batches("train")
    for pipe in (small.trisample_(2).shard_(), small.negatives_for_eval_(3), small.split_(2)):
        rows(pipe, "valid")
        assert pipe.n_batches("valid")
    assert set(small.read) == {"train", "valid"}
    rows(small.negatives_for_eval_(1), "test")
    assert "test" in small.read


CHAINS = {
    "rows": lambda data: data,
    "split": lambda data: data.split_(4),
    "batch": lambda data: data.batch_(4, drop_last=True),
    "shuffle": lambda data: data.shuffle_().split_(3),
    "uniform": lambda data: data.shard_().uniform_sampling_(3).tensor_().split_(4),
    "train": lambda data: data.shard_().shuffle_().negatives_for_train_(2).split_(5),
    "subfield": lambda data: data.subfield_(ID).shard_(),
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
@pytest.mark.parametrize("world", [None, ("0", "3"), ("2", "3")])
def test_the_promised_sizes_are_those_that_come(
    chain: Any, world: Any, random_set: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if world:
        monkeypatch.setenv("RANK", world[0])
        monkeypatch.setenv("WORLD_SIZE", world[1])
    pipe = chain(random_set)
    batches = list(pipe.iterate("train", seed=1, epoch=2))
    assert pipe.sizes("train") == [len(batch["user"]) for batch in batches]
    assert pipe.n_batches("train") == len(batches)


@pytest.mark.parametrize("name", CHAINS)
def test_an_epoch_can_be_drawn_again_from_seed_and_epoch(name: str, random_set: Any) -> None:
    pipe = CHAINS[name](random_set)
    first = rows(pipe, seed=3, epoch=5)
    assert rows(CHAINS[name](random_set), seed=3, epoch=5) == first
    draws = name in ("shuffle", "uniform", "train")
    assert (rows(pipe, seed=3, epoch=6) != first) == draws
    assert (rows(pipe, seed=4, epoch=5) != first) == draws
