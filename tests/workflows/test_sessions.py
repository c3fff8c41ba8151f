"""A run on sessions: trained, continued, evaluated again, and recommended from; numbers worked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recrun
from recrun.cli.main import main
from recrun.workflows.evaluate import evaluate
from recrun.workflows.recommend import Wish, recommend
from tests.data.datasets.test_sessions import SESSIONS, _rows

OPTIONS: dict[str, Any] = {
    "dataset": "File",
    "path": "a.csv",
    "user_column": "session_id",
    "split": "sessions",
    "duplicates": "all",
    "mask_seen": False,
    "test_days": 1,
    "valid_days": 1,
    "monitors": ["recall@1", "mrr@3", "popularity@1"],
    "plots": False,
    "progress": False,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = "".join(f"{user},{item},{at}\n" for user, item, at in _rows(SESSIONS))
    (tmp_path / "a.csv").write_text("session_id,item_id,timestamp\n" + lines)
    return tmp_path


def test_popularity_ranks_each_position_as_worked_by_hand(folder: Path) -> None:
    # In train A has items 1, 2 and 3, B has 2 and 3: the ranking is 2, 3, 1 for everyone. To be found are 2 after D's
    # first item, 1 after its second and 1 after its third: at ranks 1, 3 and 3.
    run = recrun.train("popularity", runs=folder / "runs", root=str(folder), **OPTIONS)
    assert run.metrics["test"]["recall@1"] == pytest.approx(1 / 3)
    assert run.metrics["test"]["mrr@3"] == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    assert run.metrics["valid"] == {"recall@1": 0, "mrr@3": pytest.approx(1 / 3), "popularity@1": 3}
    # Item 2 is known of A, B and, of what is given, D: its beginnings do not count.
    assert run.metrics["test"]["popularity@1"] == 3


def test_neighbours_of_items_score_a_position_by_what_came_before(folder: Path) -> None:
    run = recrun.train("itemknn", runs=folder / "runs", root=str(folder), **{**OPTIONS, "monitors": ["mrr@3"]})
    # The columns of train are (1, 0), (1, 1), (1, 1) for items 1, 2, 3. The cosines are 1/sqrt(2) of 1 with 2 and 3,
    # 1 of 2 with 3. After [1] items 2 and 3 tie and the smaller id is first: rank 1 for item 2. After [1, 2] item 3 has
    # the most, then 1 and 2 tie: rank 2 for item 1. After [1, 2, 1] the row is the same set {1, 2}.
    assert run.metrics["test"]["mrr@3"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)


@pytest.mark.parametrize(
    ("model", "rows"), [("gru4rec", "all_positions"), ("gru4rec", "windows"), ("stamp", "prefixes")]
)
def test_a_run_on_sessions_is_continued_evaluated_and_recommended_from(folder: Path, model: str, rows: str) -> None:
    options = {**OPTIONS, "root": str(folder), "sequence_rows": rows, "epochs": 4, "eval_freq": 1, "embedding_dim": 8}
    options |= {"loss": "cross_entropy", "max_length": 3, "lr": 0.05, "early_stop_patience": None, "device": "cpu"}
    whole = recrun.train(model, runs=folder / "whole", **options)
    part = recrun.train(model, runs=folder / "part", until=2, **options)
    again = part.resume(progress=False)
    assert again.metrics == whole.metrics
    assert evaluate(whole.path)["metrics"] == pytest.approx(whole.metrics["test"])
    assert evaluate(whole.path)["protocol"] == {"mask_seen": False}
    # What the model ranks first after each beginning, of all items, is what recommend lists.
    made = recommend(whole.path, Wish(users=["D@2", "D@3", "D"], k=1, exclude=("none",)))
    lists = {entry["user"]: entry["items"][0] for entry in made.document()["recommendations"]}
    hits = [lists["D@2"] == 2, lists["D@3"] == 1, lists["D"] == 1]
    assert np.mean(hits) == pytest.approx(whole.metrics["test"]["recall@1"])
    notes = recommend(whole.path, Wish(users=["D"], k=1)).notes
    assert any("rank seen items too; these lists leave them out" in note for note in notes)


def test_the_states_of_positions_are_those_of_the_histories_cut_there(folder: Path) -> None:
    options = {**OPTIONS, "root": str(folder), "epochs": 1, "embedding_dim": 8, "loss": "cross_entropy"}
    run = recrun.train("gru4rec", runs=folder / "runs", **options)
    made = recommend(run.path, Wish(users=["D@2", "D@3", "D"], k=3, exclude=("none",)))
    model, base = made.loaded.coach.model, made.loaded.coach.dataset.base
    of_item = {int(item): place for place, item in enumerate(base.item_ids)}
    with torch.no_grad():
        for entry, history in zip(made.document()["recommendations"], ([1], [1, 2], [1, 2, 1]), strict=True):
            items = torch.tensor([[of_item[item] for item in history]])
            state = model.read(items, torch.tensor([len(history)]))
            scores = (state @ model.item_vectors().T)[0]
            expected = [int(base.item_ids[place]) for place in scores.argsort(descending=True)]
            assert entry["items"] == expected


def test_a_run_on_train_and_valid_together_holds_no_beginnings(folder: Path) -> None:
    options = {**OPTIONS, "root": str(folder), "train_on": "train_valid", "eval_valid": False}
    run = recrun.train("popularity", runs=folder / "runs", **options)
    # C adds items 3 and 1 to train: the ranking is 3, 1, 2 by 3, 2, 2 sessions, and the smaller id first.
    assert run.metrics["test"]["mrr@3"] == pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3)


def test_without_sessions_settings_the_command_refuses_before_a_run_folder_is_made(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "gru4rec", "dataset=File", f"root={folder}", "path=a.csv", "user_column=session_id"]
    with pytest.raises(SystemExit) as done:
        main([*arguments, "split=sessions", "duplicates=all", "--runs", str(folder / "runs")])
    assert done.value.code == 2
    assert "set mask_seen to false" in capsys.readouterr().err
    assert not (folder / "runs").exists()
