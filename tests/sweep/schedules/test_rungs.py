"""Rungs are epochs at which trials are evaluated."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.sweep.schedules.rungs import default_min_epochs, rungs_of


@pytest.mark.parametrize(
    ("last", "every", "eta", "first", "rungs"),
    [
        (81, 1, 3, 1, (1, 3, 9, 27, None)),
        (40, 1, 3, 5, (5, 15, None)),
        (40, 5, 3, 4, (5, 15, None)),
        (27, 1, 3, 9, (9, None)),
        (27, 1, 3, 20, (None,)),
        (10, 20, 3, 1, (None,)),
        (16, 1, 4, 1, (1, 4, None)),
        (0, 1, 3, 1, (None,)),
    ],
)
def test_rungs_are_multiples_of_the_first_at_evaluations(
    last: int, every: int, eta: int, first: int, rungs: tuple[int | None, ...]
) -> None:
    assert rungs_of(last, every, eta, first) == rungs


@given(last=st.integers(1, 2_000), every=st.integers(1, 30), eta=st.integers(2, 5))
def test_rungs_grow_by_at_least_the_ratio_and_end_below_the_last_epoch(last: int, every: int, eta: int) -> None:
    *epochs, end = rungs_of(last, every, eta, default_min_epochs(last, every, eta))
    assert end is None
    known = [epoch for epoch in epochs if epoch is not None]
    assert all(epoch % every == 0 and epoch < last for epoch in known)
    assert all(high >= low * eta for low, high in itertools.pairwise(known))
    assert all(last >= eta**0.5 * epoch for epoch in known)
