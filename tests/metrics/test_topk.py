"""The exact top-k: against sorting in plain Python, for every width, type, tile and kind of tie."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.errors import TrainingError
from recrun.metrics import topk
from recrun.metrics.topk import TopK, top_k


def oracle(scores: torch.Tensor, k: int) -> list[list[int]]:
    """Sort every row by (-score, id); -inf takes no place."""
    ranked = []
    for row in scores.double().tolist():
        items = sorted((i for i, score in enumerate(row) if score != -math.inf), key=lambda i: (-row[i], i))
        ranked.append((items + [-1] * k)[:k])
    return ranked


def scores_of(kind: str, n_rows: int, width: int, rng: np.random.Generator) -> torch.Tensor:
    if kind == "distinct":
        values = rng.permuted(np.tile(np.arange(width), (n_rows, 1)), axis=1) - width / 2
    elif kind == "few values":
        values = rng.integers(-2, 3, (n_rows, width))
    elif kind == "all equal":
        values = np.zeros((n_rows, width))
    elif kind == "rounded":
        values = rng.normal(size=(n_rows, width)).round(1)
    elif kind == "ascending":
        values = np.tile(np.arange(width) // 3, (n_rows, 1))
    elif kind == "mostly ruled out":
        values = np.where(rng.random((n_rows, width)) < 0.98, -np.inf, rng.integers(0, 3, (n_rows, width)))
    else:
        values = rng.choice([-np.inf, np.inf, 0.0, -0.0, 1e-45, -3.4e38, 3.4e38], (n_rows, width))
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


KINDS = ["distinct", "few values", "all equal", "rounded", "ascending", "mostly ruled out", "extreme"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("width", "k"),
    [(1, 1), (5, 9), (64, 20), (80, 20), (500, 20), (640, 20), (1000, 1), (3001, 7), (5000, 10), (700, 200)],
)
def test_the_order_is_that_of_sorting_by_score_then_id(kind: str, width: int, k: int) -> None:
    scores = scores_of(kind, 5, width, np.random.default_rng(width + k))
    assert top_k(scores, k).tolist() == oracle(scores, k)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tile", [1, 3, 100, 1024, 2000])
def test_tiles_of_any_width_and_in_any_order_give_the_same_items(kind: str, tile: int) -> None:
    rng = np.random.default_rng(tile)
    width = 2000 if tile > 3 else 60
    scores = scores_of(kind, 6, width, rng)
    best = TopK(6, 10)
    for first in rng.permutation(np.arange(0, width, tile)).tolist():
        best.update(scores[:, first : first + tile], first)
    assert best.items().tolist() == oracle(scores, 10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_every_floating_type_is_ranked_by_its_own_values(dtype: torch.dtype) -> None:
    scores = torch.from_numpy(np.random.default_rng(1).normal(size=(4, 900))).to(dtype)
    assert top_k(scores, 12).tolist() == oracle(scores, 12)


def test_doubles_that_are_equal_in_single_precision_are_told_apart() -> None:
    assert top_k(torch.tensor([[1.0, 1.0 + 1e-12, 1.0]], dtype=torch.float64), 3).tolist() == [[1, 0, 2]]


def test_scores_are_not_changed_and_may_be_views() -> None:
    base = torch.randn(3, 4000, generator=torch.Generator().manual_seed(0))
    before = base.clone()
    view = base[:, ::2]
    assert top_k(view, 5).tolist() == oracle(view, 5)
    assert top_k(base.requires_grad_(), 5).tolist() == oracle(before, 5)
    assert torch.equal(base, before)


def test_no_rows_and_no_items_are_possible() -> None:
    assert top_k(torch.empty(0, 7), 3).shape == (0, 3)
    assert top_k(torch.empty(2, 0), 3).tolist() == [[-1] * 3] * 2


@pytest.mark.parametrize("width", [10, 300, 5000])
@pytest.mark.parametrize("column", [0, -1])
def test_a_score_that_is_nan_stops_and_is_named(width: int, column: int) -> None:
    scores = torch.zeros(3, width)
    scores[1, column] = math.nan
    best = TopK(3, 20, np.array([7, 42, 9]))
    with pytest.raises(TrainingError, match=rf"item {100 + column % width} for user 42 .* NaN"):
        best.update(scores, 100)


def test_nan_hides_nowhere() -> None:
    for column in range(0, 5000, 37):
        scores = torch.randn(2, 5000)
        scores[1, column] = math.nan
        with pytest.raises(TrainingError, match="NaN"):
            top_k(scores, 20)


@settings(max_examples=150, deadline=None)
@given(
    n_rows=st.integers(1, 4),
    width=st.integers(1, 900),
    k=st.integers(1, 25),
    n_values=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_with_any_number_of_ties_is_ranked_exactly(
    n_rows: int, width: int, k: int, n_values: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(size=n_values), [-np.inf]])
    scores = torch.from_numpy(rng.choice(values, (n_rows, width)).astype(np.float32))
    assert top_k(scores, k).tolist() == oracle(scores, k)


def test_only_few_scores_of_a_wide_tile_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the whole tile was looked at")

    monkeypatch.setattr(topk, "_pick_above", refuse)
    scores = torch.randn(8, 20_000, generator=torch.Generator().manual_seed(3))
    assert top_k(scores, 20).tolist() == oracle(scores, 20)


INTEGERS = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


@pytest.mark.parametrize("dtype", [*INTEGERS, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("width", [6, 700])
def test_numbers_of_every_type_are_ranked_by_their_exact_value(dtype: torch.dtype, width: int) -> None:
    rng = np.random.default_rng(width)
    if dtype.is_floating_point:
        scores = torch.from_numpy(rng.normal(size=(4, width))).to(dtype)
    else:
        highest = 1 if dtype == torch.bool else min(torch.iinfo(dtype).max, 2**53)
        # Neighbours at the end of the range, which a narrower type would round to one number.
        scores = torch.from_numpy(highest - rng.integers(0, min(9, highest + 1), (4, width))).to(dtype)
    expected = [sorted(range(width), key=lambda i: (-row[i], i))[:5] for row in scores.tolist()]
    assert top_k(scores, 5).tolist() == expected


NEIGHBOURS = [
    (base, dtype)
    for base in (2**16 - 2, 2**24, 2**25, 2**31 - 2, 2**32 - 2, 2**53 - 1, -(2**25) - 1, -(2**53))
    for dtype in (torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64)
    if torch.iinfo(dtype).min <= base <= base + 1 <= torch.iinfo(dtype).max
]


@pytest.mark.parametrize(("base", "dtype"), NEIGHBOURS)
def test_neighbouring_integers_do_not_tie(base: int, dtype: torch.dtype) -> None:
    assert top_k(torch.tensor([[base, base + 1]], dtype=dtype), 2).tolist() == [[1, 0]]


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)])
def test_integers_that_double_precision_cannot_tell_apart_are_refused(value: int) -> None:
    message = f"^scores must be integers from -2\\^53 to 2\\^53, .* to be compared exactly; found {value}$"
    with pytest.raises(ValueError, match=message):
        top_k(torch.tensor([[0, value, 1]]), 1)


def test_unsigned_integers_beyond_are_refused_too() -> None:
    with pytest.raises(ValueError, match=r"found 18446744073709551615$"):
        top_k(torch.tensor([[2**64 - 1, 1]], dtype=torch.uint64), 1)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_scores_have_no_order(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"scores must be real numbers, found {dtype}: complex numbers have no order"):
        top_k(torch.ones(2, 3, dtype=dtype), 1)


@pytest.mark.parametrize("k", [0, -1, 4.0, 2.5, True, False, np.True_, "2", None, [2], math.nan, np.float64(2)])
def test_a_cutoff_that_is_no_integer_from_1_is_refused(k: object) -> None:
    with pytest.raises(ValueError, match=r"^k must be an integer >= 1, found "):
        top_k(torch.ones(2, 3), k)  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [2, np.int64(2), np.uint8(2)])
def test_integers_of_numpy_are_cutoffs(k: int) -> None:
    assert top_k(torch.tensor([[1.0, 3.0, 2.0]]), k).tolist() == [[1, 2]]
