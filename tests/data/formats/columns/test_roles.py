"""Columns without names: the usual order is read without a word, and no other one is read wrongly."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recrun.data.datasets import File
from recrun.data.describe.files import describe_path
from recrun.data.formats.columns.looks import look_at
from recrun.data.formats.columns.roles import RolesError
from recrun.data.formats.table import Layout, Table
from recrun.errors import DataError
from recrun.registry import FORMATS

Columns = dict[str, list[str]]

TIMES: dict[str, Callable[[int], str]] = {
    "seconds": str,
    "milliseconds": lambda time: f"{time}123",
    "microseconds": lambda time: f"{time}123456",
    "nanoseconds": lambda time: f"{time}123456000",
    "fractions": lambda time: f"{time}.5",
    "days": lambda time: str(time // 86400 * 86400),
    "iso": lambda time: f"{np.datetime64(time, 's')}Z",
    "dates": lambda time: str(np.datetime64(time, "s"))[:10],
    "text": lambda time: f"{np.datetime64(time, 's')}".replace("T", " "),
}
IDS: dict[str, Callable[[int], str]] = {
    "numbers": str,
    "large": lambda number: str(214_536_000 + number),
    "text": lambda number: f"x{number:05d}",
    "hashes": lambda number: f"{number * 2654435761 % 2**32:08x}q",
}


def columns(
    seed: int = 0, n_users: int = 30, n_items: int = 40, time: str = "seconds", ids: str = "numbers", per_user: int = 12
) -> Columns:
    """Return columns "u", "i", "r", "t" of interactions, no pair twice, and "p", "y", "x": price and place."""
    draw = np.random.default_rng(seed)
    rows = [(user, item) for user in range(n_users) for item in draw.choice(n_items, min(per_user, n_items), False)]
    draw.shuffle(rows)
    times = draw.integers(1_200_000_000, 1_600_000_000, len(rows))
    return {
        "u": [IDS[ids](1 + int(user)) for user, _ in rows],
        "i": [IDS[ids](1 + int(item)) for _, item in rows],
        "r": [str(rating) for rating in draw.integers(1, 6, len(rows))],
        "t": [TIMES[time](int(each)) for each in times],
        "p": [str(1000 * price) for price in draw.integers(1, 6, len(rows))],
        "y": [f"{value:.8f}" for value in draw.uniform(30, 48, len(rows))],
        "x": [f"{value:.8f}" for value in draw.uniform(-120, -80, len(rows))],
    }


def write(path: Path, found: Columns, order: str) -> Path:
    text = "".join(",".join(row) + "\n" for row in zip(*(found[name] for name in order), strict=True))
    path.write_text(text)
    return path


def read(path: Path, **layout: Any) -> Table:
    table: Table = FORMATS.get("csv")(path, Layout(**layout))
    return table


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    n_users=st.integers(2, 60),
    n_items=st.integers(2, 80),
    per_user=st.integers(1, 25),
    time=st.sampled_from(sorted(TIMES)),
    ids=st.sampled_from(sorted(IDS)),
    order=st.sampled_from(["ui", "uir", "uirt"]),
)
def test_tables_in_the_usual_order_are_read(
    tmp_path: Path, seed: int, n_users: int, n_items: int, per_user: int, time: str, ids: str, order: str
) -> None:
    found = columns(seed, n_users, n_items, time, ids, per_user)
    if len(set(found["u"])) * len(set(found["i"])) < 4 or len(found["u"]) == len(set(found["u"])):
        return
    path = write(tmp_path / "x.csv", found, order)
    table = read(path, header=False)
    assert table.users.names[table.users.codes].astype(str).tolist() == found["u"]
    assert table.items.names[table.items.codes].astype(str).tolist() == found["i"]


PERMUTED = [
    *("uitr", "urti", "utir", "utri", "iutr", "itur", "itru", "irtu", "tuir", "turi", "tiur", "trui", "rtui"),
    *("uit", "uti", "tui", "tiu", "itu", "utip", "uitp", "tuip", "utyxi", "uiyxt", "uyxit", "yxuit", "uiyx", "uyxi"),
    *("utpi", "uitp", "rtiu", "tru", "tur", "urt"),
]


@pytest.mark.parametrize("order", PERMUTED)
@pytest.mark.parametrize(
    ("time", "ids"), [("seconds", "numbers"), ("milliseconds", "text"), ("iso", "numbers"), ("days", "text")]
)
def test_other_orders_are_refused_and_the_proposal_reads_them_rightly(
    tmp_path: Path, order: str, time: str, ids: str
) -> None:
    found = columns(time=time, ids=ids)
    path = write(tmp_path / "x.csv", found, order)
    with pytest.raises(RolesError, match=r"x\.csv:1: there is no header row, and column \d would be the ") as error:
        read(path)
    assert all(f"{place}: " in error.value.message for place in range(1, len(order) + 1))
    if not {"u", "i", "t"} <= set(order):
        return
    table = read(path, **error.value.settings)
    ids_found = {tuple(ids.names[ids.codes].astype(str).tolist()) for ids in (table.users, table.items)}
    assert ids_found == {tuple(found["u"]), tuple(found["i"])}
    assert "timestamp" in table.columns
    if "r" in order:
        assert table.columns["rating"].tolist() == [float(rating) for rating in found["r"]]
    description = describe_path(path, {})
    assert description.is_usable
    assert error.value.settings.items() <= description.settings.items()


@pytest.mark.parametrize("order", ["urit", "irut", "ruit", "riut"])
def test_a_rating_before_the_ids_is_told_by_pairs_that_repeat(tmp_path: Path, order: str) -> None:
    path = write(tmp_path / "x.csv", columns(), order)
    with pytest.raises(RolesError, match="has 5 values in 360 rows, again and again"):
        read(path)
    assert describe_path(path, {}).is_usable


def lines(*rows: str, n: int = 30) -> str:
    """Return many rows: `{u}` and `{i}` repeat, `{k}` counts them."""
    return "".join(rows[k % len(rows)].format(u=k % 6, i=k * 7 % 10, k=k) + "\n" for k in range(n))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines("{u},2020-01-0{u}"), "column 2 would be the item, but holds dates such as '2020-01-00'"),
        (lines("{u},11/15/2019 9:55:12 AM,{i}"), "column 2 would be the item, but holds dates"),
        (lines("{u},03-Apr-2012,{i}"), "column 2 would be the item, but holds dates"),
        (lines("2020-01-01 10:00:{k:02d},{u},{i}"), "column 1 would be the user, but holds dates"),
        (lines("{u},0.{k}5,{i}"), "column 2 would be the item, but holds fractions from 0.05 to 0.95"),
        (lines("40.71{k},{i},3"), "column 1 would be the user, but holds coordinates"),
        (lines("{u},{i},purchase"), "column 3 would be the rating, but holds text such as 'purchase'"),
        (lines("{u},{i},16000000{k:02d}"), "column 3 would be the rating, but holds times in seconds"),
        (lines("{u},{i},2020-01-01"), "column 3 would be the rating, but holds dates"),
        (lines("{u},{i},40.71{k},3"), "column 3 would be the rating, but holds coordinates"),
        (lines("{u},{i},3,view"), "column 4 would be the timestamp, but holds text such as 'view'"),
        (lines("{u},{i},3,{u}.5"), "column 4 would be the timestamp, but holds fractions"),
        (lines("{u},{i},3,1"), "column 4 would be the timestamp, but holds always 1, which are no times"),
        (lines("{u},{i},3,1000", "{u},{i},3,4000", "{u},{i},3,2000", n=60), "holds whole numbers from 1000 to 4000"),
        (lines("{u},{i},1000", "{u},{i},4000"), "column 3 would be the rating, but holds whole numbers from 1000"),
        (lines("{u},{i},2145360{k:02d},3"), "column 3 would be the rating, but holds whole numbers from 214536000"),
        (lines("view,{i},3"), "column 1 would be the user, but all its values are equal"),
        (lines("view,{u},{k},16000000{k:02d}"), "column 1 would be the user, but all its values are equal"),
        (lines("{u},1,3"), "column 2 would be the item, but all its values are equal"),
        (lines("{k},{u},{i},3"), "column 4 would be the timestamp, but holds always 3"),
        (lines("{k},{u},{i}", n=60), "column 1 would be the user, but it numbers the rows"),
        (lines("{u},16000{k:02d}000"), "column 2 would be the item, but"),
        (lines("{u},16000{k:02d}000123"), "column 2 would be the item, but"),
        (lines("B00000000{u},A00000000000{i},3"), "products of Amazon"),
        (lines("000171335{u},AX0000000000{i},3"), "products of Amazon"),
        ("1,1600000000,5,3\n2,1600000100,6,2\n", "column 2 would be the item, but holds times in seconds"),
        ("1,10,2020-01-01\n", "column 3 would be the rating, but holds dates such as '2020-01-01'"),
        ("1,10,1600000000\n", "column 3 would be the rating, but holds times in seconds"),
    ],
)
def test_columns_that_cannot_have_their_role_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(RolesError) as error:
        read(tmp_path / "x.csv")
    assert message in str(error.value)
    assert describe_path(tmp_path / "x.csv", {}).files[0].faults


@pytest.mark.parametrize(
    "text",
    [
        lines("{u},{i}"),
        lines("1,{i},4.5,16000000{k:02d}"),
        "".join(f"1,{k * k},4.0,{964982703 + k}\n" for k in range(1, 60)),
        "".join(f"{k // 20},{k * k},4.0\n" for k in range(1, 60)),
        lines("{u},{i},1"),
        lines("{u},{i},1,16000000{k:02d}"),
        lines("{u},{i},3,{k}"),
        lines("{u},{i},3,20{u}0"),
        lines("{u},{i},3,2012040{u}"),
        lines("{u},{i},0.{k}"),
        lines("{u},{k}", n=40),
        lines("{u},10000000{i}"),
        lines("{u},2020{i}"),
        lines("{u},{i},3,2020-01-01"),
        lines("{u}.0,{i}.0,3"),
        lines("u{u},2019-{i},3"),
        "1,10,3,5\n2,11,4,6\n1,12,5,7\n",
        "1,2,3.5,9\n4,5,1,8\n",
        "".join(f"{user},{item},1,{rank}\n" for user in range(9) for rank, item in enumerate(range(user, user + 7))),
        "".join(f"{k % 7},{k % 5},2,{k // 7}\n" for k in range(70)),
    ],
)
def test_small_files_in_the_usual_order_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    assert len(read(tmp_path / "x.csv")) == text.count("\n")


def test_a_column_that_is_named_is_not_doubted(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", columns(), "utr")
    assert len(read(path, item_column="2", rating_column="3")) == 360
    constant = tmp_path / "y.csv"
    constant.write_text(lines("1,{i}"))
    with pytest.raises(RolesError, match="set user_column to the numbers of the right columns"):
        read(constant)
    assert len(read(constant, user_column="1")) == 30


def test_the_message_holds_the_keys_as_a_shell_takes_them(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", columns(time="iso"), "utip")
    with pytest.raises(RolesError) as error:
        read(path)
    assert "; set item_column=3 rating_column= time_column=2. The columns are 1: whole numbers from" in str(error.value)
    assert error.value.settings == {"item_column": "3", "rating_column": "", "time_column": "2"}


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_large_file_that_is_sorted_by_user_is_judged_by_all_of_it(tmp_path: Path, ending: str) -> None:
    rows = "".join(f"u{k // 20_000},2020-01-01T{k % 24:02d}:00:00Z,i{k * 7 % 501}\n" for k in range(100_000))
    path = tmp_path / f"x.csv{ending}"
    path.write_bytes(gzip.compress(rows.encode()) if ending else rows.encode())
    with pytest.raises(RolesError) as error:
        read(path)
    assert error.value.settings == {"item_column": "3", "rating_column": "", "time_column": "2"}


def test_a_contradiction_behind_the_first_lines_is_found_and_described(tmp_path: Path) -> None:
    rows = [f"{k % 997},{k * 7 % 311},1,{k % 5 + (k > 5000) * 1000}\n" for k in range(20_000)]
    path = tmp_path / "x.csv"
    path.write_text("".join(rows))
    with pytest.raises(RolesError, match="column 4 would be the timestamp, but holds whole numbers from 0 to 1004"):
        read(path)
    description = describe_path(path, {})
    assert description.is_usable
    assert description.settings["time_column"] == ""


def test_a_proposal_is_the_same_for_folders_with_parts(tmp_path: Path) -> None:
    for name in ("train.csv", "test.csv"):
        write(tmp_path / name, columns(seed=len(name)), "utir")
    description = describe_path(tmp_path, {})
    assert description.settings["item_column"] == "3"


def test_held_out_items_that_train_lacks_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("user,item\n" + "".join(f"{k % 30},{k * 7919 % 100_003}\n" for k in range(600)))
    with pytest.raises(DataError, match=r"train lacks 60 of the 60 items held out by split=ratio, so that nothing"):
        File(tmp_path, path="x.csv")
    assert File(tmp_path, path="x.csv", split="cold_items").n_items == 600


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([], "nothing"),
        (["", " "], "nothing"),
        (["1", "2"], "whole numbers from 1 to 2"),
        (["7", "7"], "always 7"),
        (["1.5", "2"], "fractions from 1.5 to 2"),
        (["-74.00258", "40.71938", "60.12345"], "coordinates from -74.00258 to 60.12345"),
        (["1600000000", "1600000001"], "times in seconds from 1600000000 to 1600000001"),
        (["0600000000", "0600000001"], "whole numbers from 600000000 to 600000001"),
        (["2020-01-01", "2020-01-02"], "dates such as '2020-01-01'"),
        (["a", "1"], "text such as 'a'"),
        (["nan", "inf"], "text such as 'nan'"),
    ],
)
def test_a_column_is_described_in_words(values: list[str], told: str) -> None:
    assert str(look_at(values)) == told
