"""Ids: integers or text, and those that differ only in how they are written."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.formats.table import Layout, Table
from recrun.data.formats.values.ids import alike, ids_of
from recrun.errors import DataError
from recrun.registry import FORMATS

ZEROS = "a point and zeros, which programs write behind integers where values were missing"
UNICODE = "how Unicode composes its letters (NFC or NFD)"
BLANKS = "the blanks around it"


def ids(values: list[Any] | pl.Series) -> list[Any]:
    series = values if isinstance(values, pl.Series) else pl.Series("user", values)
    found = ids_of(series.alias("user"), Path("x.csv"), lambda row: row + 2)
    assert found.names.tolist() == sorted(set(found.names.tolist()))
    written: list[Any] = found.names[found.codes].tolist()
    return written


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            ["1", "1.0"],
            f"x.csv:3: the user is '1.0', which differs from '1' (line 2) only by {ZEROS}; write both alike",
        ),
        (
            ["1.0", "1"],
            f"x.csv:2: the user is '1.0', which differs from '1' (line 3) only by {ZEROS}; write both alike",
        ),
        (["1.0", "2.0", "2", "3"], f"x.csv:3: the user is '2.0', which differs from '2' (line 4) only by {ZEROS}"),
        (["1.", "1"], "x.csv:2: the user is '1.', which differs from '1' (line 3) only by a point and zeros"),
        (["1.00", "1.0"], "x.csv:3: the user is '1.0', which differs from '1.00' (line 2) only by a point and zeros"),
        (["1", "1.0", "bob"], f"x.csv:3: the user is '1.0', which differs from '1' (line 2) only by {ZEROS}"),
        (["01", "1"], "x.csv:2: the user is '01', which differs from '1' (line 3) only by leading zeros; write both"),
        (["1", "007", "7"], "x.csv:3: the user is '007', which differs from '7' (line 4) only by leading zeros"),
        (["007", "07"], "x.csv:3: the user is '07', which differs from '007' (line 2) only by leading zeros"),
        (["0", "00"], "x.csv:3: the user is '00', which differs from '0' (line 2) only by leading zeros"),
        (["01.0", "1"], "x.csv:2: the user is '01.0', which differs from '1' (line 3) only by leading zeros"),
        (["a", "a "], f"x.csv:3: the user is 'a ', which differs from 'a' (line 2) only by {BLANKS}; write both alike"),
        ([" a", "a"], f"x.csv:2: the user is ' a', which differs from 'a' (line 3) only by {BLANKS}"),
        (["a", "a\t"], f"x.csv:3: the user is 'a\\t', which differs from 'a' (line 2) only by {BLANKS}"),
        (["a", "a\u00a0"], f"x.csv:3: the user is 'a\\xa0', which differs from 'a' (line 2) only by {BLANKS}"),
        (["a", "\ufeffa"], f"x.csv:3: the user is '\\ufeffa', which differs from 'a' (line 2) only by {BLANKS}"),
        (["a", "a\u200b"], f"x.csv:3: the user is 'a\\u200b', which differs from 'a' (line 2) only by {BLANKS}"),
        (["1", "2 ", "2", "x"], f"x.csv:3: the user is '2 ', which differs from '2' (line 4) only by {BLANKS}"),
        (['"1"', "1"], "x.csv:2: the user is '\"1\"', which differs from '1' (line 3) only by the quotes around it"),
        (
            ["caf\u00e9", "cafe\u0301"],
            f"x.csv:3: the user is 'cafe\u0301', which differs from 'caf\u00e9' (line 2) only by {UNICODE}",
        ),
        (
            ["\u212b", "\u00c5"],
            f"x.csv:2: the user is '\u212b', which differs from '\u00c5' (line 3) only by {UNICODE}",
        ),
        (
            ["\uac00", "\u1100\u1161"],
            "x.csv:3: the user is '\u1100\u1161', which differs from '\uac00' (line 2) only by",
        ),
        (["1", "nan"], "x.csv:3: the user is 'nan' where all other ids are numbers (a missing value?)"),
        (["1", "1.5", "NaT"], "x.csv:4: the user is 'NaT' where all other ids are numbers (a missing value?)"),
        (
            ["1", "1.23E+17"],
            "x.csv:3: the user is '1.23E+17', a rounded number, as spreadsheets write large ids; write",
        ),
        (
            ["1.2345678901234568e+18"],
            "x.csv:2: the user is '1.2345678901234568e+18', a rounded number, as spreadsheets",
        ),
        (["a", "  "], "x.csv:3: the user is missing"),
        (["1", " "], "x.csv:3: the user is missing"),
        (["a", ""], "x.csv:3: expected a user id of 1 to 512 characters, found an empty one"),
        (["a", "b" * 513], "x.csv:3: expected a user id of 1 to 512 characters, found one of 513 characters"),
        (["1", "-1"], "x.csv:3: expected a user >= 0, found -1"),
        ([1.0, 1.5], "x.csv:3: the user ids are fractions; expected integers or text, found 1.5"),
        (
            [1.0, 2.0**53],
            "x.csv:3: the user is 9007199254740992, which Float64 cannot tell from its neighbours; write the ids as "
            "integers or text",
        ),
        ([1.0, 2.0**60], "x.csv:3: the user is 1152921504606846976, which Float64 cannot tell"),
        ([1.0, float("inf")], "x.csv:3: the user is inf, which Float64 cannot tell"),
        (np.array([5, 16777217], np.float32), "x.csv:3: the user is 16777216, which Float32 cannot tell"),
        (np.array([123456789, 5], np.float32), "x.csv:2: the user is 123456792, which Float32 cannot tell"),
        (np.array([5, -(2.0**24)], np.float32), "x.csv:3: the user is -16777216, which Float32 cannot tell"),
        ([1.0, float("nan")], "x.csv:3: the user ids are fractions; expected integers or text, found nan"),
    ],
)
def test_doubtful_ids_are_refused_with_their_lines(values: list[Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        ids(values)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["10", "9"], [10, 9]),
        (np.array([16777215, 0], np.float32), [16777215, 0]),
        ([2.0**53 - 1, 0.0], [2**53 - 1, 0]),
        ([" 10", "9 "], [10, 9]),
        (["007", "8"], ["007", "8"]),
        (["1.0", "2.0"], ["1.0", "2.0"]),
        (["1.0", "2"], ["1.0", "2"]),
        (["1.5", "15"], ["1.5", "15"]),
        (["007", "7", "00X"], ["007", "7", "00X"]),
        (["a", "A"], ["a", "A"]),
        (["a b", "ab"], ["a b", "ab"]),
        (['"a', "a"], ['"a', "a"]),
        (["7e10", "a3f"], ["7e10", "a3f"]),
        (["\u00b2", "2"], ["\u00b2", "2"]),
        (["\uff11", "1"], ["\uff11", "1"]),
        (["-", "a"], ["-", "a"]),
        ([1.0, 2.0], [1, 2]),
    ],
)
def test_ids_that_may_differ_are_kept(values: list[Any], expected: list[Any]) -> None:
    assert ids(values) == expected


CATEGORIES = [pl.Categorical, pl.Enum(["9", "10", "1"])]


@pytest.mark.parametrize("kind", CATEGORIES)
def test_categories_are_read_as_their_text(tmp_path: Path, kind: Any) -> None:
    # In some versions of polars the cast of a category to an integer is the number of the category.
    values = pl.Series(["10", "9", "10", "1"]).cast(kind)
    other = pl.Series(["b", "a", "c", "b"], dtype=pl.Categorical)
    pl.DataFrame({"user": values, "item": other, "rating": values, "time": values}).write_parquet(
        tmp_path / "x.parquet"
    )
    table: Table = FORMATS.get("parquet")(tmp_path / "x.parquet", Layout())
    assert table.users.names[table.users.codes].tolist() == [10, 9, 10, 1]
    assert table.items.names[table.items.codes].tolist() == ["b", "a", "c", "b"]
    assert table.columns["rating"].tolist() == table.columns["timestamp"].tolist() == [10, 9, 10, 1]


@pytest.mark.filterwarnings("ignore:the string cache:DeprecationWarning")
def test_a_global_cache_of_categories_changes_nothing() -> None:
    with pl.StringCache():
        pl.Series([f"x{number}" for number in range(1000)]).cast(pl.Categorical)
        assert ids(["b", "a", "b"]) == ["b", "a", "b"]


@given(st.lists(st.text('01.ae \u0301\u00e9\u00a0"', min_size=1, max_size=4), min_size=1, max_size=8, unique=True))
def test_ids_are_alike_only_with_another_one(names: list[str]) -> None:
    for place, (other, difference) in alike(pl.Series(names, dtype=pl.String)).items():
        assert place != other
        assert names[place] != names[other]
        plain, other_plain = (unicodedata.normalize("NFC", names[i]).strip() for i in (place, other))
        if difference == BLANKS:
            assert names[place].strip() == names[other].strip()
        if difference == UNICODE and '"' not in "".join(names):
            assert plain == other_plain


@given(st.lists(st.integers(0, 10**20), min_size=1, max_size=8, unique=True))
def test_integers_are_never_alike(numbers: list[int]) -> None:
    assert alike(pl.Series(list(map(str, numbers)))) == {}
