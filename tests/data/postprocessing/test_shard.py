from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recrun.errors import DataError


def epoch_rows(pipe: Any, mode: str = "train") -> list[list[int]]:
    batches = list(pipe.iterate(mode, seed=1, epoch=4))
    return [row for batch in batches for row in np.concatenate([batch["user"], batch["item"]], axis=1).tolist()]


CHAINS = {
    "rows": lambda data: data.shard_(),
    "uniform": lambda data: data.shard_().uniform_sampling_(2),
    "tensors": lambda data: data.shard_().uniform_sampling_(2).tensor_(),
    "train": lambda data: data.shard_().negatives_for_train_(1),
    "shuffled": lambda data: data.shard_().shuffle_().negatives_for_train_(1),
    "split": lambda data: data.shard_().negatives_for_train_(1).split_(7),
}


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 7])
@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_the_shares_of_all_ranks_together_are_the_epoch_of_one_process(
    chain: Any, n_ranks: int, random_set: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = epoch_rows(chain(random_set))
    monkeypatch.setenv("WORLD_SIZE", str(n_ranks))
    for rank in range(n_ranks):
        monkeypatch.setenv("RANK", str(rank))
        assert epoch_rows(chain(random_set)) == everything[rank::n_ranks]


def test_users_to_evaluate_are_shared_out_too(random_set: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = epoch_rows(random_set.trisample_(7).tensor_(), "valid")
    monkeypatch.setenv("WORLD_SIZE", "4")
    for rank in range(4):
        monkeypatch.setenv("RANK", str(rank))
        assert epoch_rows(random_set.trisample_(7).shard_().tensor_(), "valid") == everything[rank::4]


def test_a_share_without_rows_is_no_batch(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "9")
    monkeypatch.setenv("RANK", "8")
    pipe = small.shard_().negatives_for_train_(1)
    assert list(pipe.iterate("train", seed=0, epoch=0)) == []
    assert pipe.sizes("train") == []


def test_sharding_a_shard_is_refused_wherever_it_stands(small: Any) -> None:
    for pipe in (small.shard_(), small.shard_().split_(2), small.shard_().shuffle_(), small.wrap_(small.shard_())):
        with pytest.raises(DataError, match="already sharded; call shard_ only once"):
            pipe.shard_()


@pytest.mark.parametrize(("rank", "size"), [("0", None), (None, "2"), ("2", "2"), ("-1", "2"), ("a", "2"), ("0", "0")])
def test_an_invalid_rank_is_refused(
    rank: str | None, size: str | None, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RANK", rank), ("WORLD_SIZE", size)):
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match=f"0 <= RANK < WORLD_SIZE; found {rank} and {size}"):
        next(small.shard_().iterate("train", seed=0, epoch=0))
