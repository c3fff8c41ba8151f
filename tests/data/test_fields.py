from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from recrun.data.fields import DenseField, SparseField, is_missing
from recrun.data.tags import DENSE, ID, SPARSE, USER
from recrun.data.transformers import Label2Index
from recrun.errors import DataError

NAN = float("nan")


def test_the_module_does_not_import_torch_until_the_tokenizer_is_asked_for() -> None:
    code = (
        "import sys, recrun.data.fields as fields; assert 'torch' not in sys.modules; "
        "from recrun.data.fields import Tokenizer, Fielder; assert 'torch' in sys.modules; "
        "assert Fielder is fields.FieldTuple"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_of_the_module_is_an_attribute_error() -> None:
    import recrun.data.fields

    with pytest.raises(AttributeError, match="Tokeniser"):
        _ = recrun.data.fields.Tokeniser


def test_fields_add_their_kind_to_the_tags() -> None:
    assert SparseField("user", tags=(USER, ID)).tags == {USER, ID, SPARSE}
    assert DenseField("age", tags=USER).tags == {USER, DENSE}
    assert repr(USER) == "USER"
    assert repr(SparseField("user", tags=USER)) == "SparseField('user', tags=(USER, SPARSE))"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 1]), [False, False]),
        (np.array([0.0, NAN, 1.0]), [False, True, False]),
        (np.array(["0", "", " "]), [False, True, False]),
        (np.array([None, 0, "", NAN, "x", False], dtype=object), [True, False, True, True, False, False]),
        (np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"), [False, True]),
        (np.array([], dtype=object), []),
    ],
)
def test_missing_are_nan_none_and_empty_text_but_never_zero(values: np.ndarray, expected: list[bool]) -> None:
    assert is_missing(values).tolist() == expected


def test_labels_of_train_are_numbered_and_come_back() -> None:
    field = SparseField("city").fit(np.array(["rome", "oslo", "rome"]))
    assert field.count == 2
    assert field.na_index is None
    numbers = field.transform(np.array(["rome", "oslo"]))
    assert numbers.dtype == np.int64
    assert field.labels[numbers].tolist() == ["rome", "oslo"]


def test_an_unseen_label_is_an_error_that_names_field_and_label() -> None:
    field = SparseField("city").fit(np.array(["rome", "oslo"]))
    with pytest.raises(DataError, match="field 'city': 2 of 3 values are not categories of train; the first is 'bonn'"):
        field.transform(np.array(["rome", "bonn", "kyiv"]))


def test_missing_and_unseen_labels_share_the_category_of_na_value() -> None:
    field = SparseField("city", na_value="elsewhere").fit(np.array(["rome", "", "oslo"]))
    assert field.count == 3
    assert field.na_index == 2
    assert field.transform(np.array(["rome", "bonn", "", "elsewhere"])).tolist() == [1, 2, 2, 2]


def test_an_na_value_that_is_a_label_of_train_adds_no_category() -> None:
    field = SparseField("city", na_value="oslo").fit(np.array(["rome", "oslo"]))
    assert field.count == 2
    assert field.transform(np.array(["bonn", "oslo", ""])).tolist() == [0, 0, 0]


def test_an_na_value_may_be_of_another_type_than_the_labels() -> None:
    field = SparseField("year", na_value="unknown").fit(np.array([1999.0, NAN, 2004.0]))
    assert field.count == 3
    assert field.transform(np.array([2004.0, NAN, 1999.0, 0.0])).tolist() == [1, 2, 0, 2]


def test_zero_is_a_label_like_any_other() -> None:
    field = SparseField("flag", na_value=-1).fit(np.array([0, 1, 0]))
    assert field.transform(np.array([0, 1, 2])).tolist() == [0, 1, 2]
    assert field.labels.tolist() == [0, 1]


