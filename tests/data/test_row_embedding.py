"""RowEmbedding: the same gradients as torch's, computed faster."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from recrun.data.tokenizer import RowEmbedding

Loss = Callable[[nn.Embedding, Tensor], Tensor]


def _pair() -> tuple[RowEmbedding, nn.Embedding]:
    torch.manual_seed(0)
    ours = RowEmbedding(50, 8)
    theirs = nn.Embedding(50, 8)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def _batches(n: int = 6) -> list[Tensor]:
    return [torch.randint(0, 50, (16, 3), generator=torch.Generator().manual_seed(seed)) for seed in range(n)]


def rows_only(table: nn.Embedding, index: Tensor) -> Tensor:
    return table(index).square().sum()


def two_look_ups(table: nn.Embedding, index: Tensor) -> Tensor:
    return (table(index[:, :1]) * table(index[:, 1:])).sigmoid().sum()


def rows_and_table(table: nn.Embedding, index: Tensor) -> Tensor:
    return table(index).sigmoid().sum() + 0.1 * table.weight.square().sum()


@pytest.mark.parametrize("loss", [rows_only, two_look_ups, rows_and_table])
@pytest.mark.parametrize("set_to_none", [True, False])
def test_training_is_the_same_as_with_torchs_embedding(loss: Loss, set_to_none: bool) -> None:
    ours, theirs = _pair()
    for table in (ours, theirs):
        optimizer = torch.optim.Adam(table.parameters(), lr=0.1, fused=True)
        for index in _batches():
            optimizer.zero_grad(set_to_none=set_to_none)
            loss(table, index).backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_a_table_that_joins_the_loss_now_and_then_leaves_no_stale_gradient() -> None:
    ours, theirs = _pair()
    for step, index in enumerate(_batches(9)):
        loss = rows_and_table if step % 3 == 1 else two_look_ups
        for table in (ours, theirs):
            table.zero_grad()
            loss(table, index).backward()
        torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)


@pytest.mark.parametrize("n_passes", [3, 70, 140])
def test_gradients_accumulate_over_several_backward_passes(n_passes: int) -> None:
    ours, theirs = _pair()
    for _ in range(2):
        for table in (ours, theirs):
            table.zero_grad()
            for index in _batches(n_passes):
                two_look_ups(table, index).backward()
        torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)


def test_the_gradient_is_the_same_tensor_from_step_to_step() -> None:
    ours, _ = _pair()
    rows_only(ours, _batches()[0]).backward()
    first = ours.weight.grad
    ours.zero_grad()
    rows_only(ours, _batches()[1]).backward()
    assert first is not None
    assert ours.weight.grad is not None
    assert ours.weight.grad.data_ptr() == first.data_ptr()


def test_only_the_rows_of_the_last_batch_are_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = _pair()
    cleared: list[tuple[int, ...]] = []
    zero = Tensor.zero_
    monkeypatch.setattr(Tensor, "zero_", lambda tensor: [cleared.append(tuple(tensor.shape)), zero(tensor)][1])
    optimizer = torch.optim.Adam(ours.parameters(), lr=0.1, fused=True)
    for step, index in enumerate(_batches(9)):
        loss = rows_and_table if step == 4 else two_look_ups
        optimizer.zero_grad()
        loss(ours, index).backward()
        optimizer.step()
        assert cleared == ([] if step <= 4 else [(50, 8)])


def test_a_gradient_that_is_changed_in_place_leaves_nothing_for_the_next_step() -> None:
    ours, theirs = _pair()
    for index in _batches():
        for table in (ours, theirs):
            table.zero_grad()
            rows_only(table, index).backward()
        assert ours.weight.grad is not None
        torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
        ours.weight.grad += 1.0
        rows_only(ours, index).backward()


def test_batches_may_be_written_into_one_tensor() -> None:
    ours, theirs = _pair()
    batch = torch.empty(16, 3, dtype=torch.int64)
    for index in _batches():
        batch.copy_(index)
        for table in (ours, theirs):
            table.zero_grad()
            two_look_ups(table, batch).backward()
        torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)


def test_a_copy_has_its_own_gradient() -> None:
    ours, theirs = _pair()
    rows_only(ours, _batches()[0]).backward()
    ours = copy.deepcopy(ours)
    for loss, index in zip((rows_and_table, rows_only, two_look_ups), _batches(), strict=False):
        for table in (ours, theirs):
            table.zero_grad()
            loss(table, index).backward()
        torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)


def test_without_gradients_and_with_sparse_ones_it_is_torchs() -> None:
    ours, theirs = _pair()
    index = _batches()[0]
    with torch.no_grad():
        assert torch.equal(ours(index), theirs(index))
    ours.sparse = True
    rows_only(ours, index).backward()
    assert ours.weight.grad is not None
    assert ours.weight.grad.is_sparse


def test_its_state_is_that_of_an_embedding() -> None:
    ours, theirs = _pair()
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    rows_only(ours, _batches()[0]).backward()
    assert ours.state_dict().keys() == theirs.state_dict().keys()


def test_an_index_outside_the_table_is_refused() -> None:
    ours, _ = _pair()
    with pytest.raises(IndexError):
        ours(torch.tensor([50]))
