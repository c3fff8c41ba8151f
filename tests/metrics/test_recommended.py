"""The kind of metrics that look at the items of lists: what it hands to metrics, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from recrun.config.monitor_names import parse_monitor
from recrun.errors import ConfigError, RegistryError
from recrun.evaluation.trial import try_metrics
from recrun.metrics import dense_metrics
from recrun.metrics.kinds import Evaluated
from recrun.metrics.recommended import Known
from recrun.registry import METRIC_KINDS
from tests.metrics.lists_by_hand import Case, cases, measure, rows

NEW = ["diversity", "serendipity", "aplt", "poplift", "miscalibration", "ips_recall", "ips_ndcg"]
OLD = ["recall@3", "ndcg@3", "coverage@3", "gini@3", "novelty@3", "popularity@3", "auc"]


@settings(max_examples=50, deadline=None)
@given(case=cases())
def test_other_metrics_are_the_same_bit_for_bit_beside_them(case: Case) -> None:
    alone = measure(case, *OLD)
    beside = measure(case, *(f"{name}@7" for name in NEW), *OLD)
    assert {name: repr(beside[name]) for name in OLD} == {name: repr(value) for name, value in alone.items()}


@settings(max_examples=50, deadline=None)
@given(case=cases())
def test_each_is_the_same_bit_for_bit_whatever_the_largest_cutoff(case: Case) -> None:
    names = [f"{name}@3" for name in NEW]
    alone, beside = measure(case, *names), measure(case, "recall@9", *names)
    assert {name: repr(beside[name]) for name in names} == {name: repr(value) for name, value in alone.items()}


def test_without_any_interaction_no_item_is_popular() -> None:
    known = Known(Evaluated(3, rows([[], []]), rows([[1], [2]])))
    assert known.rank_I.tolist() == [0, 1, 2]
    assert known.is_long_tail_I.tolist() == [True, True, True]
    assert np.isnan(known.profile_popularity_U).all()


def test_a_single_item_with_all_interactions_is_the_head_and_no_item_is_in_the_middle() -> None:
    known = Known(Evaluated(3, rows([[1], [1]]), rows([[0], [2]])))
    assert known.category_I.tolist() == [2, 0, 2]
    assert known.categories_UC.tolist() == [[1, 0, 0], [1, 0, 0]]


def test_dense_predictions_are_not_enough() -> None:
    with pytest.raises(ConfigError, match=r"diversity@2: computed from what users have seen"):
        dense_metrics(torch.ones(1, 3), torch.tensor([[0, 1, 0]]), ["diversity@2"])


OWN = '''
from recrun.registry import METRICS


@METRICS.register("{name}", kind="recommended")
def {name}(lists, known):
    """Return the popularity of the first item."""
    return {value}
'''


def test_a_metric_of_ones_own_is_of_this_kind(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    value = "known.popularity_I[lists.items_BK[:, 0]] + known.relevant.rows(lists.users_B)[0][1:] * 0"
    path.write_text(OWN.format(name="first_popularity", value=value), encoding="utf-8")
    metric = parse_monitor(f"{path}:first_popularity@2")
    try_metrics([metric], "ranking", 4)
    case = Case([[1.0, 2.0, 3.0]] * 2, [[0], [2]], [[1], [0]])
    assert measure(case, str(metric)) == {str(metric): 0.5}


def test_one_that_returns_something_else_is_refused_before_a_run(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN.format(name="too_many", value="lists.items_BK"), encoding="utf-8")
    with pytest.raises(RegistryError, match="must return one number for each user"):
        try_metrics([parse_monitor(f"{path}:too_many@2")], "ranking", 4)


def test_the_kind_is_registered_and_says_what_its_metrics_are_functions_of() -> None:
    assert "lists" in METRIC_KINDS.describe("recommended").summary
