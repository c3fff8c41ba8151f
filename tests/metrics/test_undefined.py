"""Metrics that are undefined on the data: what is said of them, and that it is known beforehand where it can be."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.config.monitor_names import MetricName, parse_monitor
from recrun.data.interactions import CSR
from recrun.errors import RegistryError, TrainingError
from recrun.evaluation.predictions import measure
from recrun.evaluation.ranking import evaluate_ranking
from recrun.metrics import pointwise_metrics
from recrun.metrics.kinds import Evaluated
from recrun.metrics.totals import Totals
from recrun.metrics.undefined import Undefined, as_nulls, from_nulls, reasons, undefined_entry, undefined_text
from recrun.registry import METRICS

OF_ROWS = ["auc", "gauc", "mae", "mse", "rmse", "logloss"]
OF_RANKINGS = ["recall@2", "precision@2", "hitrate@2", "f1@2", "ndcg@2", "mrr@2", "map@2", "auc"]
BEYOND = ["gini@2", "novelty@2", "popularity@2"]
NOTHING = "no user has relevant items"
NO_PAIR = "no user has both an unseen relevant item and another unseen one"


class Fixed:
    """Scores that are given."""

    def __init__(self, scores: Any) -> None:
        self.scores = torch.as_tensor(scores)

    def score(self, users: torch.Tensor) -> torch.Tensor:
        return self.scores[users]


def rows(items: list[list[int]]) -> CSR:
    pairs = [(user, item) for user, of_user in enumerate(items) for item in of_user]
    users, found = (np.array([pair[i] for pair in pairs], dtype=np.int64) for i in (0, 1))
    return CSR.from_pairs(users, found, len(items))


def names(texts: list[str]) -> list[MetricName]:
    return [parse_monitor(text) for text in texts]


def rank(seen: CSR, relevant: CSR, n_items: int, metrics: list[str]) -> dict[str, float]:
    scores = np.random.default_rng(0).normal(size=(relevant.n_rows, n_items))
    return evaluate_ranking(
        Fixed(scores), seen=seen, relevant=relevant, n_items=n_items, metrics=names(metrics), device="cpu"
    ).values


def test_it_is_a_number_that_is_none_and_knows_why() -> None:
    value = Undefined("there are no rows")
    assert isinstance(value, float)
    assert math.isnan(value)
    assert repr(value) == "Undefined('there are no rows')"
    values = {"auc": 0.5, "gauc": value}
    assert as_nulls(values) == {"auc": 0.5, "gauc": None}
    assert reasons(values) == {"gauc": "there are no rows"}
    assert undefined_entry({"valid": {"auc": 0.5}, "test": {}}) == {}
    entry = undefined_entry({"valid": {"auc": 0.5}, "test": values})
    assert entry == {"undefined": {"test": {"gauc": "there are no rows"}}}
    assert undefined_text(entry["undefined"]) == ["gauc is undefined on test: there are no rows"]
    again = from_nulls(as_nulls(values), reasons(values))
    assert (again["auc"], reasons(again)) == (0.5, reasons(values))
    assert reasons(from_nulls({"auc": None}, {})) == {"auc": "the reason was not recorded"}


@pytest.mark.parametrize(
    ("labels", "users", "expected"),
    [
        ([1, 1, 1], [0, 0, 1], {"auc": "all labels are 1", "gauc": "no user has rows of both labels"}),
        ([0, 0], [0, 1], {"auc": "all labels are 0", "gauc": "no user has rows of both labels"}),
        ([1, 0, 1], [0, 1, 2], {"gauc": "no user has rows of both labels"}),
        ([1, 0], [0, 0], {}),
        ([], [], dict.fromkeys(OF_ROWS, "there are no rows")),
        ([0.5, 0.25], [0, 0], {"auc": "all labels are above 0", "gauc": "no user has rows of both labels"}),
    ],
)
def test_predictions_say_which_labels_are_missing(
    labels: list[float], users: list[int], expected: dict[str, str]
) -> None:
    arrays = np.full(len(labels), 0.3), np.array(labels, dtype=float), np.array(users, dtype=int)
    assert reasons(measure(*arrays, names(OF_ROWS))) == expected
    forecast = Totals(names(OF_ROWS), "predictions", Evaluated(targets_N=arrays[1], users_N=arrays[2])).undefined()
    assert forecast == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 8)), max_size=8))
def test_what_is_known_of_labels_beforehand_holds_for_any_predictions(given_rows: list[tuple[int, int, int]]) -> None:
    labels, users, preds = (np.array([row[i] for row in given_rows]) for i in range(3))
    measured = measure(preds / 8, labels, users, names(OF_ROWS))
    forecast = Totals(names(OF_ROWS), "predictions", Evaluated(targets_N=labels, users_N=users)).undefined()
    assert forecast == reasons(measured)
    assert all(math.isfinite(value) for name, value in measured.items() if name not in forecast)


def test_every_metric_of_rows_that_recrun_has_is_known_beforehand() -> None:
    of_rows = [metric for metric in METRICS if metric.traits.kind == "pointwise"]
    assert {metric.name for metric in of_rows} == {*OF_ROWS} - {"auc"}
    assert all(metric.traits.foreseeable for metric in of_rows)


@pytest.mark.parametrize(
    ("seen", "relevant", "expected"),
    [
        ([[], []], [[], []], {**dict.fromkeys(OF_RANKINGS, NOTHING), **dict.fromkeys(BEYOND, "")}),
        ([[0, 1], []], [[2], []], {"auc": NO_PAIR}),
        ([[], []], [[0, 1, 2], []], {"auc": NO_PAIR}),
        ([[0], []], [[0], []], {"auc": NO_PAIR}),
        ([[0, 1], [0]], [[2], [1]], {}),
    ],
)
def test_rankings_say_what_no_user_has(
    seen: list[list[int]], relevant: list[list[int]], expected: dict[str, str]
) -> None:
    measured = reasons(rank(rows(seen), rows(relevant), 3, [*OF_RANKINGS, *BEYOND]))
    assert measured == {name: why or "no item is recommended to anyone" for name, why in expected.items()}
    data = Evaluated(3, rows(seen), rows(relevant))
    forecast = Totals(names([*OF_RANKINGS, *BEYOND]), "ranking", data).undefined()
    assert forecast == {name: why for name, why in expected.items() if why}


@settings(max_examples=100, deadline=None)
@given(n_users=st.integers(1, 5), n_items=st.integers(1, 5), seed=st.integers(0, 2**32 - 1), tenths=st.integers(0, 10))
def test_what_is_known_of_rankings_beforehand_holds_for_any_scores(
    n_users: int, n_items: int, seed: int, tenths: int
) -> None:
    rng = np.random.default_rng(seed)
    seen, relevant = (
        CSR.from_pairs(*np.nonzero(rng.random((n_users, n_items)) < chance), n_users)
        for chance in (tenths / 10, tenths / 20)
    )
    measured = reasons(rank(seen, relevant, n_items, OF_RANKINGS))
    assert Totals(names(OF_RANKINGS), "ranking", Evaluated(n_items, seen, relevant)).undefined() == measured


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return np.full(len(hits), np.nan)", "the metric is NaN for every user"),
        ("return np.where(n_relevant > 9, 1.0, np.nan)", "the metric is NaN for every user"),
    ],
)
def test_a_users_own_metric_that_is_nan_for_all_is_undefined(tmp_path: Path, body: str, expected: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(f"import numpy as np\n\n\ndef odd(hits, n_relevant, k):\n    {body}\n", encoding="utf-8")
    metric = f"{path}:odd@2"
    assert reasons(rank(rows([[], []]), rows([[0], [1]]), 3, [metric])) == {metric: expected}


NUMBERS = itertools.count()
OWN = """
import numpy as np

