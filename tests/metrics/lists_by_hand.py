"""Rankings, and what users have seen, in plain Python: what metrics of lists are compared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from recrun.data.interactions import CSR
from recrun.evaluation.ranking import evaluate_ranking
from recrun.metrics.undefined import Undefined


class Case(NamedTuple):
    """A few users: the scores of all items, and their seen and relevant ones."""

    scores: list[list[float]]
    seen: list[list[int]]
    relevant: list[list[int]]

    @property
    def n_items(self) -> int:
        return len(self.scores[0])

    @property
    def popularity(self) -> list[int]:
        return [sum(item in seen for seen in self.seen) for item in range(self.n_items)]

    def ranked(self, user: int) -> list[int]:
        """Return all items that can be recommended, the best first; of equal scores the smaller id comes first."""
        unseen = [item for item in range(self.n_items) if item not in self.seen[user]]
        row = self.scores[user]
        return sorted((item for item in unseen if row[item] != -math.inf), key=lambda item: (-row[item], item))

    def users(self) -> list[int]:
        return [user for user, relevant in enumerate(self.relevant) if relevant]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw users who have seen nothing, everything or the same, with ties, excluded items and seen relevant ones."""
    n_users, n_items = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    some = st.lists(st.integers(0, n_items - 1), unique=True, max_size=n_items).map(sorted)
    score = st.sampled_from([0.0, 1.0, 2.0, -math.inf])
    return Case(
        draw(st.lists(st.lists(score, min_size=n_items, max_size=n_items), min_size=n_users, max_size=n_users)),
        draw(st.lists(some, min_size=n_users, max_size=n_users)),
        draw(st.lists(some, min_size=n_users, max_size=n_users)),
    )


def rows(lists: Sequence[Sequence[int]]) -> CSR:
    users = np.repeat(np.arange(len(lists)), [len(row) for row in lists])
    return CSR.from_pairs(users, np.array([item for row in lists for item in row], dtype=np.int64), len(lists))


class Scored:
    """A model whose scores are given."""

    def __init__(self, scores: Sequence[Sequence[float]]) -> None:
        self.scores = torch.tensor(scores)

    def score(self, users: torch.Tensor) -> torch.Tensor:
        return self.scores[users]


def measure(case: Case, *metrics: str) -> dict[str, float]:
    """Return the metrics as recrun computes them."""
    arguments: dict[str, Any] = {"seen": rows(case.seen), "relevant": rows(case.relevant), "n_items": case.n_items}
    return evaluate_ranking(Scored(case.scores), metrics=metrics, device="cpu", **arguments).values


def mean(case: Case, of_user: Callable[[Case, int, int], float | None], k: int) -> float:
    """Return the mean of a metric over the users for whom it has a value."""
    values = [of_user(case, user, k) for user in case.users()]
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else Undefined("nobody")
