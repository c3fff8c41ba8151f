"""Data sets in the format of NGCF and LightGCN."""

from __future__ import annotations

from pathlib import Path

from recrun.data.datasets import Gowalla_m1


def test_validation_can_be_the_end_of_each_users_line(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("0 " + " ".join(map(str, range(20, 0, -1))) + "\n1 3 9 4\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("0 0\n1 0\n", encoding="utf-8")
    data = Gowalla_m1(tmp_path, valid_ratio=0.1, valid_from="end")
    assert data.csr("valid").row(0).tolist() == [1, 2], "the last two of the line"
    assert data.csr("valid").row(1).tolist() == []
    assert len(data.interactions("train")) == 21
