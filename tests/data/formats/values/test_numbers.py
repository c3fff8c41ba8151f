"""What is a number, the same for every reader and every version of polars."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.formats.table import Layout, Table
from recrun.data.formats.values.numbers import is_number
from recrun.errors import DataError
from recrun.registry import FORMATS

NUMBERS = {
    "4": 4.0,
    " 4": 4.0,
    "4 ": 4.0,
    "\t4": 4.0,
    "4\t": 4.0,
    "\u00a04\u00a0": 4.0,
    "+4": 4.0,
    "-4": -4.0,
    "4.": 4.0,
    ".5": 0.5,
    "1e3": 1000.0,
    "1E3": 1000.0,
    "1e+3": 1000.0,
    "2.5e-1": 0.25,
    "007": 7.0,
    "1e3 ": 1000.0,
}
OTHERS = [
    *(
        "1_000",
        "0x10",
        "0b1",
        "1,5",
        "1,000",
        "1,000.5",
        "1.000,5",
        "4d",
        "4f",
        "1e",
        "e3",
        "--4",
        "+-4",
        "4-5",
        "4.5.6",
    ),
    *(
        "\u0664",
        "\uff11",
        "\u00bd",
        "\u22124",
        "1/2",
        "4 5",
        "true",
        "good",
        "4\u200b",
        "five",
        "\u20ac4",
        "4%",
        "*****",
    ),
]
INFINITE = ["inf", "Infinity", "-inf", "+inf", "INF", "1e400", "1e39"]


def read(path: Path, value: str, separator: str = "|") -> Table:
    path.write_text(
        f"user{separator}item{separator}rating\n1{separator}2{separator}3\n1{separator}3{separator}{value}\n"
    )
    table: Table = FORMATS.get("csv")(path, Layout(separator=separator))
    return table


@pytest.mark.parametrize("value", NUMBERS)
def test_a_number_with_or_without_blanks_is_read(tmp_path: Path, value: str) -> None:
    assert is_number(value)
    assert read(tmp_path / "x.csv", value).columns["rating"].tolist() == [3.0, NUMBERS[value]]


@pytest.mark.parametrize("value", OTHERS)
def test_what_is_no_number_is_refused_with_its_line_and_a_remedy(tmp_path: Path, value: str) -> None:
    assert not is_number(value)
    with pytest.raises(DataError) as caught:
        read(tmp_path / "x.csv", value)
    assert str(caught.value).startswith(
        f"{tmp_path / 'x.csv'}:3: expected a number as rating (column 'rating'), found {value!r}; "
    )


@pytest.mark.parametrize("value", INFINITE)
def test_what_is_not_finite_is_refused_with_its_line(tmp_path: Path, value: str) -> None:
    with pytest.raises(
        DataError, match=r"x\.csv:3: expected a finite number as rating \(column 'rating'\), found -?inf"
    ):
        read(tmp_path / "x.csv", value)


@pytest.mark.parametrize(
    "value", ["NULL", "None", "N/A", "-", "\\N", "?", "NaN", "nan", "NA", "undefined", "#N/A", "nil"]
)
def test_a_word_for_a_missing_rating_names_what_to_set(tmp_path: Path, value: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "x.csv", value)
    assert str(caught.value).endswith(
        f"found {'nan' if value.lower() == 'nan' else repr(value)} (a missing value?); "
        "drop_missing=[rating] leaves such rows out, rating_column= reads the file without ratings"
    )


@pytest.mark.parametrize("value", ["", " ", "\t", "\u00a0"])
def test_a_missing_rating_names_what_to_set(tmp_path: Path, value: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "x.csv", value)
    assert str(caught.value) == (
        f"{tmp_path / 'x.csv'}:3: the rating is missing (column 'rating'); "
        "drop_missing=[rating] leaves such rows out, rating_column= reads the file without ratings"
    )


def test_a_decimal_comma_names_the_line_and_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.csv:3: .* found '4,5'; write numbers with a decimal point and without"):
        read(tmp_path / "x.csv", "4,5", ";")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_last_column_may_have_blanks_behind_it(tmp_path: Path, newline: str) -> None:
    lines = ["user,item,rating,timestamp", "1,2,4 ,1600000000 ", "1,3,5,1600000001"]
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(newline.join(lines).encode()))
    table = FORMATS.get("csv")(tmp_path / "x.csv.gz", Layout())
    assert table.columns["rating"].tolist() == [4.0, 5.0]
    assert table.columns["timestamp"].tolist() == [1600000000, 1600000001]


@given(st.text("0123456789+-.eE_xinfa ,\u0664", max_size=8))
def test_what_is_a_number_python_reads_as_the_same(text: str) -> None:
    if is_number(text):
        assert float(text) == float(text.strip())


@given(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False) | st.integers(-(2**70), 2**70))
def test_every_number_that_python_writes_is_one(number: float) -> None:
    assert is_number(str(number))
    assert is_number(f" {number!r}\t")
