"""Times that make sense, and times that would be sorted wrongly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.formats.delimited import read_csv
from recrun.data.formats.table import Layout
from recrun.data.formats.values.times import UNITS, check_times, date_text, find_unit, suspicions
from recrun.errors import DataError

SECONDS = np.arange(978_300_000, 978_300_050)


def kinds(times: np.ndarray, **options: bool) -> list[tuple[str, bool, list[int]]]:
    return [(each.kind, each.is_refused, each.rows.tolist()) for each in suspicions(times, **options)]


@pytest.mark.parametrize("unit", UNITS)
def test_each_unit_is_told_from_the_times(unit: str) -> None:
    times = SECONDS * UNITS[unit]
    assert find_unit(times) == unit
    assert kinds(times) == ([] if unit == "seconds" else [("time-unit", False, [])])
    assert date_text(times[0], unit) == "2000-12-31 22:00:00"


@pytest.mark.parametrize("times", [np.arange(20), np.array([2010, 2011]), np.array([20140101, 20140102]), -SECONDS])
def test_what_only_counts_has_no_unit_and_may_be_used(times: np.ndarray) -> None:
    assert find_unit(times) is None
    assert not any(is_refused for _, is_refused, _ in kinds(times))


@pytest.mark.parametrize(
    ("strange", "kind", "is_refused"),
    [
        (978_300_000_000, "time-units", True),
        (978_300_000_000_000, "time-units", True),
        (5_000_000_000, "time-absurd", True),
        (99_999_999_999, "time-absurd", True),
        (9 * 10**18, "time-absurd", True),
        (-1, "time-negative", True),
        (-978_300_000, "time-negative", True),
        (0, "time-early", False),
        (99_999_999, "time-early", False),
    ],
)
def test_a_time_that_does_not_belong_is_found(strange: int, kind: str, is_refused: bool) -> None:
    times = SECONDS.copy()
    times[17] = strange
    assert kinds(times) == [(kind, is_refused, [17])]


def test_every_kind_is_found_at_once() -> None:
    times = SECONDS.copy()
    times[[3, 5, 7, 11]] = [-1, 0, 978_300_000_000, 5_000_000_000]
    assert kinds(times) == [
        ("time-units", True, [7]),
        ("time-absurd", True, [11]),
        ("time-negative", True, [3]),
        ("time-early", False, [5]),
    ]


def test_dates_may_lie_before_1970_but_not_before_1900_or_after_2099() -> None:
    dates = np.array([-86_400, 0, 86_400])
    assert kinds(dates, are_dates=True) == [("time-early", False, [0])]
    assert kinds(np.append(dates, -62_135_596_800), are_dates=True)[0] == ("time-absurd", True, [3])
    assert kinds(np.append(dates, 253_402_214_400), are_dates=True)[0] == ("time-absurd", True, [3])


def test_no_times_are_not_strange() -> None:
    assert suspicions(np.zeros(0)) == []


def test_the_first_line_at_fault_is_refused_and_how_to_go_on_is_said() -> None:
    times = SECONDS.copy()
    times[[9, 4]] = [-1, 5_000_000_000]
    with pytest.raises(DataError, match=r"^x\.csv:6: expected a time before 2100, found 5000000000 \(time_column="):
        check_times(times, Path("x.csv"), lambda row: row + 2, are_dates=False)


def test_a_file_can_be_read_without_its_times_and_ratings(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("user,item,rating,time\n" + "".join(f"1,{i},good,97830000{i}\n" for i in range(9)) + "1,9,bad,-1\n")
    with pytest.raises(DataError, match="expected a number as rating"):
        read_csv(path, Layout())
    with pytest.raises(DataError, match=r"x\.csv:11: expected a time >= 0, found -1; is it a missing one\?"):
        read_csv(path, Layout(rating_column=""))
    table = read_csv(path, Layout(rating_column="", time_column=""))
    assert (len(table), table.columns) == (10, {})


def test_an_early_time_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("user,item,time\n" + "".join(f"1,{i},97830000{i}\n" for i in range(9)) + "1,9,0\n")
    assert read_csv(path, Layout()).notes == (
        "x.csv: 1 times lie before March 1973, such as 0 (a missing one?); they sort first",
    )


@given(
    st.lists(st.integers(-(2**62), 2**62) | st.floats(-1e18, 1e18, allow_subnormal=False), min_size=1, max_size=30),
    st.booleans(),
)
def test_any_times_give_suspicions_about_rows_that_are_there(times: list[float], are_dates: bool) -> None:
    values = np.array(times)
    for each in suspicions(values, are_dates=are_dates):
        assert each.rows.tolist() == sorted(set(each.rows.tolist()))
        assert all(0 <= row < len(values) for row in each.rows)
        assert len(each.rows) or not each.is_refused
