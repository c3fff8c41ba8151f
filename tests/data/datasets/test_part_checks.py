"""Parts that do not fit together: times of several kinds, and ids that differ only in how they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.datasets.file import File
from recrun.data.datasets.labelled_file import LabelledFile
from recrun.data.datasets.part_checks import one_after_the_other
from recrun.data.describe.files import describe_path
from recrun.errors import DataError

KINDS = {
    "seconds": ([1600000000, 1600000100], "seconds since 1970 (such as 1600000000)"),
    "milliseconds": ([1600000000000, 1600000100000], "milliseconds since 1970 (such as 1600000000000)"),
    "microseconds": ([1600000000000000, 1600000100000000], "microseconds since 1970 (such as 1.6e+15)"),
    "nanoseconds": ([1600000000 * 10**9, 1600000100 * 10**9], "nanoseconds since 1970 (such as 1.6e+18)"),
    "years": ([2019, 2020], "years (such as 2019)"),
    "months": ([201901, 202002], "months written YYYYMM (such as 201901)"),
    "days": ([20190101, 20200202], "days written YYYYMMDD (such as 20190101)"),
    "counters": ([3, 4], "numbers that are no times since 1970 (such as 3)"),
    "dates": (["2020-09-13", "2020-09-14"], "dates without a time zone"),
    "zoned": (["2020-09-13T00:00:00Z", "2020-09-14T00:00:00Z"], "dates with a time zone"),
}
COMPARE = {frozenset(pair) for pair in (("seconds", "dates"), ("seconds", "zoned"))}
COMPARE |= {frozenset((kind, "counters")) for kind in ("years", "months", "days")}


def write(path: Path, times: list[Any] | None, item: int = 0, users: list[Any] | None = None) -> str:
    columns = ["user", "item", *(["time"] if times else [])]
    rows = [
        ",".join(map(str, [user, item + place, *([times[place]] if times else [])]))
        for place, user in enumerate(users or [1, 2])
    ]
    path.write_text("\n".join([",".join(columns), *rows, ""]), encoding="utf-8")
    return path.name


def load(folder: Path, **settings: Any) -> File:
    return File(folder, train_path="train.csv", test_path="test.csv", valid_ratio=0.0, **settings)


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_times_of_two_kinds_are_refused_in_every_combination(tmp_path: Path, first: str, other: str) -> None:
    write(tmp_path / "train.csv", KINDS[first][0])
    write(tmp_path / "test.csv", KINDS[other][0], item=7)
    described = describe_path(tmp_path / "train.csv", {"test_path": "test.csv", "valid_ratio": 0.0})
    if first == other or frozenset((first, other)) in COMPARE:
        assert load(tmp_path).interactions("test").columns["timestamp"].shape == (2,)
        assert described.is_usable
        return
    message = (
        f"its times are {KINDS[other][1]}, and those of {tmp_path / 'train.csv'} are {KINDS[first][1]}; write both "
        "alike, or time_column= reads all files without times"
    )
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'test.csv'}: {message}"
    assert [fault.message for fault in described.files[1].faults if fault.action == "refuse"] == [message]
    assert "timestamp" not in load(tmp_path, time_column="").interactions("train").columns


def test_dates_and_seconds_are_brought_together_exactly(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", ["2020-09-13", "2020-09-14"])
    write(tmp_path / "test.csv", [1599955200, 1600041600], item=7)
    data = load(tmp_path)
    assert data.interactions("train").columns["timestamp"].tolist() == [1599955200, 1600041600]
    assert data.interactions("test").columns["timestamp"].tolist() == [1599955200, 1600041600]


@pytest.mark.parametrize(("without", "other"), [("train", "test"), ("test", "train")])
def test_a_part_without_times_is_refused_beside_one_with(tmp_path: Path, without: str, other: str) -> None:
    write(tmp_path / f"{without}.csv", None)
    write(tmp_path / f"{other}.csv", [1600000000, 1600000100], item=7)
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / without}.csv: has no times, and {tmp_path / other}.csv has; name their column with time_column, "
        "or time_column= reads all files without times"
    )
    assert load(tmp_path, time_column="").n_items == 4


def test_dates_of_parts_need_one_format_where_one_of_them_can_be_read_in_two_ways(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", ["13/09/2020", "14/09/2020"])
    write(tmp_path / "test.csv", ["01/10/2020", "02/10/2020"], item=7)
    with pytest.raises(DataError, match=r"test\.csv:2: the timestamp '01/10/2020' can be 1 October 2020"):
        load(tmp_path)
    assert load(tmp_path, time_format="%d/%m/%Y").interactions("test").columns["timestamp"].tolist() == [
        1601510400,
        1601596800,
    ]


@pytest.mark.parametrize(
    ("train", "test", "line", "message"),
    [
        ([1, 2], ["1.0", "2.0"], 2, "the user is '1.0', which differs from '1' ({train}:2) only by a point and zeros"),
        (["1.0", "2.0"], [1, 2], 2, "the user is '1.0', which differs from '1' ({test}:2) only by a point and zeros"),
        ([1, 2], ["x", "2.0"], 3, "the user is '2.0', which differs from '2' ({train}:3) only by a point and zeros"),
        ([1, 2], ["01", "02"], 2, "the user is '01', which differs from '1' ({train}:2) only by leading zeros"),
        (["007", "008"], [7, 8], 2, "the user is '007', which differs from '7' ({test}:2) only by leading zeros"),
        (
            ["007", "008"],
            ["07", "9"],
            2,
            "the user is '07', which differs from '007' ({train}:2) only by leading zeros",
        ),
        (["a", "b"], ["a ", "c"], 2, "the user is 'a ', which differs from 'a' ({train}:2) only by the blanks around"),
        (["a", "caf\u00e9"], ["a", "cafe\u0301"], 3, "({train}:3) only by how Unicode composes its letters"),
        (["1", "2"], ['"""1"""', "x"], 2, "the user is '\"1\"', which differs from '1' ({train}:2) only by the quotes"),
    ],
)
def test_ids_of_two_parts_that_differ_only_in_writing_are_refused(
    tmp_path: Path, train: list[Any], test: list[Any], line: int, message: str
) -> None:
    write(tmp_path / "train.csv", None, users=train)
    write(tmp_path / "test.csv", None, item=7, users=test)
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    place = "train" if "{test}" in message else "test"
    assert str(caught.value).startswith(f"{tmp_path / place}.csv:{line}: ")
    expected = message.format(train=tmp_path / "train.csv", test=tmp_path / "test.csv")
    assert expected in str(caught.value)
    described = describe_path(tmp_path / "train.csv", {"test_path": "test.csv", "valid_ratio": 0.0})
    faults = [fault for report in described.files for fault in report.faults if fault.kind == "like-ids"]
    assert line in [number for number, _ in faults[0].lines]


def test_integers_beside_text_that_holds_none_of_them_are_kept(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", None, users=[1, 2])
    write(tmp_path / "test.csv", None, item=7, users=["1", "bob"])
    assert load(tmp_path).user_ids.tolist() == ["1", "2", "bob"]


def test_positions_in_given_parts_go_on_from_part_to_part(tmp_path: Path) -> None:
    for part, line in (("train", "1 10 11 12\n"), ("valid", "1 13 14\n"), ("test", "1 15\n")):
        (tmp_path / f"{part}.txt").write_text(line)
    names = {f"{part}_path": f"{part}.txt" for part in ("train", "valid", "test")}
    data = File(tmp_path, **names, format="sequences")  # type: ignore[arg-type]
    assert data.item_ids[data.histories("test").row(0)].tolist() == [10, 11, 12, 13, 14]
    assert data.item_ids[data.histories("valid").row(0)].tolist() == [10, 11, 12]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0, 1, 2])), min_size=1, max_size=20))
def test_every_position_of_a_part_is_before_those_of_the_next(rows: list[tuple[int, int]]) -> None:
    positions, labels = (np.array(column) for column in zip(*rows, strict=True))
    found = one_after_the_other(positions, labels)
    for i in range(len(rows)):
        for j in range(len(rows)):
            if labels[i] == labels[j]:
                assert found[i] - found[j] == positions[i] - positions[j]
            elif labels[i] < labels[j]:
                assert found[i] < found[j]


def clicks(path: Path, times: list[Any], users: list[Any] | None = None) -> None:
    rows = [f"{user},{place % 2},{times[place]},{place}" for place, user in enumerate(users or [1, 2, 3, 4])]
    path.write_text("\n".join(["user,label,time,x", *rows, ""]))


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([1600000000000] * 4, [1600000000] * 4, "test.csv: its times are seconds since 1970 (such as 1600000000)"),
        (["2020-09-13"] * 4, [2020] * 4, "test.csv: its times are years (such as 2020), and those of"),
        ([1600000000] * 4, [1600000000, 1600000000, 1600000000, -1], "test.csv:5: expected a time >= 0, found -1"),
        ([1600000000] * 4, [1600000000, 1600000000, 1600000000, "x"], "test.csv:5: expected a number as timestamp"),
        (["01/02/2020"] * 4, ["2020-01-01"] * 4, "train.csv:2: the timestamp '01/02/2020' can be 1 February 2020"),
        (
            [1600000000] * 3 + [1600000000000],
            [1600000000] * 4,
            "train.csv:5: expected seconds since 1970 as most times",
        ),
    ],
)
def test_labelled_rows_are_held_to_the_same(tmp_path: Path, train: list[Any], test: list[Any], message: str) -> None:
    clicks(tmp_path / "train.csv", train)
    clicks(tmp_path / "test.csv", test)
    with pytest.raises(DataError) as caught:
        labelled(tmp_path, time_column="time")
    assert message in str(caught.value)
    assert len(labelled(tmp_path, time_column="").interactions("train")) == 4


def test_ids_of_labelled_rows_are_held_to_the_same(tmp_path: Path) -> None:
    clicks(tmp_path / "train.csv", [1] * 4)
    clicks(tmp_path / "test.csv", [1] * 4, users=["1.0", 2, 3, 4])
    with pytest.raises(DataError, match=r"test\.csv:2: the user is '1\.0', which differs from '1' \(.*train\.csv:2\)"):
        labelled(tmp_path, user_column="user")


def test_dates_of_labelled_rows_take_a_format(tmp_path: Path) -> None:
    for part, n_rows in {"train": 5, "test": 4}.items():
        clicks(tmp_path / f"{part}.csv", ["01/02/2020"] * n_rows, list(range(1, n_rows + 1)))
    data = labelled(tmp_path, time_column="time", time_format="%d/%m/%Y")
    assert data.interactions("test").columns["timestamp"].tolist() == [1580515200] * 4
    with pytest.raises(DataError, match="time_format needs time_column"):
        labelled(tmp_path, time_format="%d/%m/%Y")
    with pytest.raises(DataError, match="there is no directive '%Q'"):
        labelled(tmp_path, time_column="time", time_format="%Q")


@pytest.mark.parametrize(
    ("written", "difference"), [("1.0", "a point and zeros"), ("01", "leading zeros"), (" 1", "the bl")]
)
def test_features_of_ids_that_are_written_in_another_way_are_refused(
    tmp_path: Path, written: str, difference: str
) -> None:
    for part, n_rows in {"train": 5, "test": 4}.items():
        clicks(tmp_path / f"{part}.csv", [1] * n_rows, list(range(1, n_rows + 1)))
    (tmp_path / "users.csv").write_text(f"user,age\n2,30\n{written},40\n")
    with pytest.raises(DataError) as caught:
        labelled(tmp_path, user_column="user", user_path="users.csv", dense_columns=["age"])
    told = f"users.csv:3: the user {written!r} differs from the user '1' of the rows only by {difference}"
    assert told in str(caught.value)


@pytest.mark.parametrize(("written", "is_noted"), [("1.0", True), ("1 ", True), ("5.0", False), ("01", False)])
def test_categories_of_two_parts_that_may_be_one_are_noted(tmp_path: Path, written: str, is_noted: bool) -> None:
    clicks(tmp_path / "train.csv", [1, 2, 3, 4])
    clicks(tmp_path / "test.csv", [1, 2, 3, written])
    notes = labelled(tmp_path, sparse_columns=["time"]).notes
    assert any(f"'1' and {written!r} of time differ only by " in note for note in notes) == is_noted


def test_the_line_of_a_labelled_row_is_right_where_values_span_lines(tmp_path: Path) -> None:
    clicks(tmp_path / "test.csv", [1] * 4)
    (tmp_path / "train.csv").write_text('user,label,time,x\n"1\n2",0,1,1\n3,1,1,bad\n')
    with pytest.raises(DataError, match=r"train\.csv:4: expected a finite number as x, found 'bad'"):
        labelled(tmp_path)


def labelled(folder: Path, **settings: Any) -> LabelledFile:
    settings = {"dense_columns": ["x"], **settings}
    return LabelledFile(folder, train_path="train.csv", test_path="test.csv", valid_ratio=0.0, **settings)
