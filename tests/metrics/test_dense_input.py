"""Dense predictions and targets: seen items are left out as in a ranking of all items, and malformed ones refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun import metrics
from recrun.config.monitor_names import parse_monitor
from recrun.data.interactions import CSR
from recrun.errors import TrainingError
from recrun.evaluation.ranking import evaluate_ranking
from recrun.metrics import dense_metrics

RANKED: dict[str, Callable[..., torch.Tensor]] = {
    "recall": metrics.recall,
    "precision": metrics.precision,
    "hitrate": metrics.hit_rate,
    "f1": metrics.f1_score,
    "ndcg": metrics.normalized_dcg,
    "mrr": metrics.mean_reciprocal_rank,
    "map": metrics.mean_average_precision,
}
VALUES: dict[str, Callable[..., torch.Tensor]] = {
    "mean_abs_error": metrics.mean_abs_error,
    "mean_squared_error": metrics.mean_squared_error,
    "root_mse": metrics.root_mse,
    "log_loss": metrics.log_loss,
}
EVERY: dict[str, Callable[..., torch.Tensor]] = {**RANKED, "auroc": metrics.auroc, **VALUES}
PREDS = torch.tensor([[0.25, 0.5, 0.75], [0.5, 0.25, 0.125]])
TARGETS = torch.tensor([[0, 1, 0], [1, 0, 0]])
NAMES = [f"{name}@{k}" for name in RANKED for k in (1, 3, 100)] + ["auc"]


class Fixed:
    """Scores that are given."""

    def __init__(self, scores: torch.Tensor) -> None:
        self.scores = scores

    def score(self, users: torch.Tensor) -> torch.Tensor:
        return self.scores[users]


def marks(seen: np.ndarray, relevant: np.ndarray) -> torch.Tensor:
    """Return targets as `trisample_` yields them."""
    return torch.from_numpy(np.where(seen, -1, np.where(relevant, 1, 0)).astype(np.int8))


def compare(scores: torch.Tensor, seen: np.ndarray, relevant: np.ndarray, preds: torch.Tensor) -> None:
    """Check that every metric of dense predictions is that of ranking all items."""
    n_users, n_items = seen.shape
    rows = [CSR.from_pairs(*np.nonzero(chosen), n_users) for chosen in (seen, relevant)]
    chosen = [parse_monitor(name) for name in NAMES]
    ranked = evaluate_ranking(
        Fixed(scores), seen=rows[0], relevant=rows[1], n_items=n_items, metrics=chosen, device="cpu"
    ).values
    targets = marks(seen, relevant)
    dense = {name: value.nanmean().item() for name, value in dense_metrics(preds, targets, chosen).items()}
    assert dense == pytest.approx(ranked, rel=1e-12, nan_ok=True)
    assert metrics.auroc(preds, targets).item() == pytest.approx(ranked["auc"], nan_ok=True)


@pytest.mark.parametrize("masked", ["not at all", -1e10, -math.inf, math.inf, math.nan, 5.0])
def test_seen_items_are_left_out_whatever_is_predicted_for_them(masked: float | str) -> None:
    rng = np.random.default_rng(1)
    scores = torch.from_numpy(rng.normal(size=(50, 100)).astype(np.float32))
    order = rng.permuted(np.tile(np.arange(100), (50, 1)), axis=1)
    seen, relevant = order < 60, (order >= 60) & (order < 65)
    preds = scores if isinstance(masked, str) else scores.masked_fill(torch.from_numpy(seen), masked)
    compare(scores, seen, relevant, preds)
    # Of random scores, half the pairs are in order.
    assert metrics.auroc(preds, marks(seen, relevant)).item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("masked", [-math.inf])
def test_items_that_are_predicted_minus_infinity_are_left_out_as_if_they_were_seen(masked: float) -> None:
    rng = np.random.default_rng(2)
    preds, seen = torch.from_numpy(rng.normal(size=(9, 30))), rng.random((9, 30)) < 0.5
    relevant = ~seen & (rng.random((9, 30)) < 0.3)
    preds[torch.from_numpy(seen)] = masked
    marked = metrics.auroc(preds, marks(seen, relevant), reduction="none")
    assert torch.equal(metrics.auroc(preds, marks(seen & False, relevant), reduction="none"), marked)


def test_the_area_is_the_share_of_pairs_of_a_relevant_and_an_unseen_other_item() -> None:
    preds = torch.tensor([[9.0, 3.0, 2.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
    targets = torch.tensor([[-1, 0, 1, 0, 0], [-1, -1, 1, 1, 0], [-1, -1, -1, 1, 1]])
    found = metrics.auroc(preds, targets, reduction="none").tolist()
    assert found[:2] == [(0.5 + 1) / 3, 0.0]
    assert math.isnan(found[2])


@settings(max_examples=150, deadline=None)
@given(
    n_users=st.integers(1, 6),
    n_items=st.integers(1, 12),
    n_values=st.integers(1, 8),
    tenths=st.integers(0, 10),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16]),
    seed=st.integers(0, 2**32 - 1),
)
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_both_ways_agree_on_ties_infinities_empty_rows_and_few_items(
    n_users: int, n_items: int, n_values: int, tenths: int, dtype: torch.dtype, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = np.append(rng.normal(size=n_values), [-np.inf, np.inf, 0.0, -0.0])
    scores = torch.from_numpy(rng.choice(values, (n_users, n_items))).to(dtype)
    seen = rng.random((n_users, n_items)) < tenths / 10
    compare(scores, seen, ~seen & (rng.random((n_users, n_items)) < 0.4), scores)


@settings(max_examples=100, deadline=None)
@given(
    dtype=st.sampled_from([torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_both_ways_agree_on_integers_and_tell_neighbours_apart(dtype: torch.dtype, seed: int) -> None:
    rng = np.random.default_rng(seed)
    highest = 1 if dtype == torch.bool else min(torch.iinfo(dtype).max, 2**53)
    numbers = highest - rng.integers(0, min(4, highest + 1), (4, 7))
    scores, relevant = torch.from_numpy(numbers).to(dtype), rng.random((4, 7)) < 0.4
    compare(scores, np.zeros((4, 7), dtype=bool), relevant, scores)
    exact = [
        sum((int(a) > int(b)) + (int(a) == int(b)) / 2 for a in row[is_] for b in row[~is_])
        / (is_.sum() * (~is_).sum())
        if 0 < is_.sum() < 7
        else math.nan
        for row, is_ in zip(numbers, relevant, strict=True)
    ]
    assert metrics.auroc(scores, torch.from_numpy(relevant), reduction="none").tolist() == pytest.approx(
        exact, nan_ok=True
    )


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("name", RANKED)
def test_an_integer_above_2_to_the_25_is_larger_than_the_one_below_it(name: str, dtype: torch.dtype) -> None:
    preds = torch.tensor([[2**25, 2**25 + 1, 0]], dtype=dtype)
    assert RANKED[name](preds, torch.tensor([[0, 1, 0]]), k=1).item() == 1.0
    assert metrics.auroc(preds, torch.tensor([[0, 1, 0]])).item() == 1.0


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int8, torch.int64, torch.float16, torch.float64])
@pytest.mark.parametrize("name", EVERY)
def test_targets_of_every_real_type_mean_the_same(name: str, kind: torch.dtype) -> None:
    assert EVERY[name](PREDS, TARGETS.to(kind)).item() == EVERY[name](PREDS, TARGETS).item()


@pytest.mark.parametrize("name", RANKED)
def test_graded_targets_are_relevant_where_they_are_positive(name: str) -> None:
    graded = torch.tensor([[0, 0.25, 0], [5.0, 0, 0]])
    assert RANKED[name](PREDS, graded, k=2).item() == RANKED[name](PREDS, TARGETS, k=2).item()


def replaced(values: torch.Tensor, number: Any) -> torch.Tensor:
    changed = values.to(torch.complex64 if isinstance(number, complex) else torch.float64)
    changed[1, 2] = number
    return changed


MALFORMED: dict[str, tuple[Any, Any, str]] = {
    "numpy predictions": (PREDS.numpy(), TARGETS, r"^preds must be a torch\.Tensor, found numpy\.ndarray"),
    "numpy targets": (PREDS, TARGETS.numpy(), r"^targets must be a torch\.Tensor, found numpy\.ndarray"),
    "lists": (PREDS.tolist(), TARGETS.tolist(), r"^preds must be a torch\.Tensor, found builtins\.list"),
    "list of targets": (PREDS, TARGETS.tolist(), r"^targets must be a torch\.Tensor, found builtins\.list"),
    "nothing": (None, TARGETS, r"^preds must be a torch\.Tensor, found builtins\.NoneType"),
    "text": ("0.5", TARGETS, r"^preds must be a torch\.Tensor, found builtins\.str"),
    "complex predictions": (
        PREDS.to(torch.complex64),
        TARGETS,
        r"^preds must hold real numbers, found torch.complex64",
    ),
    "complex targets": (
        PREDS,
        TARGETS.to(torch.complex128),
        r"^targets must hold real numbers, found torch.complex128",
    ),
    "one dimension": (PREDS[0], TARGETS[0], r"one shape \(B, N\) with N >= 1; found \(3,\) and \(3,\)"),
    "three dimensions": (PREDS[None], TARGETS[None], r"found \(1, 2, 3\) and \(1, 2, 3\)"),
    "fewer targets": (PREDS, TARGETS[:, :2], r"found \(2, 3\) and \(2, 2\)"),
    "fewer rows": (PREDS, TARGETS[:1], r"found \(2, 3\) and \(1, 3\)"),
    "transposed": (PREDS, TARGETS.T, r"found \(2, 3\) and \(3, 2\)"),
    "class numbers": (PREDS, torch.tensor([1, 0]), r"found \(2, 3\) and \(2,\)"),
    "no items": (PREDS[:, :0], TARGETS[:, :0], r"found \(2, 0\) and \(2, 0\)"),
    "other device": (PREDS, TARGETS.to("meta"), r"on one device, found cpu and meta; use targets\.to\(preds\.device\)"),
    "sparse predictions": (
        PREDS.to_sparse(),
        TARGETS,
        r"^preds must be a dense tensor, found layout torch\.sparse_coo",
    ),
    "sparse targets": (
        PREDS,
        TARGETS.to_sparse(),
        r"^targets must be a dense tensor, found layout torch\.sparse_coo",
    ),
    "NaN target": (PREDS, replaced(TARGETS, math.nan), "targets must be finite, found nan in row 1, column 2"),
    "infinite target": (PREDS, replaced(TARGETS, math.inf), "targets must be finite, found inf in row 1, column 2"),
    "negative infinity": (PREDS, replaced(TARGETS, -math.inf), "targets must be finite, found -inf in row 1, column 2"),
}


@pytest.mark.parametrize("case", MALFORMED)
@pytest.mark.parametrize("name", EVERY)
def test_malformed_predictions_and_targets_are_refused_by_every_metric(name: str, case: str) -> None:
    preds, targets, message = MALFORMED[case]
    with pytest.raises(ValueError, match=message):
        EVERY[name](preds, targets)


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_predictions_and_targets_are_refused_by_several_metrics_at_once(case: str) -> None:
    preds, targets, message = MALFORMED[case]
    with pytest.raises(ValueError, match=message):
        dense_metrics(preds, targets, [parse_monitor("recall@2"), parse_monitor("auc")])


@pytest.mark.parametrize("target", [-2, -0.5, -1.5, -100])
@pytest.mark.parametrize("name", [*RANKED, "auroc"])
def test_a_target_that_is_neither_seen_nor_relevant_nor_other_is_refused(name: str, target: float) -> None:
    message = rf"^targets must be -1 \(seen\), 0 \(other\) or positive \(relevant\), found {target} in row 1, column 2$"
    with pytest.raises(ValueError, match=message):
        EVERY[name](PREDS, replaced(TARGETS, target))


@pytest.mark.parametrize("k", [0, -1, 4.0, 2.5, True, False, np.True_, "2", "all", [2], (2,), math.nan, math.inf])
@pytest.mark.parametrize("name", RANKED)
def test_a_cutoff_is_an_integer_from_1(name: str, k: Any) -> None:
    with pytest.raises(ValueError, match=r"^k must be an integer >= 1, found "):
        RANKED[name](PREDS, TARGETS, k=k)


@pytest.mark.parametrize("k", [1, 0, 2.0, True, "2"])
@pytest.mark.parametrize("name", ["auroc", *VALUES])
def test_what_has_no_cutoff_refuses_any(name: str, k: Any) -> None:
    with pytest.raises(ValueError, match=r" has no cutoff; found k="):
        EVERY[name](PREDS, TARGETS, k=k)


@pytest.mark.parametrize("name", RANKED)
def test_a_cutoff_may_be_any_integer_however_large(name: str) -> None:
    assert RANKED[name](PREDS, TARGETS, k=np.int64(2)).item() == RANKED[name](PREDS, TARGETS, k=2).item()
    assert math.isfinite(RANKED[name](PREDS, TARGETS, k=10**9).item())


@pytest.mark.parametrize("name", EVERY)
def test_a_prediction_that_is_nan_stops_every_metric(name: str) -> None:
    with pytest.raises(TrainingError, match="NaN"):
        EVERY[name](replaced(PREDS, math.nan), TARGETS)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 2**62])
@pytest.mark.parametrize("name", [name for name in EVERY if name != "log_loss"])
def test_integers_that_cannot_be_told_apart_are_refused_by_every_metric(name: str, number: int) -> None:
    preds = torch.tensor([[number, number - 1, 0]])
    with pytest.raises(ValueError, match=r"^predictions must be integers from -2\^53 to 2\^53"):
        EVERY[name](preds, TARGETS[:1])


@pytest.mark.parametrize("mask", [-1e8, -1e9, -1e10, -1e12, "lowest"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_area_refuses_a_usual_mask_whose_targets_do_not_say_that_it_is_one(
    mask: float | str, dtype: torch.dtype
) -> None:
    preds, targets = PREDS.to(dtype), torch.tensor([[0, 1, -1], [1, 0, -1]])
    preds[targets == -1] = torch.finfo(dtype).min if mask == "lowest" else float(mask)
    assert metrics.auroc(preds, targets).item() == 1.0
    targets[targets == -1] = 0
    message = r"^auc is over unseen items, and 2 predictions of targets 0 are -.*: keep the target -1 of seen items"
    with pytest.raises(ValueError, match=message):
        metrics.auroc(preds, targets)
    with pytest.raises(ValueError, match=message):
        dense_metrics(preds, targets, [parse_monitor("recall@1"), parse_monitor("auc")])
    # A cutoff does not reach the masked items.
    assert metrics.recall(preds, targets, k=1).item() == 1.0


@pytest.mark.parametrize("score", [-1.5e9, -1e7, -12345678.0, -3e20])
def test_other_low_scores_are_scores(score: float) -> None:
    assert metrics.auroc(torch.tensor([[0.5, score]]), torch.tensor([[1, 0]])).item() == 1.0


@pytest.mark.parametrize("name", ["mean_abs_error", "mean_squared_error", "root_mse", "log_loss"])
def test_marks_of_seen_items_are_no_values_to_compare_with(name: str) -> None:
    targets = torch.tensor([[0, 1, -1], [1, 0, -1]])
    with pytest.raises(
        ValueError, match=rf"^{name} compares predictions with the values of targets, .* marks of a rank"
    ):
        EVERY[name](PREDS, targets)


@pytest.mark.parametrize("name", ["mae", "mse", "logloss"])
def test_marks_of_seen_items_are_refused_among_several_metrics(name: str) -> None:
    targets = torch.tensor([[0, 1, -1], [1, 0, -1]])
    with pytest.raises(ValueError, match=rf"^{name} compares predictions with the values of targets"):
        dense_metrics(PREDS, targets, [parse_monitor("recall@1"), parse_monitor(name)])


def test_errors_take_negative_targets_that_are_values() -> None:
    preds, targets = torch.tensor([[1.0, -1.0]]), torch.tensor([[1.0, -1.0]])
    assert metrics.mean_abs_error(preds, targets).item() == 0.0
    assert metrics.mean_squared_error(preds, torch.tensor([[-1.5, -3.0]])).item() == (2.5**2 + 2.0**2) / 2


@pytest.mark.parametrize("target", [-1, -0.5, 1.5, 2, 5])
def test_log_loss_takes_targets_between_0_and_1(target: float) -> None:
    with pytest.raises(ValueError, match=r"log_loss takes targets in \[0, 1\]"):
        metrics.log_loss(torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, target]]))
