"""Settings of `itemknn` and `userknn` that cannot work are refused before anything starts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import Outcome

MEASURE = "measure: expected one of cosine, dot, asymmetric, pearson, tversky, dice, jaccard, found"
ENDS = "expected one of source, target, both, found"


@pytest.mark.parametrize("model", ["itemknn", "userknn"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("measure=tfidf", f"argument 2:9: {MEASURE} 'tfidf' (text)"),
        ("measure=Cosine", f"argument 2:9: {MEASURE} 'Cosine' (text)"),
        ("measure=null", f"argument 2:9: {MEASURE} null"),
        ("measure=[cosine]", f"argument 2:9: {MEASURE} ['cosine'] (a list)"),
        ("tversky_alpha=-0.1", "argument 2:15: tversky_alpha: expected a number >= 0 or null, found -0.1"),
        ("tversky_alpha=half", "argument 2:15: tversky_alpha: expected a number >= 0 or null, found 'half' (text)"),
        ("tversky_alpha=.nan", "argument 2:15: tversky_alpha: expected a number >= 0 or null, found .nan (a number)"),
        ("tversky_beta=true", "argument 2:14: tversky_beta: expected a number >= 0 or null, found true"),
        ("asymmetric_alpha=1.5", "argument 2:18: asymmetric_alpha: expected a number >= 0 and <= 1 or null, found 1.5"),
        ("bm25_b=1.5", "argument 2:8: bm25_b: expected a number >= 0 and <= 1 or null, found 1.5"),
        ("bm25_k1=-1", "argument 2:9: bm25_k1: expected a number >= 0 or null, found -1"),
        ("feature_weights=bm-25", "argument 2:17: feature_weights: expected one of none, tfidf, bm25, found 'bm-25'"),
        ("neighbors_of=item", f"argument 2:14: neighbors_of: {ENDS} 'item' (text)"),
        ("n_neighbors=0", "argument 2:13: n_neighbors: expected an integer >= 1, found 0"),
        ("n_neighbors=1.5", "argument 2:13: n_neighbors: expected an integer >= 1, found 1.5"),
        ("shrink=-1", "argument 2:8: shrink: expected a number >= 0, found -1"),
        (
            "asymmetric_alpha=0.5",
            "argument 2:18: asymmetric_alpha: does not apply: it is for measure asymmetric; remove it",
        ),
        ("bm25_k1=2", "argument 2:9: bm25_k1: does not apply: it is for feature_weights bm25; remove it"),
    ],
)
def test_a_wrong_setting_of_neighbours_stops_with_its_remedy(
    recrun: Callable[..., Outcome], model: str, given: str, message: str
) -> None:
    outcome = recrun("train", model, "n_interactions=5000", given)
    assert outcome.code == 2
    assert f"error: {message}" in outcome.err
    assert outcome.is_untouched


@pytest.mark.parametrize("value", ["both", "target", "1", "null", "[true]"])
def test_a_wrong_normalization_stops_with_the_choices(recrun: Callable[..., Outcome], value: str) -> None:
    outcome = recrun("train", "itemknn", f"normalize_neighbors={value}")
    assert outcome.code == 2
    assert "argument 1:21: normalize_neighbors: expected true or false, found" in outcome.err
    assert outcome.is_untouched


@pytest.mark.parametrize("key", ["subtract_item_means=true", "normalize_over=target"])
def test_settings_of_items_are_no_settings_of_users(recrun: Callable[..., Outcome], key: str) -> None:
    outcome = recrun("train", "userknn", key)
    assert outcome.code == 2
    assert f"{key.partition('=')[0]}: is a setting of model itemknn" in outcome.err
    assert outcome.is_untouched
