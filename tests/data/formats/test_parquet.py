"""Parquet files that are read in parts, as large ones are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recrun.data.formats import parquet, polars_files
from recrun.data.formats.parquet import read_parquet
from recrun.data.formats.table import Layout, Table
from recrun.errors import DataError

N = 500


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have files read in parts of about 100 rows."""
    monkeypatch.setattr(parquet, "_ROWS", 100)
    monkeypatch.setattr(polars_files, "_FIRST_ROWS", 40)
    monkeypatch.setattr(polars_files, "_PIECE", 800)


def columns(**others: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    plain = {"user": rng.integers(0, 90, N), "item": rng.integers(0, 70, N)}
    return {**plain, "timestamp": rng.integers(1_000_000_000, 1_100_000_000, N), **others}


def write(tmp_path: Path, found: Mapping[str, Any]) -> Path:
    path = tmp_path / "rows.parquet"
    pl.DataFrame(dict(found)).write_parquet(path, row_group_size=64)
    return path


def same(one: Table, other: Table) -> None:
    for ids, others in ((one.users, other.users), (one.items, other.items)):
        np.testing.assert_array_equal(ids.codes, others.codes)
        np.testing.assert_array_equal(ids.names, others.names)
        assert ids.codes.dtype == others.codes.dtype
        assert ids.names.dtype.kind == others.names.dtype.kind
    assert list(one.columns) == list(other.columns)
    for name, values in one.columns.items():
        np.testing.assert_array_equal(values, other.columns[name])
        assert values.dtype == other.columns[name].dtype
    assert (one.notes, one.names) == (other.notes, other.names)
    assert (one.time_is_date, one.time_has_zone, one.time_is_order) == (
        other.time_is_date,
        other.time_has_zone,
        other.time_is_order,
    )
    rows = np.array([0, 1, 150, len(one) - 1, 7])
    assert [one.line_of(row) for row in rows.tolist()] == [other.line_of(row) for row in rows.tolist()]
    np.testing.assert_array_equal(one.file_rows(rows), other.file_rows(rows))
    assert one.skipped.keys() == other.skipped.keys()
    for kind, lines in one.skipped.items():
        np.testing.assert_array_equal(lines, other.skipped[kind])


TEXTS = [f"user {number}" for number in np.random.default_rng(1).integers(0, 90, N)]
MIXED = [str(number) if row < 300 else f"u{number}" for row, number in enumerate(range(N))]
BLANK = [None if 90 <= row < 260 else row % 50 for row in range(N)]
FILES: dict[str, dict[str, Any]] = {
    "integers": columns(),
    "ratings": columns(rating=np.arange(N) % 5 + 0.5),
    "text": columns(user=TEXTS),
    "text that begins like numbers": columns(user=MIXED),
    "large ids": columns(item=np.arange(N) * 10**15),
    "whole, then fractions of seconds": columns(timestamp=1.1e9 + np.where(np.arange(N) < 300, 0, 0.5)),
    "milliseconds": columns(timestamp=np.arange(N) + 1_200_000_000_000),
    "dates": columns(timestamp=pl.Series((np.arange(N) + 1_200_000_000) * 1000).cast(pl.Datetime("ms"))),
    "texts of dates, told by the last": columns(
        timestamp=[f"{row % 12 + 1}/05/2020" for row in range(N - 1)] + ["3/28/2020"]
    ),
    "blank rows": dict.fromkeys(("user", "item"), BLANK),
    "other columns": columns(note=["x"] * N),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_read_in_parts_is_that_read_at_once(
    name: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, FILES[name])
    at_once = read_parquet(path, Layout())
    request.getfixturevalue("in_parts")
    joined: list[int] = []
    join = parquet._joined
    monkeypatch.setattr(
        parquet, "_joined", lambda path, tables, starts: joined.append(len(tables)) or join(path, tables, starts)
    )
    same(read_parquet(path, Layout()), at_once)
    assert bool(joined) is not name.startswith("texts of dates"), "how dates are written is told by all of them"
    assert all(n_parts > 2 for n_parts in joined)


@pytest.mark.parametrize(
    ("wrong", "line", "told"),
    [
        ({"user": [*range(400), -3, *range(401, N)]}, 401, "expected a user >= 0, found -3"),
        ({"item": [*range(470), None, *range(471, N)]}, 471, "the item is missing"),
        ({"rating": [*[1.0] * 333, float("nan"), *[1.0] * (N - 334)]}, 334, "expected a finite number as rating"),
        ({"timestamp": [*[10**9] * 450, *[10**12] * 50]}, 451, "milliseconds"),
        ({"user": [*TEXTS[:350], TEXTS[0] + " ", *TEXTS[351:]]}, 351, "differs from"),
    ],
    ids=["negative id", "missing item", "no rating", "two units of time", "ids alike"],
)
@pytest.mark.usefixtures("in_parts")
def test_what_is_wrong_in_a_later_part_is_named_with_its_row(
    wrong: dict[str, Any], line: int, told: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=told) as found:
        read_parquet(write(tmp_path, columns(**wrong)), Layout())
    assert found.value.line == line


@pytest.mark.usefixtures("in_parts")
def test_a_file_of_blank_rows_holds_no_interactions(tmp_path: Path) -> None:
    nothing = pl.Series([None] * N, dtype=pl.Int64)
    with pytest.raises(DataError, match="holds no interactions"):
        read_parquet(write(tmp_path, {"user": nothing, "item": nothing}), Layout())


@pytest.mark.usefixtures("in_parts")
def test_rows_that_are_selected_are_read_at_once(tmp_path: Path) -> None:
    table = read_parquet(write(tmp_path, columns(rating=np.arange(N) % 5 + 1.0)), Layout(filter="rating >= 4"))
    assert table.is_selected
    assert len(table) == N // 5 * 2
    assert table.line_of(1) == 5
