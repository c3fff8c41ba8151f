"""`recrun data split` and `recrun data convert`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SMALL = ["n_users=40", "n_items=30", "n_interactions=500"]


def test_the_parts_of_a_data_set_are_written_and_read_as_it_says(recrun: Callable[..., Any], tmp_path: Path) -> None:
    outcome = recrun("data", "split", "Synthetic", *SMALL, "split=leave_k", "n_held_out=2", "--to", "new/parts")
    assert outcome.code == 0, outcome.err
    settings = outcome.out.splitlines()[-1].partition("read them with: ")[2].split()
    assert settings[0] == "dataset=File"
    assert recrun("train", "popularity", *settings, "-q").code == 0


def test_the_data_of_a_config_is_written_with_overrides(recrun: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("model: popularity\nn_users: 40\nn_items: 30\nn_interactions: 500\n")
    outcome = recrun("data", "split", "mine.yaml", "valid_ratio=0", "--to", "parts", "--format", "inter", "--json")
    document = json.loads(outcome.out)
    assert sorted(document["files"]) == ["test", "train"]
    assert sum(document["rows"].values()) == 500
    assert (tmp_path / "parts/train.inter").read_text().startswith("user_id:token\titem_id:token\ttimestamp:float\n")


def test_a_file_is_converted_as_its_filters_leave_it(recrun: Callable[..., Any], tmp_path: Path) -> None:
    rows = "".join(f"u{n % 4},i{n},{n % 5}\n" for n in range(20))
    (tmp_path / "ratings.csv").write_text("user,item,rating\n" + rows)
    arguments = ["data", "convert", "ratings.csv", "rating_threshold=3", "--to", "liked.parquet", "--format", "parquet"]
    outcome = recrun(*arguments)
    assert (outcome.code, outcome.out) == (0, "wrote liked.parquet (8 rows)\n")
    outcome = recrun(*arguments)
    assert outcome.code == 2
    assert "already exists; choose a new" in outcome.err


def test_what_the_format_cannot_hold_is_said(recrun: Callable[..., Any]) -> None:
    outcome = recrun("data", "convert", "Synthetic", *SMALL, "--to", "all.txt", "--format", "lightgcn")
    assert outcome.code == 0
    assert "warning: the format cannot hold timestamp; left out" in outcome.err


def test_unknown_data_and_settings_are_refused(recrun: Callable[..., Any], tmp_path: Path) -> None:
    for arguments in (["Nothing"], ["Synthetic", "n_usrs=3"], ["Synthetic", "split=k_fold", "test_fold=9"]):
        assert recrun("data", "split", *arguments, "--to", "parts").code == 2
    assert list(tmp_path.iterdir()) == []
