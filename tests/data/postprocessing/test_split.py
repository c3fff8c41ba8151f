from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.fields import FieldTuple
from recrun.data.postprocessing.base import Pipe
from recrun.data.postprocessing.mode import Mode
from recrun.errors import DataError


class Chunks(Pipe):
    """Yields chunks of given lengths, with rows numbered consecutively."""

    fields = FieldTuple()

    def __init__(self, lengths: list[int], as_tensors: bool) -> None:
        self.lengths, self.as_tensors = lengths, as_tensors

    @property
    def base(self) -> Any:
        return self

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Any]:
        start = 0
        for length in self.lengths:
            column = np.arange(start, start + length)[:, None]
            start += length
            yield {"a": torch.as_tensor(column) if self.as_tensors else column, "b": np.hstack((column, -column))}

    def sizes(self, mode: Mode) -> list[int] | None:
        return self.lengths


@given(st.lists(st.integers(1, 20), max_size=12), st.integers(1, 30), st.booleans(), st.booleans())
def test_all_batches_but_the_last_are_full_and_no_row_is_lost(
    lengths: list[int], batch_size: int, drop_last: bool, as_tensors: bool
) -> None:
    pipe = Chunks(lengths, as_tensors).batch_(batch_size, drop_last)
    batches = list(pipe.iterate("train", seed=0, epoch=0))
    found = [len(batch["a"]) for batch in batches]
    n_full, rest = divmod(sum(lengths), batch_size)
    assert found == [batch_size] * n_full + ([rest] if rest and not drop_last else [])
    assert pipe.sizes("train") == found
    numbers = [number for batch in batches for number in batch["a"][:, 0].tolist()]
    assert numbers == list(range(len(numbers)))
    assert all(batch["b"][:, 1].tolist() == (-batch["a"][:, 0]).tolist() for batch in batches)
    assert all(isinstance(batch["a"], torch.Tensor) == as_tensors for batch in batches)


def test_split_keeps_the_smaller_batch_at_the_end() -> None:
    assert Chunks([5, 5], False).split_(4).sizes("train") == [4, 4, 2]


@pytest.mark.parametrize("batch_size", [0, -3])
def test_a_batch_without_rows_is_refused(batch_size: int) -> None:
    with pytest.raises(DataError, match=f"expected a batch size of at least 1, found {batch_size}"):
        Chunks([1], False).split_(batch_size)


def test_the_number_of_batches_is_unknown_where_the_rows_are() -> None:
    pipe = Chunks([1], False)
    pipe.sizes = lambda mode: None  # type: ignore[method-assign]
    for step in (pipe.split_(3), pipe.shard_(), pipe.shuffle_(), pipe.shard_().split_(2), pipe.negatives_for_eval_(1)):
        assert step.sizes("train") is None
        assert step.n_batches("train") is None
        assert step.n_rows("train") is None
