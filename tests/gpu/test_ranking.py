"""Rankings on a GPU are those of the CPU, ties included, in the memory that `eval_memory` allows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recrun.data.interactions import CSR
from recrun.evaluation.ranking import evaluate_ranking
from recrun.metrics.topk import TopK

N_USERS, N_ITEMS, DIM, K = 3000, 20_000, 32, 20


class Vectors:
    def __init__(self, users: torch.Tensor, items: torch.Tensor) -> None:
        self._users, self._items = users, items

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._users, self._items


def _rows(seed: int, length: int) -> CSR:
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(N_USERS), length)
    items = np.concatenate([np.sort(rng.choice(N_ITEMS, length, replace=False)) for _ in range(N_USERS)])
    return CSR.from_pairs(users, items, N_USERS)


@pytest.mark.parametrize("kind", ["normal", "ties"])
def test_metrics_are_those_of_the_cpu(kind: str) -> None:
    rng = np.random.default_rng(0)
    draw = rng.standard_normal if kind == "normal" else lambda size: rng.integers(-2, 3, size).astype(float)
    users, items = (torch.from_numpy(draw((n, DIM)).astype(np.float32)) for n in (N_USERS, N_ITEMS))
    seen, relevant = _rows(1, 30), _rows(2, 10)
    found = [
        evaluate_ranking(
            Vectors(users.to(device), items.to(device)),
            seen=seen,
            relevant=relevant,
            n_items=N_ITEMS,
            metrics=["recall@20", "ndcg@20", "mrr@20", "auc"],
            device=device,
        ).values
        for device in ("cpu", "cuda")
    ]
    for name, value in found[0].items():
        # Integer scores are exact on both; others may swap two items whose scores differ in the last bit.
        assert found[1][name] == pytest.approx(value, rel=0 if kind == "ties" and name != "auc" else 1e-5), name


def test_the_top_items_are_those_of_the_cpu() -> None:
    rng = np.random.default_rng(3)
    scores = torch.from_numpy(rng.integers(-20, 20, (500, 5000)).astype(np.float32))
    tops = []
    for device in ("cpu", "cuda"):
        best = TopK(500, K)
        best.update(scores.to(device), 0)
        tops.append((best.items(), best.scores()))
    np.testing.assert_array_equal(tops[0][0], tops[1][0])
    np.testing.assert_allclose(tops[0][1], tops[1][1], rtol=1e-5)


@pytest.mark.parametrize("megabytes", [32, 256])
def test_ranking_keeps_to_its_memory(megabytes: int) -> None:
    users, items = torch.randn(N_USERS, DIM, device="cuda"), torch.randn(N_ITEMS, DIM, device="cuda")
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    evaluate_ranking(
        Vectors(users, items),
        seen=_rows(1, 30),
        relevant=_rows(2, 10),
        n_items=N_ITEMS,
        metrics=["ndcg@20"],
        device="cuda",
        memory_mb=megabytes,
    )
    assert torch.cuda.max_memory_allocated() - before <= 1.25 * megabytes * 2**20