def test_missing_values_without_an_na_value_are_an_error_with_their_number_and_place() -> None:
    field = DenseField("age")
    with pytest.raises(
        DataError, match="field 'age': 2 of 4 values are missing, the first in row 1; give the field an na_v"
    ):
        field.fit(np.array([1.0, NAN, 3.0, NAN]))
    with pytest.raises(DataError, match="1 of 1 values are missing"):
        DenseField("age").transform(np.array([NAN]))


def test_category_numbers_are_counted_or_given() -> None:
    assert SparseField("user", transformer="none", count=5).count == 5
    field = SparseField("genre", transformer="none").fit(np.array([0, 3, 1]))
    assert field.count == 4
    assert SparseField("genre", transformer="none", count=9).fit(np.array([0, 3])).count == 9
    with pytest.raises(DataError, match="1 of 2 values are not categories of train; the first is 4"):
        field.transform(np.array([3, 4]))


def test_category_numbers_beyond_the_count_go_to_na_value_where_there_is_one() -> None:
    field = SparseField("genre", transformer="none", na_value=0).fit(np.array([0, 3, 1]))
    assert field.transform(np.array([3, 4, -1])).tolist() == [3, 0, 0]
    assert SparseField("genre", transformer="none", na_value=6).fit(np.array([1])).count == 7


def test_a_callable_makes_categories_of_raw_values() -> None:
    field = SparseField("price", transformer=lambda values: (values // 10).astype(int), na_value=0.0)
    field.fit(np.array([5.0, 25.0, NAN]))
    assert field.count == 3
    assert field.transform(np.array([NAN, 19.0, 999.0])).tolist() == [0, 1, 0]


def test_a_count_that_labels_would_contradict_is_refused() -> None:
    with pytest.raises(DataError, match="field 'city': label2index counts the labels itself"):
        SparseField("city", count=4)


def test_count_and_labels_are_errors_before_they_are_known() -> None:
    with pytest.raises(DataError, match="field 'city' has no count yet"):
        _ = SparseField("city").count
    with pytest.raises(DataError, match="Label2Index is not fitted"):
        _ = SparseField("city").labels
    with pytest.raises(DataError, match="has no labels: its transformer is not label2index"):
        _ = SparseField("user", transformer="none", count=3).labels
    with pytest.raises(DataError, match="field 'city' is not fitted: call fit with the values of train rows first"):
        SparseField("city").transform(np.array(["rome"]))


def test_labels_known_beforehand_need_no_fit() -> None:
    field = SparseField("user", transformer=Label2Index(np.array(["u9", "u3"])))
    assert field.count == 2
    assert field.transform(np.array(["u3", "u9"])).tolist() == [1, 0]


def test_a_dense_field_scales_by_the_present_values_of_train_only() -> None:
    field = DenseField("age", na_value=15.0, transformer="minmax").fit(np.array([10.0, NAN, 20.0, 0.0]))
    transformed = field.transform(np.array([NAN, 0.0, 40.0]))
    assert transformed.dtype == np.float32
    np.testing.assert_allclose(transformed, [0.75, 0.0, 2.0])
    assert field.count == 1


def test_objects_with_missing_values_become_numbers() -> None:
    field = DenseField("age", na_value=1.5).fit(np.array([1, None], dtype=object))
    np.testing.assert_allclose(field.transform(np.array([3, None, NAN], dtype=object)), [3, 1.5, 1.5])


def test_values_that_are_no_numbers_are_an_error_of_the_field() -> None:
    with pytest.raises(DataError, match="field 'age': "):
        DenseField("age", transformer="standard").fit(np.array(["old", "young"]))


def test_a_column_has_one_dimension() -> None:
    with pytest.raises(DataError, match=r"a column has one dimension, not shape \(2, 1\)"):
        DenseField("age").fit(np.zeros((2, 1)))


def test_the_output_has_the_asked_type() -> None:
    assert DenseField("age", dtype=np.float64).transform(np.array([1])).dtype == np.float64
    assert SparseField("flag", transformer="binarizer", dtype=np.int8, count=2).transform(
        np.array([0.0, 2.0])
    ).tolist() == [0, 1]
