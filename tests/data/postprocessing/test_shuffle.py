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


def test_integers_beyond_32_bits_are_shuffled_whole(random_set: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"small": np.array([[3], [5]]), "large": np.array([[-(2**31) - 1], [2**31]]), "part": np.ones((2, 3))}

    class Rows:
        fields, yields_groups = random_set.fields, False

        def sizes(self, mode: str) -> list[int]:
            return [1, 1]

        def iterate(self, mode: str, *, seed: int, epoch: int) -> Any:
            yield {name: column[:1] for name, column in rows.items()}
            yield {name: column[1:] for name, column in rows.items()}

    for most_at_once in (shuffle.WHOLE, 1):
        monkeypatch.setattr(shuffle, "WHOLE", most_at_once)
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


@pytest.fixture
def in_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have epochs of more than 50 rows shuffled in buckets of about 20."""
    monkeypatch.setattr(shuffle, "WHOLE", 50)
    monkeypatch.setattr(shuffle, "_BUCKET", 20)


@pytest.mark.usefixtures("in_buckets")
def test_rows_of_many_buckets_come_once_in_chunks_of_known_sizes(
    random_set: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shuffle, "CHUNK_ROWS", 64)
    monkeypatch.setattr(shuffle, "chunks", lambda n, size=64: ((i, min(i + size, n)) for i in range(0, n, size)))
    pipe = random_set.split_(100).shuffle_()
    batches = list(pipe.iterate("train", seed=0, epoch=0))
    (plain,) = random_set.iterate("train", seed=0, epoch=0)
    assert [len(batch["user"]) for batch in batches] == pipe.sizes("train") == [64] * 12 + [32]
    rows = {name: np.concatenate([batch[name] for batch in batches]) for name in plain}
    np.testing.assert_array_equal(rows["rating"], rows["user"] * 10 + rows["item"])
    np.testing.assert_array_equal(np.sort(rows["rating"], axis=0), np.sort(plain["rating"], axis=0))
    assert {name: column.dtype for name, column in rows.items()} == {name: c.dtype for name, c in plain.items()}
    first = rows["rating"][:100, 0].tolist()
    assert len(set(first) & set(plain["rating"][:100, 0].tolist())) < 50


@pytest.mark.usefixtures("in_buckets")
def test_the_order_in_buckets_is_a_function_of_seed_and_epoch(random_set: Any) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        batches = random_set.shuffle_().iterate("train", seed=seed, epoch=epoch)
        return [rating for batch in batches for rating in batch["rating"][:, 0].tolist()]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_every_order_in_buckets_is_equally_likely(random_set: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "WHOLE", 0)
    monkeypatch.setattr(shuffle, "_BUCKET", 2)

    class Rows:
        fields, yields_groups = random_set.fields, False

        def sizes(self, mode: str) -> list[int]:
            return [1, 3]

        def iterate(self, mode: str, *, seed: int, epoch: int) -> Any:
            yield {"row": np.array([[0]])}
            yield {"row": np.array([[1], [2], [3]])}

    pipe, n_epochs = shuffle.Shuffle(Rows()), 4800  # type: ignore[arg-type]
    orders: dict[tuple[int, ...], int] = {}
    for epoch in range(n_epochs):
        (batch,) = pipe.iterate("train", seed=0, epoch=epoch)
        order = tuple(batch["row"][:, 0].tolist())
        orders[order] = orders.get(order, 0) + 1
    expected = n_epochs / 24
    assert len(orders) == 24
    assert sum((count - expected) ** 2 / expected for count in orders.values()) < 53.5  # chi squared, 23, p = 0.0003


@pytest.mark.usefixtures("in_buckets")
def test_rows_of_tensors_are_shuffled_in_buckets_too(random_set: Any) -> None:
    arrays = list(random_set.shuffle_().tensor_().iterate("train", seed=0, epoch=1))
    tensors = list(random_set.tensor_().shuffle_().iterate("train", seed=0, epoch=1))
    for one, other in zip(arrays, tensors, strict=True):
        for name, column in one.items():
            np.testing.assert_array_equal(column, other[name])
