from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recrun.data.postprocessing import shuffle
from recrun.randomness import generator


def test_every_row_comes_once_and_its_columns_stay_together(random_set: Any) -> None:
    (batch,) = random_set.shuffle_().iterate("train", seed=0, epoch=0)
    (plain,) = random_set.iterate("train", seed=0, epoch=0)
    np.testing.assert_array_equal(batch["rating"], batch["user"] * 10 + batch["item"])
    order, plain_order = np.argsort(batch["rating"], axis=0), np.argsort(plain["rating"], axis=0)
    np.testing.assert_array_equal(batch["rating"][order[:, 0]], plain["rating"][plain_order[:, 0]])
    assert (batch["rating"] != plain["rating"]).any()


def test_the_order_is_numpys_shuffle_of_the_row_numbers_and_columns_keep_their_type(random_set: Any) -> None:
    (plain,) = random_set.iterate("train", seed=3, epoch=2)
    (batch,) = random_set.shuffle_().iterate("train", seed=3, epoch=2)
    order = np.arange(len(plain["user"]))
    generator(3, 2, "shuffle").shuffle(order)
    for name, column in plain.items():
        np.testing.assert_array_equal(batch[name], column[order])
        assert batch[name].dtype == column.dtype


def test_integers_beyond_32_bits_are_shuffled_whole(random_set: Any) -> None:
    rows = {"small": np.array([[3], [5]]), "large": np.array([[-(2**31) - 1], [2**31]]), "part": np.ones((2, 3))}

    class Rows:
        fields, yields_groups = random_set.fields, False

        def iterate(self, mode: str, *, seed: int, epoch: int) -> Any:
            yield {name: column[:1] for name, column in rows.items()}
            yield {name: column[1:] for name, column in rows.items()}

    (batch,) = shuffle.Shuffle(Rows()).iterate("train", seed=0, epoch=0)  # type: ignore[arg-type]
    order = np.argsort(batch["small"][:, 0])
    for name, column in rows.items():
        np.testing.assert_array_equal(batch[name][order], column)
        assert batch[name].dtype == column.dtype


def test_valid_and_test_stay_in_their_order(random_set: Any) -> None:
    for mode in ("valid", "test"):
        (batch,), (plain,) = (pipe.iterate(mode, seed=0, epoch=0) for pipe in (random_set.shuffle_(), random_set))
        np.testing.assert_array_equal(batch["rating"], plain["rating"])


def test_the_order_is_that_of_the_whole_epoch_not_of_a_chunk(random_set: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "chunks", lambda n, size=64: ((i, min(i + size, n)) for i in range(0, n, size)))
    pipe = random_set.split_(100).shuffle_()
    batches = list(pipe.iterate("train", seed=0, epoch=0))
    assert [len(batch["user"]) for batch in batches] == pipe.sizes("train") == [64] * 12 + [32]
    (whole,) = random_set.split_(10_000).iterate("train", seed=0, epoch=0)
    first_hundred = set(whole["rating"][:100, 0].tolist())
    assert not first_hundred.issuperset(batches[0]["rating"][:, 0].tolist())


def test_tensors_are_shuffled_as_arrays_are(random_set: Any) -> None:
    (arrays,), (tensors,) = (
        pipe.iterate("train", seed=0, epoch=0)
        for pipe in (random_set.shuffle_(), random_set.tensor_().split_(5000).shuffle_())
    )
    np.testing.assert_array_equal(arrays["item"], tensors["item"].numpy())
