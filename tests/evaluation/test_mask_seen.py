"""Repeated interactions, and rankings that seen items are a part of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recrun.config.monitor_names import parse_monitor
from recrun.config.resolve import resolve
from recrun.data.datasets.file import File
from recrun.data.interactions import CSR
from recrun.data.postprocessing.sequences import Prefixes, Sequences
from recrun.errors import ConfigError, DataError
from recrun.evaluation.evaluate_split import evaluate_split, undefined_metrics
from recrun.evaluation.protocol import Protocol
from recrun.evaluation.protocol_text import protocol_text
from recrun.evaluation.ranking import evaluate_ranking
from recrun.models.ease import EASE
from recrun.models.itemknn import ItemKNN
from recrun.models.popularity import Popularity

ROWS = """user,item,timestamp
7,10,1
7,20,2
7,10,3
7,10,4
7,30,5
7,20,6
8,20,1
8,30,2
8,20,3
9,30,1
9,10,2
9,30,3
"""


@pytest.fixture
def data(tmp_path: Path) -> File:
    (tmp_path / "a.csv").write_text(ROWS)
    return File(tmp_path, path="a.csv", split="leave_one_out", valid_ratio=0, duplicates="all")


class Fixed:
    """Scores that do not depend on the user."""

    def __init__(self, scores: list[float]) -> None:
        self._scores = torch.tensor(scores)

    def score(self, users: torch.Tensor) -> torch.Tensor:
        return self._scores.expand(len(users), -1)


def test_all_repeats_are_kept_in_the_order_of_time_and_may_be_in_two_parts(data: File) -> None:
    histories = data.training_data().interactions.histories(data.n_users)
    assert [data.item_ids[histories.row(user)].tolist() for user in range(3)] == [
        [10, 20, 10, 10, 30],
        [20, 30],
        [30, 10],
    ]
    test = data.interactions("test")
    assert data.item_ids[test.items].tolist() == [20, 20, 30]
    assert set(data.csr("train").row(0)) & set(data.csr("test").row(0))
    assert data.describe()["train"] == 9
    assert sum(len(batch["item"]) for batch in data.iterate("train", seed=1, epoch=1)) == 9


def test_the_first_or_last_of_each_pair_is_kept_unless_all_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    for keep, times in (("first", [1, 2, 5]), ("last", [4, 5, 6])):
        made = File(tmp_path, path="a.csv", test_ratio=0, valid_ratio=0, duplicates=keep)
        rows = made.interactions("train")
        assert rows.columns["timestamp"][rows.users == 0].tolist() == times
    assert File(tmp_path, path="a.csv", test_ratio=0, valid_ratio=0).preparation.duplicates == "last"


def test_matrices_and_counts_of_items_are_binary(data: File) -> None:
    train = data.training_data()
    assert train.matrix().toarray().tolist() == [[1, 1, 1], [0, 1, 1], [1, 0, 1]]
    assert train.item_counts().tolist() == [2, 2, 3]
    # 3 users have item 30, 2 the others; item 10 occurs 4 times in train.
    model = Popularity(train)
    model.fit(train)
    assert model.score(torch.arange(1))[0].argmax() == 2
    for kind in (EASE, ItemKNN):
        without = train.interactions.csr(3)
        made = kind(train)
        made.fit(train)
        assert made.rows.nnz == without.nnz == 7


def test_sequences_and_prefixes_hold_repeats(data: File) -> None:
    rows = next(iter(Sequences(data, 5).iterate("train", seed=1, epoch=1)))
    longest = rows["item"][rows["length"][:, 0].argmax()]
    assert data.item_ids[longest].tolist() == [10, 20, 10, 10, 30]
    windows = next(iter(Sequences(data, 3, step=2).iterate("train", seed=1, epoch=1)))
    of_first = {tuple(data.item_ids[row].tolist()) for row in windows["item"][windows["user"][:, 0] == 0]}
    assert of_first == {(10, 10, 30), (10, 20, 10)}
    prefixes = next(iter(Prefixes(data, 5).iterate("train", seed=1, epoch=1)))
    found = {
        (*data.item_ids[items[:length]].tolist(), int(data.item_ids[target]))
        for items, length, target in zip(
            prefixes["item"], prefixes["length"][:, 0], prefixes["target"][:, 0], strict=True
        )
    }
    assert found == {(10, 20), (10, 20, 10), (10, 20, 10, 10), (10, 20, 10, 10, 30), (20, 30), (30, 10)}


def test_seen_items_are_ranked_where_they_are_not_masked(data: File) -> None:
    # By score the items are 20, 10, 30, so the repeated item of users 7 and 8 is first, that of user 9 last.
    metrics = ["recall@1", "mrr@3", "auc", "popularity@1", "serendipity@1"]
    rows: dict[str, Any] = {"n_items": 3, "metrics": metrics, "device": "cpu"}
    model, seen, relevant = Fixed([2.0, 3.0, 1.0]), data.seen("test"), data.csr("test")
    ranked = evaluate_ranking(model, seen=CSR.empty(3), relevant=relevant, known=seen, **rows).values
    assert ranked["recall@1"] == pytest.approx(2 / 3)
    assert ranked["mrr@3"] == pytest.approx((1 + 1 + 1 / 3) / 3)
    assert ranked["auc"] == pytest.approx((1 + 1 + 0) / 3)
    assert ranked["popularity@1"] == 2
    # Item 30 is the most popular of all, so a hit of item 20 at the first rank is unexpected.
    assert ranked["serendipity@1"] == pytest.approx(2 / 3)
    masked = evaluate_ranking(model, seen=seen, relevant=relevant, **rows).values
    assert masked["recall@1"] == masked["mrr@3"] == 0
    assert np.isnan(masked["auc"])


def test_the_setting_decides_what_a_split_ranks(data: File) -> None:
    names = [parse_monitor("recall@1"), parse_monitor("auc")]
    model = Popularity(data.training_data())
    model.fit(data.training_data())
    options: Any = {"device": torch.device("cpu"), "memory_mb": 16, "progress": lambda done, total: None}
    found = {
        masks: evaluate_split(model.eval(), data, "test", names, masks_seen=masks, **options).values["recall@1"]
        for masks in (True, False)
    }
    assert found == {True: 0, False: pytest.approx(1 / 3)}  # item 30, which one user has next
    assert undefined_metrics(model, data, "test", names).keys() == {"auc"}
    assert undefined_metrics(model, data, "test", names, masks_seen=False) == {}


def test_results_name_the_protocol() -> None:
    assert Protocol.of({}).describe(None) is None
    told = Protocol.of({"mask_seen": False}).describe(None)
    assert told == {"mask_seen": False}
    assert protocol_text(told) == "ranked among all items; items that a user has seen are ranked too"
    drawn = Protocol.of({"mask_seen": False, "candidates": 99}).describe(None)
    among = "ranked among 99 candidates drawn uniformly (seed 1), not among all items"
    assert protocol_text(drawn) == f"{among}; items that a user has seen are ranked too"
    assert Protocol.of({}).choice("test") != Protocol.of({"mask_seen": False}).choice("test")


def test_given_candidates_may_be_seen_items(data: File, tmp_path: Path) -> None:
    (tmp_path / "lists.csv").write_text("user,item\n7,10\n7,30\n8,30\n9,10\n")
    protocol = Protocol(path="lists.csv", root=str(tmp_path), masks_seen=False)
    found = protocol.candidates(data, "test")
    assert found is not None
    assert [data.item_ids[found.row(user)].tolist() for user in range(3)] == [[10, 20, 30], [20, 30], [10, 30]]
    assert not any("seen" in note for note in protocol.notes)
    with pytest.raises(DataError, match="has no candidates for user 7"):
        Protocol(path="lists.csv", root=str(tmp_path)).candidates(data, "test")


FILE = ["dataset=File", "path=a.csv", "split=user_time"]


def test_repeats_that_could_never_be_found_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"mask_seen: duplicates: all keeps items .*; set mask_seen to false"):
        resolve("gru4rec", [*FILE, "duplicates=all"])
    assert resolve("gru4rec", [*FILE, "duplicates=all", "mask_seen=false"]).config.mask_seen is False
    assert resolve("gru4rec", FILE).config.mask_seen is True
    with pytest.raises(ConfigError, match="mask_seen: model deepfm predicts labels and ranks nothing"):
        resolve("synthetic/deepfm", ["mask_seen=false"])


def test_given_parts_may_share_a_pair_where_all_repeats_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,item\n1,1\n1,2\n2,1\n")
    (tmp_path / "b.csv").write_text("user,item\n1,1\n2,2\n")
    options: Any = {"train_path": "a.csv", "test_path": "b.csv", "valid_ratio": 0}
    with pytest.raises(DataError, match="must not overlap"):
        File(tmp_path, **options)
    assert len(File(tmp_path, **options, duplicates="all").interactions("test")) == 2


def test_the_column_that_holds_no_items_is_refused_with_repeats_too(tmp_path: Path) -> None:
    lines = "".join(f"{row % 5},{row},{row}\n" for row in range(200))
    (tmp_path / "a.csv").write_text("user,item,timestamp\n" + lines)
    with pytest.raises(DataError, match="does item_column hold items"):
        File(tmp_path, path="a.csv", duplicates="all")


def test_metrics_json_tells_that_seen_items_were_ranked(tmp_path: Path) -> None:
    from recrun.cli.main import main

    (tmp_path / "a.csv").write_text(ROWS)
    options = [*FILE[:2], "split=leave_one_out", f"root={tmp_path}", "valid_ratio=0", "duplicates=all", "plots=false"]
    arguments = [
        "train",
        "popularity",
        *options,
        "mask_seen=false",
        "monitors=[recall@1]",
        "--runs",
        str(tmp_path / "runs"),
    ]
    with pytest.raises(SystemExit) as done:
        main([*arguments, "--quiet"])
    assert not done.value.code
    result = json.loads(next((tmp_path / "runs").rglob("metrics.json")).read_text())
    assert result["protocol"] == {"mask_seen": False}
    assert result["test"]["recall@1"] == pytest.approx(1 / 3)
