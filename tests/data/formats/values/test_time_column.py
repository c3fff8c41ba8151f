"""Columns of times in files: which form they have, and which line is at fault when one value does not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.data.formats.table import Layout, Table
from recrun.data.formats.values.time_column import read_times
from recrun.errors import DataError
from recrun.registry import FORMATS

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
SECONDS = ["1600000000", "1600000001", "1600000002", "1600000003"]


def table(folder: Path, times: list[str], **layout: Any) -> Table:
    path = folder / "x.csv"
    lines = "".join(f'1,{item},"{time}"\n' for item, time in enumerate(times))
    path.write_text(f"user,item,time\n{lines}", encoding="utf-8")
    found: Table = FORMATS.get("csv")(path, Layout(**layout))
    return found


def times_of(folder: Path, times: list[str], **layout: Any) -> list[float]:
    found: list[float] = table(folder, times, **layout).columns["timestamp"].tolist()
    return found


def refusal(folder: Path, times: list[str], **layout: Any) -> str:
    with pytest.raises(DataError) as caught:
        table(folder, times, **layout)
    return str(caught.value).replace(str(folder / "x.csv"), "x.csv")


DATES = st.lists(st.dates(dt.date(1990, 1, 1), dt.date(2030, 12, 31)), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    DATES, st.sampled_from(["%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m.%d.%Y", "%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p"])
)
def test_days_and_months_are_refused_exactly_when_both_orders_fit(days: list[dt.date], format: str) -> None:
    values = pl.Series("timestamp", [day.strftime(format) for day in days])
    can_swap = all(day.day <= 12 for day in days) and any(day.day != day.month for day in days)
    expected = [int(dt.datetime(day.year, day.month, day.day, tzinfo=dt.timezone.utc).timestamp()) for day in days]
    if not can_swap:
        assert read_times(values, Path("x.csv"), int).values.tolist() == expected
    else:
        with pytest.raises(DataError, match=r"can be .* or .*; set time_format=") as caught:
            read_times(values, Path("x.csv"), int)
        assert caught.value.kind == "date-order"
    read = read_times(values, Path("x.csv"), int, time_format=format)
    assert (read.values.tolist(), read.are_dates) == (expected, True)


def test_both_readings_of_a_real_value_are_named_with_its_line(tmp_path: Path) -> None:
    assert refusal(tmp_path, ["05/05/2024", "01/09/2024", "11/02/2024"]) == (
        "x.csv:3: the timestamp '01/09/2024' can be 1 September 2024 (%d/%m/%Y) or 9 January 2024 (%m/%d/%Y), and all "
        'values of the column can be read either way; set time_format="%d/%m/%Y" or time_format="%m/%d/%Y"'
    )


def test_an_order_that_only_fits_one_way_is_read_and_said(tmp_path: Path) -> None:
    found = table(tmp_path, ["01/09/2024", "01/13/2024"])
    assert found.columns["timestamp"].tolist() == [1704758400, 1705104000]
    told = "dates are read as %m/%d/%Y, the only order of day and month that all of them allow"
    assert found.notes == (f"x.csv: {told}",)
    assert (found.time_is_date, found.time_has_zone) == (True, False)


def test_a_format_settles_the_order(tmp_path: Path) -> None:
    assert times_of(tmp_path, ["01/09/2024"], time_format="%d/%m/%Y") == [1725148800]
    assert times_of(tmp_path, ["01/09/2024"], time_format="%m/%d/%Y") == [1704758400]


def test_mind_is_read_with_a_format_or_where_only_one_order_fits(tmp_path: Path) -> None:
    assert times_of(tmp_path, ["11/13/2019 10:22:32 AM"]) == [1573640552]
    assert times_of(tmp_path, ["11/01/2019 10:22:32 AM"], time_format="%m/%d/%Y %I:%M:%S %p") == [1572603752]
    assert "can be 11 January 2019" in refusal(tmp_path, ["11/01/2019 10:22:32 AM"])


@pytest.mark.parametrize(
    ("times", "line", "message"),
    [
        (
            [DAYS[0], DAYS[1], "2024-13-45"],
            4,
            "expected a date in the form %Y-%m-%d, as most have, as timestamp (column",
        ),
        (
            ["2024-13-45", *DAYS],
            2,
            "in the form %Y-%m-%d, as most have, as timestamp (column 'time'), found '2024-13-45'",
        ),
        (
            [*DAYS, "0000-00-00"],
            6,
            "in the form %Y-%m-%d, as most have, as timestamp (column 'time'), found '0000-00-00'",
        ),
        ([*DAYS, "0000-00-00"], 6, "(a missing value?); drop_missing=[time] leaves such rows out, time_column="),
        ([*DAYS, "05-Jan-2024"], 6, "in the form %Y-%m-%d, as most have"),
        (
            ["05-Jan-2024", *DAYS],
            2,
            "in the form %Y-%m-%d, as most have, as timestamp (column 'time'), found '05-Jan-2024'",
        ),
        ([*DAYS, "2024-01-05 10:22:33"], 6, "found '2024-01-05 10:22:33'"),
        (["2024-01-05 10:22:33", *DAYS], 2, "found '2024-01-05 10:22:33'"),
        ([*DAYS, "2024/01/05"], 6, "found '2024/01/05'; time_column"),
        ([*DAYS, "1600000000"], 6, "in the form %Y-%m-%d, as most have"),
        ([*SECONDS, "2024-01-05"], 6, "expected a number as timestamp (column 'time'), found '2024-01-05'"),
        (["2024-01-05", *SECONDS], 2, "expected a number as timestamp (column 'time'), found '2024-01-05'"),
        ([*SECONDS, "1,600,000,000"], 6, "write numbers with a decimal point and without separators of thousands"),
        ([*SECONDS, "1600000000,5"], 6, "write numbers with a decimal point and without separators of thousands"),
        ([*SECONDS, "0x5F5E1000"], 6, "expected a number as timestamp (column 'time'), found '0x5F5E1000'"),
        ([*SECONDS, "1_600_000_000"], 6, "expected a number as timestamp (column 'time'), found '1_600_000_000'"),
        (
            [*SECONDS, "NULL"],
            6,
            "found 'NULL' (a missing value?); drop_missing=[time] leaves such rows out, time_column=",
        ),
        ([*DAYS, "NaT"], 6, "found 'NaT' (a missing value?); drop_missing=[time] leaves such rows out, time_column="),
        ([*SECONDS, "inf"], 6, "expected a finite number as timestamp (column 'time'), found inf"),
        ([*SECONDS, "nan"], 6, "expected a finite number as timestamp (column 'time'), found nan (a missing value?)"),
        ([*SECONDS, ""], 6, "the timestamp is missing (column 'time'); drop_missing=[time] leaves such rows out"),
        ([*SECONDS, "  "], 6, "the timestamp is missing (column 'time'); drop_missing=[time] leaves such rows out"),
        ([*DAYS, ""], 6, "leaves such rows out, time_column= reads the file without times"),
        (["2024-01-01T10:00:00Z", "2024-01-01T10:00:01", "2024-01-01T10:00:02Z"], 3, "in the form %Y-%m-%dT%H:%M:%S%z"),
        (
            ["2024-01-01T10:00:00", "2024-01-01T10:00:01Z", "2024-01-01T10:00:02"],
            3,
            "in the form %Y-%m-%dT%H:%M:%S, as",
        ),
        (["13/01/2024", "14/01/2024", "01/13/2024"], 4, "in the form %d/%m/%Y, as most have"),
        (["01/13/2024", "14/01/2024", "01/15/2024"], 3, "in the form %m/%d/%Y, as most have"),
        (
            ["Mon Sep 20 04:31:23 +0000 2020"],
            2,
            "expected a number or a date as timestamp (column 'time'), found 'Mon Sep",
        ),
        (["soon", "later"], 2, "found 'soon'; time_format says how dates are written (a strftime format)"),
        (["5/24", "6/24"], 2, "expected a number or a date as timestamp"),
        (["01/02/03", "04/05/06"], 2, "expected a number or a date as timestamp"),
        (["10:22:33", "10:22:34"], 2, "expected a number or a date as timestamp"),
        (["2024-01-01 10:00:00 EST"], 2, "expected a number or a date as timestamp"),
        ([*DAYS, "2150-01-01"], 6, "expected a date from 1900 to 2099, found 2150-01-01 00:00:00"),
        ([*DAYS, "0001-01-01"], 6, "expected a date from 1900 to 2099, found 0001-01-01 00:00:00"),
    ],
)
def test_the_line_that_is_unlike_the_others_is_named(tmp_path: Path, times: list[str], line: int, message: str) -> None:
    found = refusal(tmp_path, times)
    assert found.startswith(f"x.csv:{line}: "), found
    assert message in found


@pytest.mark.parametrize(
    ("times", "format", "message"),
    [
        ([*DAYS, "05/01/2024"], "%Y-%m-%d", "x.csv:6: expected a date in the form %Y-%m-%d (time_format) as timestamp"),
        (DAYS, "%d/%m/%Y", "x.csv:2: expected a date in the form %d/%m/%Y (time_format)"),
        (DAYS, "%d/%m/%Y", "found '2024-01-01'; all values have the form %Y-%m-%d"),
        (SECONDS, "%d/%m/%Y", "found '1600000000'; the column holds numbers: leave time_format out"),
        (["13/13/2024"], "%d/%m/%Y", "x.csv:2: expected a date in the form %d/%m/%Y"),
        (["NULL", "01/02/2024"], "%d/%m/%Y", "found 'NULL' (a missing value?); drop_missing=[time]"),
        (["", "01/02/2024"], "%d/%m/%Y", "x.csv:2: the timestamp is missing"),
        (["01/02/2024 "], "%m %d %Y", "x.csv:2: expected a date in the form %m %d %Y"),
    ],
)
def test_a_value_that_does_not_have_the_format_is_named(
    tmp_path: Path, times: list[str], format: str, message: str
) -> None:
    assert message in refusal(tmp_path, times, time_format=format)


@pytest.mark.parametrize("format", ["csv", "tsv", "triples"])
def test_a_format_of_times_that_are_not_read_is_refused(tmp_path: Path, format: str) -> None:
    content = {"csv": "user,item\n1,2\n", "tsv": "user\titem\n1\t2\n", "triples": "1 2 3\n"}[format]
    (tmp_path / "x").write_text(content)
    with pytest.raises(DataError, match=r"time_format '%Y' has no effect: no column of times is read; name it with"):
        FORMATS.get(format)(tmp_path / "x", Layout(time_format="%Y"))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["1600000000 ", " 1600000001"], [1600000000, 1600000001]),
        (["1600000000\t", "\u00a01600000001\u00a0"], [1600000000, 1600000001]),
        (["1600000000123456789 ", "1600000000123456788"], [1600000000123456789, 1600000000123456788]),
        (["1.6e9 ", "1600000000.5"], [1600000000.0, 1600000000.5]),
        ([" 2024-01-01", "2024-01-02 "], [1704067200, 1704153600]),
        (["2024-01-01 00:00:00", "2024-01-01 00:00:00.25"], [1704067200.0, 1704067200.25]),
        (["2024-01-01T00:00:00,5Z", "2024-01-01T00:00:00Z"], [1704067200.5, 1704067200.0]),
        (["2024-01-01 01:00:00+01:00", "2024-01-01 00:00:01+00:00"], [1704067200, 1704067201]),
        (["20240101", "20240102"], [20240101, 20240102]),
    ],
)
def test_blanks_fractions_and_zones_are_read_exactly(tmp_path: Path, times: list[str], expected: list[float]) -> None:
    assert times_of(tmp_path, times) == expected


def test_digits_are_dates_when_a_format_says_so(tmp_path: Path) -> None:
    assert times_of(tmp_path, ["20240101", "20240102"], time_format="%Y%m%d") == [1704067200, 1704153600]


def test_what_is_finer_than_a_microsecond_is_noted(tmp_path: Path) -> None:
    found = table(tmp_path, ["2024-01-01 00:00:00.123456789"])
    assert found.columns["timestamp"].tolist() == [1704067200.123456]
    assert found.notes == ("x.csv: times are read to the microsecond",)


MOMENT = dt.datetime(2024, 1, 5, 10, 22, 33)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pl.Series([MOMENT], dtype=pl.Datetime("ms")), 1704450153),
        (pl.Series([MOMENT], dtype=pl.Datetime("us")), 1704450153),
        (pl.Series([MOMENT], dtype=pl.Datetime("ns")), 1704450153),
        (pl.Series([MOMENT]).dt.replace_time_zone("Asia/Tokyo"), 1704450153 - 9 * 3600),
        (pl.Series([MOMENT.date()]), 1704412800),
        (pl.Series(["01 5, 2024"]), 1704412800),
        (pl.Series([1704412800], dtype=pl.UInt32), 1704412800),
        (pl.Series([1704412800.0]), 1704412800),
    ],
)
def test_parquet_columns_of_any_type_hold_the_same_times(tmp_path: Path, values: pl.Series, expected: int) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"user": [1], "item": [2], "time": values}).write_parquet(path)
    found: Table = FORMATS.get("parquet")(path, Layout())
    assert found.columns["timestamp"].tolist() == [expected]
    assert found.columns["timestamp"].dtype == np.int64
    if found.time_is_date and values.dtype != pl.String:
        with pytest.raises(DataError, match=r"time_format '%Y' has no effect: the timestamp holds dates already"):
            FORMATS.get("parquet")(path, Layout(time_format="%Y"))


def test_times_of_few_bits_are_noted_with_their_steps() -> None:
    values = pl.Series("timestamp", [1_500_000_001, 1_500_000_200], dtype=pl.Float32)
    times = read_times(values, Path("x.parquet"), int)
    assert times.values.tolist() == [1_500_000_000, 1_500_000_256]
    told = "x.parquet: times are Float32, in steps of 128; equal ones are in the order of the file"
    assert times.notes == (told,)
    assert read_times(pl.Series("timestamp", [1.5e9, 1.6e9]), Path("x.parquet"), int).notes == ()
