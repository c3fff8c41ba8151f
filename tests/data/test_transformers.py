from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.transformers import (
    Binarizer,
    Function,
    Identity,
    Label2Index,
    MinMax,
    Standard,
    Transformer,
    make_transformer,
)
from recrun.errors import DataError

finite = st.floats(-1e6, 1e6, allow_subnormal=False)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("none", Identity),
        ("label2index", Label2Index),
        ("binarizer", Binarizer),
        ("minmax", MinMax),
        ("standard", Standard),
    ],
)
def test_each_name_stands_for_its_transformer(name: str, kind: type[Transformer]) -> None:
    assert type(make_transformer(name)) is kind


def test_a_transformer_or_a_callable_may_be_given_itself() -> None:
    binarizer = Binarizer(3)
    assert make_transformer(binarizer) is binarizer
    function = make_transformer(np.log1p)
    assert isinstance(function, Function)
    np.testing.assert_allclose(function.transform(np.array([0.0, 1.0])), [0, np.log(2)])


def test_anything_else_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(DataError, match="unknown transformer 'minmx'; did you mean 'minmax'"):
        make_transformer("minmx")
    with pytest.raises(DataError, match="not int"):
        make_transformer(3)  # type: ignore[arg-type]


def test_a_callable_that_changes_the_length_is_refused() -> None:
    with pytest.raises(DataError, match=r"transformer unique returned shape \(1,\) for a column of shape \(2,\)"):
        make_transformer(np.unique).transform(np.array([4, 4]))


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=30))
def test_labels_come_back_from_their_numbers(values: list[int]) -> None:
    column = np.array(values)
    numbers = Label2Index()
    numbers.fit(column)
    assert sorted(set(values)) == numbers.labels.tolist()
    np.testing.assert_array_equal(numbers.labels[numbers.transform(column)], column)


def test_unseen_labels_are_found_as_minus_one_and_refused_when_transformed() -> None:
    numbers = Label2Index()
    numbers.fit(np.array(["b", "d"]))
    assert numbers.find(np.array(["a", "b", "c", "d", "e"])).tolist() == [-1, 0, -1, 1, -1]
    with pytest.raises(DataError, match="2 values are not among the labels of train; the first is 'a'"):
        numbers.transform(np.array(["a", "b", "c"]))


def test_a_label_of_another_type_is_unseen() -> None:
    numbers = Label2Index()
    numbers.fit(np.array([1, 2]))
    assert numbers.find(np.array(["1"])).tolist() == [-1]
    assert numbers.find(np.array([2.0, 2.5])).tolist() == [1, -1]


def test_known_labels_keep_their_order_and_need_no_fit() -> None:
    numbers = Label2Index(np.array(["z", "a", "m"]))
    assert numbers.is_fitted
    assert numbers.transform(np.array(["a", "z", "m"], dtype=object)).tolist() == [1, 0, 2]
    assert numbers.find(np.array(["b"])).tolist() == [-1]


def test_no_labels_at_all_leave_every_value_unseen() -> None:
    numbers = Label2Index()
    numbers.fit(np.array([], dtype=np.int64))
    assert numbers.find(np.array([0, 1])).tolist() == [-1, -1]


def test_labels_of_mixed_types_are_refused() -> None:
    with pytest.raises(DataError, match="labels must all be of one type; found int, str"):
        Label2Index().fit(np.array(["a", 1], dtype=object))


def test_nothing_transforms_before_it_is_fitted() -> None:
    with pytest.raises(DataError, match="Label2Index is not fitted"):
        Label2Index().transform(np.array([1]))
    for scaler in (MinMax(), Standard()):
        assert not scaler.is_fitted
        with pytest.raises(DataError, match="is not fitted"):
            scaler.transform(np.array([1]))
        with pytest.raises(DataError, match="needs at least one value"):
            scaler.fit(np.array([]))


@given(st.lists(finite, min_size=2, max_size=30))
def test_minmax_maps_the_range_of_train_to_the_unit_interval(values: list[float]) -> None:
    column = np.array(values)
    scaler = MinMax()
    scaler.fit(column)
    scaled = scaler.transform(column)
    assert scaled.min() == 0
    assert scaled.max() == (pytest.approx(1) if np.ptp(column) else 0)


def test_minmax_does_not_clip_what_lies_outside_the_range_of_train() -> None:
    scaler = MinMax()
    scaler.fit(np.array([10, 20]))
    assert scaler.transform(np.array([5, 10, 15, 30])).tolist() == [-0.5, 0, 0.5, 2]


@given(st.lists(finite, min_size=2, max_size=30))
def test_standard_gives_train_mean_0_and_deviation_1(values: list[float]) -> None:
    column = np.array(values)
    scaler = Standard()
    scaler.fit(column)
    scaled = scaler.transform(column)
    assert np.isfinite(scaled).all()
    if np.ptp(column) > 1e-3:
        assert scaled.mean() == pytest.approx(0, abs=1e-6)
        assert scaled.std() == pytest.approx(1)


@pytest.mark.parametrize("scaler", [MinMax(), Standard()])
def test_a_constant_column_becomes_zero(scaler: Transformer) -> None:
    column = np.full(7, 0.1)
    scaler.fit(column)
    assert scaler.transform(column).tolist() == [0.0] * 7


def test_the_binarizer_counts_its_threshold_as_low() -> None:
    assert Binarizer(3).transform(np.array([2.5, 3, 3.5, 4])).tolist() == [0, 0, 1, 1]
    assert make_transformer("binarizer").transform(np.array([-1, 0, 1])).tolist() == [0, 0, 1]
