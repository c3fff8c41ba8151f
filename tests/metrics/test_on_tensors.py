"""Metrics of dense predictions: the functions that a user's own `evaluate` calls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from recrun import metrics
from recrun.config.monitor_names import parse_monitor
from recrun.data.interactions import CSR
from recrun.errors import ConfigError, TrainingError
from recrun.evaluation.ranking import evaluate_ranking
from recrun.metrics import dense_metrics, on_tensors, pointwise_metrics

FUNCTIONS = {
    "recall": metrics.recall,
    "precision": metrics.precision,
    "hitrate": metrics.hit_rate,
    "f1": metrics.f1_score,
    "ndcg": metrics.normalized_dcg,
    "mrr": metrics.mean_reciprocal_rank,
    "map": metrics.mean_average_precision,
}
POINTWISE = (metrics.mean_abs_error, metrics.mean_squared_error, metrics.root_mse, metrics.log_loss)
# Row 0 ranks 2 1 0 3 with hits at 1 and 3; row 1 has nothing to find.
PREDS = torch.tensor([[0.3, 0.6, 0.9, 0.1], [0.4, 0.3, 0.2, 0.1]])
TARGETS = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("name", "k", "expected"),
    [
        ("recall", 1, 0.5),
        ("recall", None, 1.0),
        ("precision", 3, 2 / 3),
        ("precision", None, 2 / 4),
        ("hitrate", 1, 1.0),
        ("f1", 3, 0.8),
        ("ndcg", 3, 1.5 / (1 + 1 / math.log2(3))),
        ("mrr", 2, 1.0),
        ("map", 3, (1 + 2 / 3) / 2),
    ],
)
def test_values_worked_by_hand(name: str, k: int | None, expected: float) -> None:
    assert FUNCTIONS[name](PREDS, TARGETS, k=k).item() == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_rows_with_nothing_to_find_are_nan_alone_and_left_out_together(name: str) -> None:
    alone = FUNCTIONS[name](PREDS, TARGETS, k=2, reduction="none")
    assert alone.dtype == torch.float64
    assert alone.isnan().tolist() == [False, True]
    assert FUNCTIONS[name](PREDS, TARGETS, k=2).item() == alone[0].item()
    assert FUNCTIONS[name](PREDS, TARGETS, k=2, reduction="sum").item() == alone[0].item()
    assert math.isnan(FUNCTIONS[name](PREDS[1:], TARGETS[1:], k=2).item())


def test_places_beyond_the_items_are_misses() -> None:
    assert metrics.precision(PREDS, TARGETS, k=8).item() == 2 / 8
    assert metrics.recall(PREDS, TARGETS, k=8).item() == 1.0
    assert metrics.normalized_dcg(PREDS, TARGETS, k=8).item() == metrics.normalized_dcg(PREDS, TARGETS, k=4).item()


def test_masking_as_in_the_seed_ranks_seen_items_last() -> None:
    preds = torch.tensor([[5.0, 1.0, 2.0]])
    targets = torch.tensor([[-1, 0, 1]])
    preds[targets == -1] = -1e10
    targets[targets == -1] = 0
    assert metrics.recall(preds, targets, k=1).item() == 1.0
    assert metrics.hit_rate(preds, targets, k=3).item() == 1.0


def test_an_item_that_scores_minus_infinity_takes_no_place() -> None:
    preds = torch.tensor([[1.0, -math.inf, 0.5]])
    assert metrics.recall(preds, torch.tensor([[0, 1, 0]])).item() == 0.0


def test_ties_are_broken_by_the_smaller_id() -> None:
    preds = torch.zeros(1, 5000)
    targets = torch.zeros(1, 5000)
    targets[0, [4, 4999]] = 1
    assert metrics.mean_reciprocal_rank(preds, targets).item() == 1 / 5
    assert metrics.recall(preds, targets, k=5).item() == 0.5


def test_the_area_under_the_curve_counts_ties_half() -> None:
    preds = torch.tensor([[3.0, 2.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    targets = torch.tensor([[0, 1, 0, 0], [1, 1, 1, 1]])
    assert metrics.auroc(preds, targets, reduction="none")[0].item() == (0 + 0.5 + 1) / 3
    assert metrics.auroc(preds, targets).item() == 0.5  # the second row has no other items
    assert metrics.auroc(torch.zeros(2, 9), torch.eye(9)[:2]).item() == 0.5


def test_errors_reduce_over_all_elements() -> None:
    preds, targets = torch.tensor([[1.0, 4.0]]), torch.tensor([[2.0, 2.0]])
    assert metrics.mean_abs_error(preds, targets).item() == 1.5
    assert metrics.mean_abs_error(preds, targets, reduction="sum").item() == 3.0
    assert metrics.mean_squared_error(preds, targets, reduction="none").tolist() == [[1.0, 4.0]]
    assert metrics.root_mse(preds, targets).item() == math.sqrt(2.5)


def test_log_loss_takes_probabilities_only() -> None:
    loss = metrics.log_loss(torch.tensor([[0.5, 0.25]]), torch.tensor([[1, 0]]))
    assert loss.item() == pytest.approx((math.log(2) - math.log(0.75)) / 2)
    assert math.isfinite(metrics.log_loss(torch.tensor([[1.0]]), torch.tensor([[0]])).item())
    with pytest.raises(ValueError, match="sigmoid"):
        metrics.log_loss(torch.tensor([[2.0]]), torch.tensor([[1]]))


def test_what_has_no_cutoff_refuses_one() -> None:
    for function in (*POINTWISE, metrics.auroc):
        with pytest.raises(ValueError, match="no cutoff; found k=2"):
            function(PREDS, TARGETS, k=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k must be an integer >= 1, found 0"),
        ({"reduction": "max"}, "'mean', 'sum' or 'none', found 'max'"),
        ({"targets": TARGETS[:, :3]}, r"found \(2, 4\) and \(2, 3\)"),
    ],
)
def test_wrong_arguments_are_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"preds": PREDS, "targets": TARGETS, "k": 2, "reduction": "mean", **change}
    with pytest.raises(ValueError, match=message):
        metrics.recall(arguments["preds"], arguments["targets"], k=arguments["k"], reduction=arguments["reduction"])


def test_predictions_that_are_nan_stop() -> None:
    preds = torch.tensor([[1.0, math.nan]])
    for function in (metrics.recall, metrics.auroc):
        with pytest.raises(TrainingError, match="NaN"):
            function(preds, torch.tensor([[1, 0]]))


def test_several_metrics_share_one_top_k(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = on_tensors.top_k

    def counted(scores: torch.Tensor, k: int) -> torch.Tensor:
        calls.append(k)
        return original(scores, k)

    monkeypatch.setattr(on_tensors, "top_k", counted)
    names = [f"{name}@{k}" for name in FUNCTIONS for k in (1, 2, 3)]
    values = dense_metrics(PREDS, TARGETS, [parse_monitor(name) for name in names])
    assert calls == [3]
    assert list(values) == names
    for name in names:
        metric, _, k = name.partition("@")
        expected = FUNCTIONS[metric](PREDS, TARGETS, k=int(k), reduction="none")
        assert torch.equal(values[name], expected) or (values[name] - expected).nansum() == 0, name


def test_rows_of_areas_and_errors_come_beside_the_rankings() -> None:
    names = ["auc", "gauc", "mae", "mse", "logloss", "recall@2"]
    values = dense_metrics(PREDS, TARGETS, [parse_monitor(name) for name in names])
    assert all(value.shape == (2,) for value in values.values())
    assert values["auc"][0].item() == values["gauc"][0].item() == 0.75
    assert values["mse"].mean().item() == pytest.approx(metrics.mean_squared_error(PREDS, TARGETS).item())


@pytest.mark.parametrize("name", ["rmse", "coverage@2"])
def test_a_metric_that_is_no_mean_over_rows_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a mean over rows"):
        dense_metrics(PREDS, TARGETS, [parse_monitor(name)])


def test_dense_metrics_equal_the_ranking_of_all_items() -> None:
    rng = np.random.default_rng(5)
    users, items = torch.randn(40, 8), torch.randn(70, 8).round(decimals=0)
    relevant = CSR.from_pairs(rng.integers(0, 40, 90), rng.integers(0, 70, 90), 40)
    names = [f"{name}@{k}" for name in FUNCTIONS for k in (1, 5, 100)] + ["auc"]

    class Model:
        def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
            return users, items

    chosen = [parse_monitor(name) for name in names]
    ranked = evaluate_ranking(Model(), seen=CSR.empty(40), relevant=relevant, n_items=70, metrics=chosen, device="cpu")
    targets = torch.from_numpy(relevant.to_scipy(70).toarray())
    values = dense_metrics(users @ items.T, targets, chosen)
    assert {name: value.nanmean().item() for name, value in values.items()} == pytest.approx(ranked.values)


def test_metrics_may_be_given_by_name() -> None:
    preds, targets = torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([[1, 0, -1]])
    names = ["recall@1", "mrr@2", "auc"]
    found = dense_metrics(preds, targets, names)
    assert {name: values.tolist() for name, values in found.items()} == {"recall@1": [0], "mrr@2": [0.5], "auc": [0]}
    assert pointwise_metrics(np.array([0.1, 0.9]), np.array([0, 1]), ["auc", "mae"]) == {
        "auc": 1.0,
        "mae": pytest.approx(0.1),
    }
    for wrong in ("recal@1", "recall", "auc@3"):
        with pytest.raises(ConfigError):
            dense_metrics(preds, targets, [wrong])
