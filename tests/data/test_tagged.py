from __future__ import annotations

import pytest

from recrun.data.fields import DenseField, FieldTuple, SparseField
from recrun.data.tags import DENSE, FEATURE, ID, ITEM, SPARSE, TARGET, USER
from recrun.errors import DataError


@pytest.fixture
def fields() -> FieldTuple:
    return FieldTuple(
        [
            SparseField("user", tags=(USER, ID)),
            SparseField("item", tags=[ITEM, ID]),
            SparseField("genre", tags=(ITEM, FEATURE)),
            DenseField("price", tags={ITEM, FEATURE}),
        ]
    )


def names(fields: FieldTuple) -> list[str]:
    return [field.name for field in fields]


def test_the_one_field_with_all_tags_is_found(fields: FieldTuple) -> None:
    assert fields[USER, ID].name == "user"
    assert fields[USER].name == "user"
    assert fields[DENSE].name == "price"
    assert fields["genre"].match(ITEM, SPARSE, FEATURE)


def test_positions_and_slices_work_as_for_a_tuple(fields: FieldTuple) -> None:
    assert fields[0].name == "user"
    assert fields[-1].name == "price"
    assert isinstance(fields[1:], FieldTuple)
    assert names(fields[1:3]) == ["item", "genre"]
    assert len(fields) == 4
    assert names(fields) == ["user", "item", "genre", "price"]


def test_groupby_and_groupbynot_part_the_fields(fields: FieldTuple) -> None:
    assert names(fields.groupby(ITEM, FEATURE)) == ["genre", "price"]
    assert names(fields.groupbynot(ITEM, FEATURE)) == ["user", "item"]
    assert names(fields.groupby()) == names(fields)
    assert not fields.groupby(TARGET)


def test_asking_for_one_field_where_none_fits_lists_those_that_there_are(fields: FieldTuple) -> None:
    with pytest.raises(DataError) as error:
        fields[USER, TARGET]
    assert str(error.value) == (
        "no field has the tags USER, TARGET; there are: user (USER, ID, SPARSE); item (ITEM, ID, SPARSE); "
        "genre (ITEM, SPARSE, FEATURE); price (ITEM, DENSE, FEATURE)"
    )
    with pytest.raises(DataError, match="no field has the name 'age'; there are: user"):
        fields["age"]
    with pytest.raises(DataError, match="there are: none"):
        FieldTuple()[USER]


def test_asking_for_one_field_where_several_fit_lists_them(fields: FieldTuple) -> None:
    with pytest.raises(DataError, match=r"2 fields have the tags ID, expected one: user \(.*\); item \(.*\)"):
        fields[ID]


def test_two_fields_of_one_name_are_refused() -> None:
    with pytest.raises(DataError, match="field names must differ; repeated: a"):
        FieldTuple([DenseField("a"), SparseField("a"), SparseField("b")])
