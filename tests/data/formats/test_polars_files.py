"""Reading parquet files: in pieces, as polars reads them at once, and no further than memory reaches."""

from __future__ import annotations

import datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recrun.data.formats import opening, polars_files
from recrun.data.formats.polars_files import read_parquet_columns
from recrun.errors import DataError

TOO_MUCH = r"holds more than 0\.0 GB decompressed, over 100 times its size, and the free memory cannot hold it"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.parquet"


def _frame(n_rows: int) -> pl.DataFrame:
    row = pl.int_range(n_rows, eager=True)
    day = datetime.datetime(2026, 1, 1)
    return pl.DataFrame(
        {
            "user": "u" + (row % 997).cast(pl.String),
            "item": (row * 7 % 131).cast(pl.Int32),
            "genre": (row % 13).cast(pl.String).cast(pl.Categorical),
            "rating": (row % 5).cast(pl.Float32),
            "time": pl.repeat(day, n_rows, dtype=pl.Datetime("us"), eager=True)
            + pl.Series(row, dtype=pl.Duration("us")),
            "tags": pl.Series([["a", "b"], [], None] * (n_rows // 3) + [["c"]] * (n_rows % 3)),
            "empty": pl.Series([None] * n_rows, dtype=pl.String),
        }
    )


@pytest.mark.parametrize("n_rows", [0, 1, 999, 1000, 1001, 101_000, 250_001])
@pytest.mark.parametrize("row_group", [700, 1_000_000])
def test_pieces_make_the_file(path: Path, monkeypatch: pytest.MonkeyPatch, n_rows: int, row_group: int) -> None:
    monkeypatch.setattr(polars_files, "_PIECE", 1 << 20)
    frame = _frame(n_rows)
    frame.write_parquet(path, row_group_size=row_group)
    assert_frame_equal(read_parquet_columns(path), frame)
    assert_frame_equal(read_parquet_columns(path, ["item", "user"]), frame.select("item", "user"))
    assert_frame_equal(read_parquet_columns(path, n_rows=1200), frame.head(1200))
    assert_frame_equal(read_parquet_columns(path, ["tags"], n_rows=3), frame.select("tags").head(3))


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"user": pl.repeat(1, 200_000, dtype=pl.Int64, eager=True), "item": 2}),
        pl.DataFrame({"user": pl.repeat("u", 500_000, eager=True)}),
        pl.DataFrame({"user": ["u" * 1_000_000] * 10}),
        pl.DataFrame({"user": [[0] * 100_000] * 10}),
    ],
    ids=["numbers", "texts", "long texts", "lists"],
)
def test_a_small_file_that_holds_more_than_the_free_memory_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch, frame: pl.DataFrame
) -> None:
    frame.write_parquet(path)
    assert path.stat().st_size < 30_000
    assert read_parquet_columns(path).height == frame.height
    monkeypatch.setattr(opening, "available_memory", lambda: 3_000)
    with pytest.raises(DataError, match=TOO_MUCH):
        read_parquet_columns(path)
    assert read_parquet_columns(path, n_rows=0).height == 0


def test_real_data_is_read_though_it_holds_more_than_the_free_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = _frame(30_000)
    frame.write_parquet(path)
    monkeypatch.setattr(opening, "available_memory", lambda: 1000)
    assert_frame_equal(read_parquet_columns(path), frame)
