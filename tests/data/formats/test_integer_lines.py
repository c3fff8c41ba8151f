"""Lines of integers: what is read, and what is said of what cannot be."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.formats import integer_lines
from recrun.data.formats.integer_lines import parse_lines, read_lightgcn, read_sequences
from recrun.data.formats.table import Layout, Table
from recrun.errors import DataError

SPACE = st.sampled_from([" ", "  ", "\t", " \t "])
ID = st.integers(0, 10**18 - 1) | st.integers(0, 30)
ROW = st.lists(ID, max_size=6)


def pairs(table: Table) -> list[tuple[int, int]]:
    users, items = table.users, table.items
    return list(zip(users.names[users.codes].tolist(), items.names[items.codes].tolist(), strict=True))


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@given(
    st.lists(ROW, max_size=8),
    SPACE,
    st.sampled_from(["\n", "\r\n", " \n"]),
    st.booleans(),
    st.sampled_from(["", " ", "\t"]),
)
def test_what_was_written_is_what_is_read(
    rows: list[list[int]], space: str, end: str, closed: bool, indent: str
) -> None:
    text = end.join(indent + space.join(map(str, row)) for row in rows) + (end if closed else "")
    users, items, n_integers = parse_lines(text.encode(), Path("x"))
    assert list(zip(users.tolist(), items.tolist(), strict=True)) == [
        (row[0], item) for row in rows for item in row[1:]
    ]
    expected = [len(line.split()) for line in text.split("\n")]
    assert n_integers.tolist() == expected[: len(n_integers)]
    assert sum(max(length - 1, 0) for length in expected) == len(users)


@given(st.lists(ROW.filter(lambda row: len(row) > 1), min_size=1, max_size=20), st.integers(1, 40))
def test_a_file_read_in_blocks_is_the_file_read_whole(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]], block: int
) -> None:
    path = write(tmp_path_factory.mktemp("blocks") / "x.txt", "\n".join(" ".join(map(str, row)) for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(integer_lines, "BLOCK", block)
        table = read_lightgcn(path, Layout())
    assert pairs(table) == [(row[0], item) for row in rows for item in row[1:]]
    lines = [number for number, row in enumerate(rows, start=1) for _ in row[1:]]
    assert [table.line_of(row) for row in range(len(table))] == lines


def test_ids_are_numbered_in_ascending_order() -> None:
    users, _, _ = parse_lines(b"70 1 2\n5 2", Path("x"))
    table = Table(Path("x"), *(integer_lines.Ids.of_integers(column) for column in (users, users)))
    assert table.users.names.tolist() == [5, 70]
    assert table.users.codes.tolist() == [1, 1, 0]
    assert table.users.codes.dtype == np.int32


def test_huge_and_scattered_ids_are_numbered_too() -> None:
    ids = integer_lines.Ids.of_integers(np.array([10**17, 3, 10**17, 10**9]))
    assert ids.names.tolist() == [3, 10**9, 10**17]
    assert ids.codes.tolist() == [2, 0, 2, 1]


def test_a_byte_order_mark_blank_lines_and_users_without_items_do_no_harm(tmp_path: Path) -> None:
    table = read_lightgcn(write(tmp_path / "x.txt", b"\xef\xbb\xbf3 1\r\n\r\n4\r\n5 2 1\r\n"), Layout())
    assert pairs(table) == [(3, 1), (5, 2), (5, 1)]
    assert [table.line_of(row) for row in range(3)] == [1, 4, 4]


def test_a_compressed_file_reads_as_the_plain_one(tmp_path: Path) -> None:
    assert pairs(read_lightgcn(write(tmp_path / "x.txt.gz", gzip.compress(b"1 2 3\n")), Layout())) == [(1, 2), (1, 3)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n3 x4\n", "x.txt:2: expected integers `user item item ...` with spaces between, found 'x4'"),
        ("1 2\n\n3 -4\n", "x.txt:3: expected ids >= 0, found '-4'"),
        ("1,2,3\n", "x.txt:1: expected integers .* found '1,2,3'; is the file separated by ',' \\(format: csv\\)\\?"),
        ("1 2.5\n", "x.txt:1: .* found '2.5'"),
        ("1 " + "9" * 19 + "\n", "x.txt:1: expected ids of at most 18 digits, found '9999999999999999999'"),
        ("1 é\n", "x.txt:1: .* found 'é'"),
        ("", "x.txt: is empty"),
        ("7\n", "x.txt: holds no interactions; expected lines `user item item ...` of integers"),
        ("\n \n7\n", "x.txt: holds no interactions"),
    ],
)
def test_what_is_not_a_line_of_integers_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_lightgcn(write(tmp_path / "x.txt", text), Layout())


def test_the_line_in_a_message_counts_from_the_start_of_the_file_whatever_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integer_lines, "BLOCK", 8)
    with pytest.raises(DataError, match=r"x\.txt:6: "):
        read_lightgcn(write(tmp_path / "x.txt", "1 2 3\n" * 5 + "4 five\n"), Layout())


def test_a_compressed_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt.gz", gzip.compress(b"1 2 3\n" * 1000)[:-20])
    with pytest.raises(DataError, match=r"x\.txt\.gz: the compressed file is damaged or cut short"):
        read_lightgcn(path, Layout())


def test_sequences_count_the_time_of_each_user(tmp_path: Path) -> None:
    table = read_sequences(write(tmp_path / "x.txt", "2 9 8 7\n1 9\n"), Layout())
    assert pairs(table) == [(2, 9), (2, 8), (2, 7), (1, 9)]
    assert table.columns["timestamp"].tolist() == [0, 1, 2, 0]
    assert table.time_is_order


def test_a_user_with_two_sequences_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.txt:3: user 2 has a second line"):
        read_sequences(write(tmp_path / "x.txt", "2 9 8\n1 9\n2 7\n"), Layout())
