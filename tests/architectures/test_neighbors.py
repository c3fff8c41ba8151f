"""Nearest neighbours: measures against formulas in double precision, cuts, and settings that do not go together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import sparse

from recrun.architectures.neighbors import Neighbors, directed_weights
from recrun.errors import ConfigError
from tests.architectures.dense_neighbors import similarities, weights

MEASURES: list[dict[str, Any]] = [
    {},
    {"shrink": 2.5},
    {"feature_weights": "tfidf"},
    {"feature_weights": "tfidf", "shrink": 1.0},
    {"feature_weights": "bm25", "shrink": 1.0},
    {"measure": "dot"},
    {"measure": "dot", "feature_weights": "tfidf"},
    {"measure": "dot", "feature_weights": "bm25"},
    {"measure": "dot", "feature_weights": "bm25", "bm25_k1": 0.0},
    {"measure": "dot", "feature_weights": "bm25", "bm25_k1": 3.0, "bm25_b": 0.0},
    {"measure": "dot", "feature_weights": "bm25", "bm25_b": 1.0},
    {"measure": "asymmetric"},
    {"measure": "asymmetric", "alpha": 0.0},
    {"measure": "asymmetric", "alpha": 0.3, "shrink": 4.0},
    {"measure": "asymmetric", "alpha": 1.0, "feature_weights": "tfidf"},
    {"measure": "asymmetric", "alpha": 0.8, "feature_weights": "bm25"},
    {"measure": "pearson"},
    {"measure": "pearson", "shrink": 2.0},
    {"measure": "tversky"},
    {"measure": "tversky", "alpha": 0.0, "beta": 0.0},
    {"measure": "tversky", "alpha": 0.2, "beta": 1.7, "shrink": 3.0},
    {"measure": "dice"},
    {"measure": "dice", "shrink": 2.0},
    {"measure": "jaccard"},
    {"measure": "jaccard", "shrink": 1.0},
]

# Few rows and features: empty rows, rows of one feature, features of all rows and equal similarities are common.
TABLES = arrays(np.int64, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 1))


def _sparse(table: np.ndarray) -> sparse.csr_matrix:
    return sparse.csr_matrix(table.astype(np.float32))


@pytest.mark.parametrize("settings", MEASURES)
@given(table=TABLES)
def test_similarities_are_those_of_the_formula(settings: dict[str, Any], table: np.ndarray) -> None:
    expected = similarities(table, **settings)
    found = Neighbors(n_neighbors=99, **settings)
    np.testing.assert_allclose(found.nearest(_sparse(table)).toarray(), expected, rtol=2e-6)
    np.testing.assert_allclose(found.nearest(_sparse(table), rows_are="source").toarray(), expected.T, rtol=2e-6)


@pytest.mark.parametrize("neighbors_of", ["source", "target", "both"])
@pytest.mark.parametrize("normalize", [None, "source", "target"])
@given(table=TABLES, n_kept=st.integers(1, 4), settings=st.sampled_from(MEASURES))
def test_weights_are_those_of_plain_loops(
    neighbors_of: Any, normalize: Any, table: np.ndarray, n_kept: int, settings: dict[str, Any]
) -> None:
    # The same single-precision similarities for both, so that equal ones are equal.
    complete = Neighbors(n_neighbors=99, **settings)
    of_target = complete.nearest(_sparse(table)).toarray()
    if neighbors_of != "target":
        of_target = complete.nearest(_sparse(table), rows_are="source").toarray().T
    found = Neighbors(n_neighbors=n_kept, **settings).weights(_sparse(table), neighbors_of, normalize=normalize)
    expected = weights(of_target, n_kept, neighbors_of, normalize)
    if neighbors_of == "both" and normalize:  # Which of equal ones a target keeps is then a matter of rounding.
        np.testing.assert_allclose(np.sort(found.toarray(), 0), np.sort(expected, 0), rtol=2e-6)
    else:
        np.testing.assert_allclose(found.toarray(), expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("special", "general"),
    [
        ({"measure": "cosine"}, {"measure": "asymmetric", "alpha": 0.5}),
        ({"measure": "jaccard"}, {"measure": "tversky"}),
        ({"measure": "dice"}, {"measure": "tversky", "alpha": 0.5, "beta": 0.5}),
        ({"feature_weights": "bm25"}, {"feature_weights": "bm25", "bm25_k1": 7.0, "bm25_b": 0.1}),
    ],
)
@given(table=TABLES)
def test_some_measures_are_special_cases(special: dict[str, Any], general: dict[str, Any], table: np.ndarray) -> None:
    first, second = (Neighbors(**settings).nearest(_sparse(table)).toarray() for settings in (special, general))
    np.testing.assert_allclose(first, second, rtol=2e-6)


def test_measures_worked_by_hand_with_the_first_row_as_target_and_the_second_as_source() -> None:
    vectors = _sparse(np.array([[1, 1, 1, 1, 0], [1, 0, 0, 0, 1]]))  # 1 in common, 3 only the target's, 1 the source's
    for settings, expected in (
        ({"measure": "dot"}, 1.0),
        ({"measure": "asymmetric", "alpha": 1.0}, 1 / 4),
        ({"measure": "asymmetric", "alpha": 0.0}, 1 / 2),
        ({"measure": "tversky", "alpha": 2.0, "beta": 0.0}, 1 / 7),
        ({"measure": "tversky", "alpha": 0.0, "beta": 2.0}, 1 / 3),
        ({"measure": "dice"}, 2 / 6),
        ({"measure": "jaccard", "shrink": 5.0}, 1 / 10),
    ):
        found = Neighbors(**settings)  # type: ignore[arg-type]
        assert found.nearest(vectors)[0, 1] == pytest.approx(expected), settings
        assert found.nearest(vectors, rows_are="source")[1, 0] == pytest.approx(expected), settings


def test_of_equal_similarities_those_of_the_first_rows_are_kept() -> None:
    vectors = _sparse(np.ones((4, 2)))
    assert Neighbors(n_neighbors=2).nearest(vectors).indices.tolist() == [1, 2, 0, 2, 0, 1, 0, 1]


def test_weights_of_a_source_are_normalized_before_targets_choose() -> None:
    nearest = sparse.csr_matrix(np.array([[0, 2, 2], [3, 0, 1], [0, 0, 0]], dtype=np.float32))
    found = directed_weights(nearest, 1, "both", normalize="source").toarray()
    assert found.tolist() == [[0, 0.5, 0.5], [0.75, 0, 0], [0, 0, 0]]
    assert directed_weights(nearest, 1, "target").toarray().tolist() == nearest.T.toarray().tolist()


def test_weights_are_normalized_over_the_neighbours_of_each_target() -> None:
    of_targets = sparse.csr_matrix(np.array([[0, 1, 3], [2, 0, 0], [0, 0, 0]], dtype=np.float32))
    found = directed_weights(of_targets, 2, "target", normalize="target").toarray()
    assert found.tolist() == [[0, 1, 0], [0.25, 0, 0], [0.75, 0, 0]]


NO_ALPHA = "alpha: has no effect with measure {}; expected null, or measure asymmetric or tversky, found {}"
NO_BETA = "beta: has no effect with measure {}; expected null, or measure tversky, found {}"
OF_SETS = "feature_weights: measure {} compares sets; expected none, or measure cosine, dot or asymmetric, found {}"
NO_BM25 = "{}: has no effect with feature_weights {}; expected null, or feature_weights bm25, found {}"

MISMATCHES: list[tuple[dict[str, Any], str]] = [
    *(
        ({"measure": measure, "alpha": 0.5}, NO_ALPHA.format(measure, 0.5))
        for measure in ("cosine", "dot", "pearson", "dice")
    ),
    ({"measure": "jaccard", "alpha": 0.0}, NO_ALPHA.format("jaccard", 0.0)),
    *(({"measure": measure, "beta": 1.0}, NO_BETA.format(measure, 1.0)) for measure in ("cosine", "dot", "dice")),
    ({"measure": "jaccard", "beta": 0.0}, NO_BETA.format("jaccard", 0.0)),
    ({"measure": "asymmetric", "beta": 0.5}, NO_BETA.format("asymmetric", 0.5)),
    ({"measure": "asymmetric", "alpha": 1.5}, "alpha: expected at most 1 for measure asymmetric, found 1.5"),
    ({"measure": "dot", "shrink": 10.0}, "shrink: measure dot has no denominator; expected 0, found 10.0"),
    *(
        ({"measure": measure, "feature_weights": weighting}, OF_SETS.format(measure, weighting))
        for measure in ("pearson", "tversky", "dice", "jaccard")
        for weighting in ("tfidf", "bm25")
    ),
    ({"bm25_k1": 1.2}, NO_BM25.format("bm25_k1", "none", 1.2)),
    ({"bm25_b": 0.0}, NO_BM25.format("bm25_b", "none", 0.0)),
    ({"bm25_k1": 0.0, "feature_weights": "tfidf"}, NO_BM25.format("bm25_k1", "tfidf", 0.0)),
    ({"bm25_b": 0.5, "feature_weights": "tfidf"}, NO_BM25.format("bm25_b", "tfidf", 0.5)),
]


@pytest.mark.parametrize(("settings", "message"), MISMATCHES)
def test_a_setting_without_effect_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Neighbors(**settings)
    assert str(error.value) == message


def test_all_settings_without_effect_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        Neighbors(measure="dot", shrink=1.0, alpha=0.1, beta=0.2, bm25_b=0.3)
    assert [fault.key for fault in error.value.faults] == ["shrink", "alpha", "beta", "bm25_b"]
