"""Tables of recommendations: original ids, no empty ranks, and the same rows in each kind of file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recrun.errors import ConfigError, RecrunError
from recrun.evaluation.top_lists import Lists
from recrun.recommendation import frames
from recrun.recommendation.frames import WRITERS, Framer, write_frames, writer_for

NAMES = np.array(["anna", 'b"o,\nb', "zoë"])
ITEMS = np.array([100, 200, 300])


def _blocks() -> list[Lists]:
    one = Lists(np.array([4, 5]), np.array([[2, 0], [1, -1]]), np.array([[0.5, 0.25], [1e-30, -np.inf]]))
    return [one, Lists(np.array([6]), np.array([[0, 1]]), np.array([[3.0, 3.0]]))]


def _frames(**options: bool) -> Iterator[pl.DataFrame]:
    framer = Framer(NAMES, ITEMS, **options)
    return (framer(block) for block in _blocks())


EXPECTED = {
    "user": ["anna", "anna", 'b"o,\nb', "zoë", "zoë"],
    "item": [300, 100, 200, 100, 200],
    "rank": [1, 2, 1, 1, 2],
    "score": [0.5, 0.25, 1e-30, 3.0, 3.0],
}


def test_lists_become_rows_of_original_ids_without_empty_ranks() -> None:
    assert pl.concat(_frames()).to_dict(as_series=False) == EXPECTED


def test_scores_can_be_left_out() -> None:
    assert pl.concat(_frames(scores=False)).columns == ["user", "item", "rank"]


def _read(path: Path) -> pl.DataFrame:
    readers = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".jsonl": pl.read_ndjson}
    return readers[path.suffix](path)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("rows_held", [1 << 22, 2])
def test_every_kind_of_file_holds_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, rows_held: int
) -> None:
    monkeypatch.setattr(frames, "_ROWS_HELD", rows_held)
    path = tmp_path / f"found{suffix}"
    write_frames(path, _frames())
    assert _read(path).to_dict(as_series=False) == EXPECTED
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_that_cannot_be_finished_leaves_the_one_before(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"found{suffix}"
    path.write_text("before")

    def failing() -> Iterator[pl.DataFrame]:
        yield next(_frames())
        raise RuntimeError("the model failed")

    with pytest.raises(RuntimeError, match="the model failed"):
        write_frames(path, failing())
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_other_endings_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"ends in \.parquet, \.csv, \.jsonl; did you mean \.jsonl"):
        writer_for(Path("found.json"))
    with pytest.raises(ConfigError, match="ends in"):
        writer_for(Path("found"))


def test_a_folder_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(RecrunError, match="cannot write"):
        write_frames(tmp_path / "none" / "found.csv", _frames())
