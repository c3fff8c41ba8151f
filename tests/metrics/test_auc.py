"""The count behind the AUC, against comparing all pairs."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.metrics.auc import AUCCounter, wins_and_others


def oracle(scores: np.ndarray, relevant: np.ndarray) -> tuple[float, int]:
    """Compare all pairs of a relevant item and another that is not ruled out."""
    others = scores[~relevant & (scores > -np.inf)]
    return float(sum((a > b) + (a == b) / 2 for a in scores[relevant] for b in others)), len(others)


@settings(max_examples=150, deadline=None)
@given(n_rows=st.integers(1, 4), width=st.integers(1, 40), n_values=st.integers(1, 10), seed=st.integers(0, 2**32 - 1))
def test_wins_are_the_pairs_in_order_and_half_the_ties(n_rows: int, width: int, n_values: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.choice(np.append(rng.normal(size=n_values), [-np.inf, np.inf]), (n_rows, width)).astype(np.float32)
    relevant = rng.random((n_rows, width)) < 0.3
    wins, n_others = wins_and_others(torch.from_numpy(scores), torch.from_numpy(relevant))
    assert list(zip(wins, n_others, strict=True)) == [oracle(scores[row], relevant[row]) for row in range(n_rows)]


@settings(max_examples=100, deadline=None)
@given(width=st.integers(2, 40), tile=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_tiles_of_any_width_and_masked_items_give_the_same_count(width: int, tile: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.choice(np.append(rng.normal(size=5), -np.inf), (3, width)).astype(np.float32)
    masked = rng.random(scores.shape) < 0.3
    relevant = ~masked & (rng.random(scores.shape) < 0.3)
    expected = [oracle(scores[row][~masked[row]], relevant[row][~masked[row]]) for row in range(3)]
    tensor = torch.from_numpy(np.where(masked, np.float32(-np.inf), scores))
    counter = AUCCounter(*np.nonzero(relevant), 3, tensor)
    for first in range(0, width, tile):
        counter.look_up(tensor[:, first : first + tile], first)
    for first in range(0, width, tile):
        counter.count(tensor[:, first : first + tile])
    assert list(zip(counter.wins(), counter.n_others(), strict=True)) == expected
    assert counter.n_relevant_B.tolist() == relevant.sum(axis=1).tolist()
