"""Histories ordered by time, with negatives for each item."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recrun.data.datasets import Synthetic
from recrun.data.postprocessing import shuffle
from recrun.data.sampling.negatives import UniformNegatives
from recrun.errors import DataError


@pytest.fixture(scope="module")
def data() -> Any:
    return Synthetic(n_users=80, n_items=60, n_interactions=900, split="leave_one_out")


def _epoch(pipe: Any, seed: int = 1, epoch: int = 0) -> dict[str, np.ndarray]:
    batches = list(pipe.iterate("train", seed=seed, epoch=epoch))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_every_user_with_two_items_comes_once_with_the_latest_of_them(data: Any) -> None:
    rows = _epoch(data.sequences_(5))
    histories = data.training_data().interactions.histories(data.n_users)
    expected = np.flatnonzero(histories.lengths >= 2)
    assert sorted(rows["user"][:, 0]) == expected.tolist()
    assert rows["user"][:, 0].tolist() != expected.tolist(), "in random order"
    for user, items, length in zip(rows["user"][:, 0], rows["item"], rows["length"][:, 0], strict=True):
        latest = histories.row(user)[-5:]
        assert length == len(latest)
        assert items[:length].tolist() == latest.tolist()
        assert not items[length:].any()


@pytest.mark.parametrize(("width", "step"), [(5, 5), (5, 2), (6, 1), (40, 3), (2, 7)])
def test_windows_reach_back_from_the_latest_items_to_the_first(data: Any, width: int, step: int) -> None:
    rows = _epoch(data.sequences_(width, step=step))
    histories = data.training_data().interactions.histories(data.n_users)
    expected = []
    for user in range(data.n_users):
        items = histories.row(user).tolist()
        if len(items) >= 2:
            # The windows of BERT4Rec's code: from the end in steps, and the first one.
            begins = [*range(len(items) - width, 0, -step), 0]
            expected += [(user, items[begin : begin + width]) for begin in begins]
    found = [
        (user, items[:length].tolist())
        for user, items, length in zip(rows["user"][:, 0], rows["item"], rows["length"][:, 0], strict=True)
    ]
    assert sorted(found) == sorted(expected)
    assert data.sequences_(width, step=step).split_(7).n_batches("train") == -(-len(expected) // 7)


def test_windows_a_row_apart_predict_each_item_but_the_first_once(data: Any) -> None:
    rows = _epoch(data.sequences_(7, step=6))
    n_predicted = (rows["length"] - 1).sum()
    lengths = data.training_data().interactions.histories(data.n_users).lengths
    assert n_predicted >= (lengths[lengths >= 2] - 1).sum()
    overlap = sum((length - 1) % 6 != 0 and length > 7 for length in lengths)
    assert n_predicted <= (lengths[lengths >= 2] - 1).sum() + 6 * overlap


@pytest.mark.parametrize(("width", "n_targets"), [(4, 1), (50, 1), (3, 2), (1, 3)])
def test_each_item_comes_once_with_the_items_before_it(data: Any, width: int, n_targets: int) -> None:
    pipe = data.prefixes_(width, n_targets=n_targets)
    rows = _epoch(pipe)
    histories = data.training_data().interactions.histories(data.n_users)
    expected = []
    for user in range(data.n_users):
        items = histories.row(user).tolist()
        for start in range(1, len(items) - n_targets + 1):
            before = items[:start][-width:]
            expected.append((user, before, items[start : start + n_targets]))
    columns = rows["user"][:, 0], rows["item"], rows["length"][:, 0], rows["target"]
    found = [
        (user, items[:length].tolist(), targets.tolist()) for user, items, length, targets in zip(*columns, strict=True)
    ]
    assert sorted(found) == sorted(expected)
    assert found != sorted(found), "in random order"
    assert rows["item"].shape == (len(expected), width)
    assert not rows["item"][np.arange(width) >= rows["length"]].any()
    assert sum(pipe.sizes("train")) == len(expected)


def test_each_target_of_a_prefix_has_negatives_that_its_user_has_not_seen(data: Any) -> None:
    sampler = UniformNegatives(data.training_data(), n_negatives=3)
    rows = _epoch(data.prefixes_(5, n_targets=2, sampler=sampler))
    assert rows["negative"].shape == (len(rows["user"]), 2, 3)
    seen = data.csr("train")
    for user, negatives in zip(rows["user"][:, 0], rows["negative"], strict=True):
        assert not np.isin(negatives, seen.row(user)).any()


def test_each_item_has_negatives_that_its_user_has_not_seen(data: Any) -> None:
    sampler = UniformNegatives(data.training_data(), n_negatives=3)
    rows = _epoch(data.sequences_(7, sampler=sampler))
    assert rows["negative"].shape == (len(rows["user"]), 7, 3)
    seen = data.csr("train")
    for user, negatives, length in zip(rows["user"][:, 0], rows["negative"], rows["length"][:, 0], strict=True):
        assert not np.isin(negatives[:length], seen.row(user)).any()
        assert not negatives[length:].any()
    assert len(np.unique(rows["negative"])) > 50


def test_an_epoch_is_a_function_of_seed_and_number(data: Any) -> None:
    pipe = data.shard_().sequences_(6, sampler=UniformNegatives(data.training_data(), n_negatives=2)).split_(16)
    first, again = _epoch(pipe), _epoch(pipe)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    for other in (_epoch(pipe, seed=2), _epoch(pipe, epoch=1)):
        assert not np.array_equal(first["user"], other["user"])
        assert not np.array_equal(first["negative"], other["negative"])


def test_the_ranks_of_several_processes_share_the_rows(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _epoch(data.sequences_(6))
    monkeypatch.setenv("WORLD_SIZE", "2")
    shares = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        shares.append(_epoch(data.shard_().sequences_(6)))
    assert np.array_equal(whole["item"][::2], shares[0]["item"])
    assert np.array_equal(whole["item"][1::2], shares[1]["item"])


def test_it_serves_train_only_and_directly_behind_the_data_set(data: Any) -> None:
    with pytest.raises(DataError, match="sequences_ serves train only"):
        data.sequences_(5).n_batches("valid")
    with pytest.raises(DataError, match="prefixes_ serves train only"):
        data.prefixes_(5).n_batches("test")
    with pytest.raises(DataError, match="must directly follow the data set"):
        data.shuffle_().sequences_(5)


def test_a_set_without_two_items_of_one_user_is_refused(make_set: Any) -> None:
    with pytest.raises(DataError, match="no user has 2 train interactions"):
        make_set([(0, 1), (1, 2)], n_users=2, n_items=3).sequences_(5)
    with pytest.raises(DataError, match="no user has 3 train interactions, the fewest for a prefix and what follows"):
        make_set([(0, 1), (0, 2), (1, 2)], n_users=2, n_items=3).prefixes_(5, n_targets=2)


@pytest.mark.parametrize("step", ["sequences", "windows", "prefixes"])
def test_many_rows_are_shuffled_in_buckets(data: Any, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipes = {
        "sequences": lambda: data.sequences_(5),
        "windows": lambda: data.sequences_(5, step=2),
        "prefixes": lambda: data.prefixes_(5, sampler=UniformNegatives(data.training_data())),
    }
    pipe = pipes[step]()
    at_once = _epoch(pipe)
    monkeypatch.setattr(shuffle, "WHOLE", 20)
    monkeypatch.setattr(shuffle, "_BUCKET", 15)
    monkeypatch.setattr(pipe, "_chunk", 32)
    assert [len(batch["user"]) for batch in pipe.iterate("train", seed=1, epoch=0)] == pipe.sizes("train")
    rows, again, other = _epoch(pipe), _epoch(pipe), _epoch(pipe, epoch=1)

    def sorted_rows(columns: dict[str, np.ndarray]) -> np.ndarray:
        kept = np.concatenate([columns[name] for name in columns if name != "negative"], axis=1)
        return kept[np.lexsort(kept.T)]

    np.testing.assert_array_equal(sorted_rows(rows), sorted_rows(at_once))
    assert (rows["item"] != at_once["item"]).any()
    assert (rows["item"] != other["item"]).any()
    for name, column in rows.items():
        np.testing.assert_array_equal(column, again[name])
    if "negative" in rows:
        seen = data.csr("train")
        for user, negatives in zip(rows["user"][:, 0], rows["negative"].reshape(len(rows["user"]), -1), strict=True):
            assert not np.isin(negatives, seen.row(user)).any()
