"""Products of rows with items: the distinct items of a batch, and when they are worth finding; and single pairs."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.item_products import pair_scores, repeated_items, scores_of_rows

N_ITEMS = 5_000


def batch(n_distinct: int, *, n_negatives: int = 40, n_rows: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n_distinct)
    pool = torch.randperm(N_ITEMS, generator=generator)[:n_distinct]
    return pool[torch.randint(n_distinct, (n_rows, 1 + n_negatives), generator=generator)]


def test_positions_and_counts_lead_back_to_the_batch() -> None:
    items = batch(50)
    repeated = repeated_items(items, N_ITEMS)
    assert repeated is not None
    assert torch.equal(repeated.items[repeated.positions], items)
    assert repeated.items.tolist() == sorted(set(items.reshape(-1).tolist()))
    assert repeated.counts.tolist() == [float((items == item).sum()) for item in repeated.items]


def test_few_negatives_and_many_distinct_items_are_taken_as_they_stand() -> None:
    assert repeated_items(batch(50, n_negatives=30), N_ITEMS) is None
    assert repeated_items(batch(4_000), N_ITEMS) is None


def _gathered(states: Tensor, items: Tensor, pairs: Tensor) -> Tensor:
    return torch.stack([items[each] @ state for state, each in zip(states, pairs, strict=True)])


def _tensors(dtype: torch.dtype = torch.float64, n_pairs: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    states, items = torch.randn(7, 5, dtype=dtype), torch.randn(60, 5, dtype=dtype)
    pairs = torch.randint(50, (7, n_pairs))  # the last items are in no pair, and some are in a row twice
    pairs[:, -1] = pairs[:, 0]
    return states.requires_grad_(), items.requires_grad_(), pairs


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_pairs", [1, 8, 9, 12, 20])
@pytest.mark.parametrize("trained", [(True, True), (True, False), (False, True)])
def test_scores_of_pairs_and_their_gradients_are_those_of_single_products(
    dtype: torch.dtype, n_pairs: int, trained: tuple[bool, bool]
) -> None:
    states, items, pairs = _tensors(dtype, n_pairs)
    states.requires_grad_(trained[0])
    items.requires_grad_(trained[1])
    scores, expected = pair_scores(states, items, pairs), _gathered(states, items, pairs)
    assert scores.dtype is dtype
    torch.testing.assert_close(scores, expected)
    weights = torch.randn_like(expected)
    learned = [tensor for tensor in (states, items) if tensor.requires_grad]
    mine, other = (torch.autograd.grad((each * weights).sum(), learned) for each in (scores, expected))
    for one, of in zip(mine, other, strict=True):
        assert one.dtype is dtype
        torch.testing.assert_close(one, of)


def test_vectors_that_lie_apart_in_memory_and_one_gradient_for_all_are_taken() -> None:
    states, items, pairs = _tensors()
    apart = items.T.contiguous().T
    scores = pair_scores(states.flip(0), apart, pairs.T.contiguous().T)
    torch.testing.assert_close(scores, _gathered(states.flip(0), items, pairs))
    scores.sum().backward()  # its gradient is one number, expanded
    expected = torch.autograd.grad(_gathered(states.flip(0), items, pairs).sum(), (states, items))
    torch.testing.assert_close((states.grad, items.grad), expected)


def test_within_autocast_scores_are_those_of_its_precision() -> None:
    states, items, pairs = _tensors(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert pair_scores(states, items, pairs).dtype is torch.bfloat16


def test_no_gradient_of_gradients_is_given_by_mistake() -> None:
    states, items, pairs = _tensors()
    (first,) = torch.autograd.grad(pair_scores(states, items, pairs).square().sum(), states, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_torch_says_nothing_of_sparse_tensors() -> None:
    code = (
        "import torch, warnings; warnings.simplefilter('error')\n"
        "from recrun.architectures.item_products import pair_scores\n"
        "pair_scores(torch.ones(5, 3), torch.ones(40, 3), torch.zeros(5, 9, dtype=torch.int64))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("n_items", [N_ITEMS, 10**6])
@pytest.mark.parametrize("n_distinct", [50, 1_000, 2_000, 4_000])
def test_a_large_catalogue_changes_neither_the_choice_nor_the_items_that_are_found(
    n_items: int, n_distinct: int
) -> None:
    items = batch(n_distinct, n_rows=200)
    found, counted = repeated_items(items, n_items), torch.bincount(items.reshape(-1), minlength=n_items)
    if int((counted > 0).sum()) > 32 * items.size(1):
        assert found is None
        return
    assert found is not None
    assert torch.equal(found.items, counted.nonzero()[:, 0])
    assert torch.equal(found.items[found.positions], items)
    assert torch.equal(found.counts, counted[found.items].float())


def test_what_is_looked_up_once_has_the_scores_of_pairs_and_gradients_of_the_batchs_rows_alone() -> None:
    states, items, pairs = _tensors()
    expected = torch.autograd.grad(pair_scores(states, items, pairs).square().sum(), (states, items))
    scores = scores_of_rows(states, pairs, lambda distinct: F.embedding(distinct, items, sparse=True))
    torch.testing.assert_close(scores, pair_scores(states, items, pairs))
    of_states, of_items = torch.autograd.grad(scores.square().sum(), (states, items))
    assert of_items.is_sparse
    assert of_items._indices()[0].tolist() == sorted(set(pairs.reshape(-1).tolist()))
    torch.testing.assert_close(of_items.to_dense(), expected[1])
    torch.testing.assert_close(of_states, expected[0])
