"""What data sets of a user's own return from `read`, and the tables they make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recrun.data.datasets.foreign import checked_tables
from recrun.data.formats.table import Table
from recrun.errors import DataError

IDS = np.arange(4)


def table(**columns: Any) -> Table:
    return Table.of(IDS, IDS, columns)


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (None, 'must return tables by part, such as {"all": Table.of(...)}; found NoneType'),
        (table(), 'must return tables by part, such as {"all": Table.of(...)}; found Table'),
        ({}, 'must return "all", or "train", "test" and perhaps "valid"; found nothing'),
        ({"al": table()}, 'must return "all", or "train", "test" and perhaps "valid"; found \'al\''),
        (
            {"all": table(), "test": table()},
            'must return "all", or "train", "test" and perhaps "valid"; found \'all\', \'test\'',
        ),
        ({"all": (IDS, IDS)}, "must return a Table under 'all'; found tuple"),
    ],
)
def test_what_is_no_data_set_is_refused(tables: Any, told: str) -> None:
    with pytest.raises(DataError) as error:
        checked_tables("Mine", tables)
    assert str(error.value) == f"Mine.read() {told}"


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ({"visits": IDS[:3]}, "all columns must have one length; found 4 users, 4 items, 3 visits"),
        ({"visits": [1, 2, 3, 4]}, "visits must be a numpy array of shape (N,); found list"),
        ({"visits": IDS[:, None]}, "visits must be a numpy array of shape (N,); found int64 of shape (4, 1)"),
        ({"timestamp": np.array([1, np.nan, 3, 4])}, "timestamp must be finite; found nan in row 1, counted from 0"),
        ({"rating": np.array([1, 2, np.inf, 4])}, "rating must be finite; found inf in row 2, counted from 0"),
        ({"timestamp": IDS.astype(str)}, "timestamp must be numbers; found <U21"),
    ],
)
def test_columns_that_do_not_fit_are_refused(column: Any, told: str) -> None:
    with pytest.raises(DataError) as error:
        checked_tables("Mine", {"all": table(**column)})
    assert str(error.value) == f"Mine.read(): 'all': {told}"


@pytest.mark.parametrize(
    ("users", "told"),
    [
        (IDS - 1, "users must be at least 0; found -1"),
        (IDS * 0.5, "users must be integers or text; found float64"),
        (IDS[:2], "users and items must have one length; found 2 and 4"),
        (IDS[:, None], "users must be a numpy array of shape (N,); found an array of shape (4, 1)"),
        (["a", "b", "c", "d"], "users must be a numpy array of shape (N,); found list"),
        (np.array(["a", None, "c", "d"], dtype=object), "users must be integers or text; found object"),
    ],
)
def test_ids_that_are_none_are_refused(users: Any, told: str) -> None:
    with pytest.raises(DataError) as error:
        Table.of(users, IDS)
    assert str(error.value) == f"Table.of: {told}"


@pytest.mark.parametrize("parts", [["all"], ["test", "train"], ["train", "valid", "test"], ["train"]])
def test_tables_of_a_data_set_are_returned_as_they_are(parts: list[str]) -> None:
    tables = {part: table(timestamp=IDS) for part in parts}
    assert checked_tables("Mine", tables) is tables
