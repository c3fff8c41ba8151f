from __future__ import annotations

from typing import Any

import numpy as np
import torch


def test_tensors_share_the_memory_shape_and_type_of_the_arrays(small: Any) -> None:
    (batch,) = small.tensor_().iterate("train", seed=0, epoch=0)
    (arrays,) = small.iterate("train", seed=0, epoch=0)
    assert [column.dtype for column in batch.values()] == [torch.int64, torch.int64, torch.float32]
    for name, column in arrays.items():
        np.testing.assert_array_equal(batch[name].numpy(), column)


def test_targets_of_trisample_stay_one_byte_each(small: Any) -> None:
    (batch,) = small.trisample_(5).tensor_().iterate("valid", seed=0, epoch=0)
    assert batch["item"].dtype == torch.int8


def test_tensors_may_be_made_before_or_after_batches(random_set: Any) -> None:
    before, after = (
        random_set.uniform_sampling_().tensor_().split_(7),
        random_set.uniform_sampling_().split_(7).tensor_(),
    )
    for one, other in zip(*(pipe.iterate("train", seed=0, epoch=0) for pipe in (before, after)), strict=True):
        assert torch.equal(one["item"], other["item"])