from recrun.metrics.undefined import Undefined
from recrun.registry import METRICS


@METRICS.register("{name}", kind="pointwise")
def {name}(preds, targets):
    return {value}
"""


def own_metric(folder: Path, value: str) -> MetricName:
    """Write a metric that returns a value; a name may be registered only once in a process."""
    name = f"odd{next(NUMBERS)}"
    (folder / "own.py").write_text(OWN.format(name=name, value=value), encoding="utf-8")
    return parse_monitor(f"{folder / 'own.py'}:{name}")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("float('nan')", "the metric returned NaN"),
        ("np.float32('nan')", "the metric returned NaN"),
        ("np.mean([np.nan])", "the metric returned NaN"),
        ("Undefined('no row is odd')", "no row is odd"),
    ],
)
def test_a_users_own_metric_of_rows_may_say_why(tmp_path: Path, value: str, why: str) -> None:
    metric = own_metric(tmp_path, value)
    arrays = np.array([0.5, 0.5]), np.array([0, 1]), np.array([0, 1])
    assert reasons(measure(*arrays, [metric])) == {str(metric): why}
    # What it returns may depend on the predictions, so nothing is said beforehand.
    assert Totals([metric], "predictions", Evaluated(targets_N=arrays[1], users_N=arrays[2])).undefined() == {}


@pytest.mark.parametrize("value", ["None", "'high'", "[0.5]", "{}", "1j"])
def test_a_users_own_metric_that_returns_no_number_is_refused(tmp_path: Path, value: str) -> None:
    metric = own_metric(tmp_path, value)
    with pytest.raises(RegistryError, match=r"odd\d+ must return a number, and returned "):
        measure(np.array([0.5]), np.array([1]), np.array([0]), [metric])


@pytest.mark.parametrize("name", OF_ROWS)
def test_a_prediction_that_is_nan_is_an_error_and_not_undefined(name: str) -> None:
    preds, labels, users = np.array([0.5, math.nan, 0.25]), np.array([1, 0, 0]), np.zeros(3, dtype=int)
    with pytest.raises(TrainingError, match=r"^the prediction of row 1 is NaN: the training has diverged"):
        measure(preds, labels, users, names([name]))
    with pytest.raises(TrainingError, match=r"^the prediction of row 1 is NaN"):
        pointwise_metrics(preds, labels, names([name]), users)


BAD_ROWS: dict[str, tuple[Any, Any, str]] = {
    "lengths": ([0.5, 0.5], [1], "equal lengths, found 2 and 1"),
    "text": (["a", "b"], [1, 0], "preds must be one-dimensional real numbers, found <U1"),
    "text labels": ([0.5, 0.5], ["yes", "no"], "targets must be one-dimensional real numbers, found <U3"),
    "complex": ([0.5j, 1], [1, 0], "preds must be one-dimensional real numbers, found complex128"),
    "complex labels": ([0.5, 1], [1j, 0], "targets must be one-dimensional real numbers, found complex128"),
    "matrix": ([[0.5, 0.5]], [[1, 0]], r"preds must be one-dimensional real numbers, found float64 of shape \(1, 2\)"),
    "scalar": (0.5, 1, r"preds must be one-dimensional real numbers, found float64 of shape \(\)"),
    "objects": ([0.5, None], [1, 0], "preds must be one-dimensional real numbers, found object"),
    "NaN label": ([0.5, 0.5], [1, math.nan], "targets must be finite, found nan in row 1"),
    "infinite label": ([0.5, 0.5], [-math.inf, 1], "targets must be finite, found -inf in row 0"),
}


@pytest.mark.parametrize("name", OF_ROWS)
@pytest.mark.parametrize("case", BAD_ROWS)
def test_malformed_rows_are_refused(name: str, case: str) -> None:
    preds, targets, message = BAD_ROWS[case]
    with pytest.raises(ValueError, match=message):
        pointwise_metrics(preds, targets, names([name]), np.zeros(2))


@pytest.mark.parametrize("label", [-1.0, 2.0, 1.5, 5.0])
def test_logloss_takes_labels_between_0_and_1_only(label: float) -> None:
    with pytest.raises(ValueError, match=r"logloss takes targets in \[0, 1\], such as labels 0 and 1"):
        pointwise_metrics(np.array([0.5, 0.5]), np.array([1.0, label]), names(["logloss"]))


def test_groups_have_one_value_per_prediction() -> None:
    with pytest.raises(ValueError, match="groups must have one value per prediction, found 1 for 2"):
        pointwise_metrics(np.array([0.5, 0.5]), np.array([1, 0]), names(["gauc"]), np.array([0]))
