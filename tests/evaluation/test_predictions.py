"""Models that predict labels: what they are fed with, how they are measured, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recrun.architectures.prediction import pairwise_products
from recrun.config.monitor_names import MetricName
from recrun.config.resolve import resolve
from recrun.data.datasets import SyntheticClicks
from recrun.errors import ConfigError
from recrun.evaluation.predictions import measure, predict
from recrun.report.terminal.lines import result_lines
from recrun.workflows.build import build, prepare
from recrun.workflows.evaluate import evaluate

SMALL = [
    "n_rows=4000",
    "n_users=50",
    "n_items=30",
    "device=cpu",
    "threads=1",
    "epochs=3",
    "batch_size=256",
    "verbose=0",
]


def test_metrics_are_over_all_rows_and_by_user() -> None:
    chances, labels, users = np.array([0.9, 0.8, 0.3, 0.4]), np.array([1.0, 0, 0, 1]), np.array([0, 0, 1, 1])
    names = [MetricName(name) for name in ("auc", "gauc", "logloss", "mse")]
    values = measure(chances, labels, users, names)
    assert values["auc"] == 0.75  # of the four pairs of a click and none, 0.4 < 0.8 is out of order
    assert values["gauc"] == 1.0
    assert values["logloss"] == pytest.approx(-np.log([0.9, 0.2, 0.7, 0.4]).mean())
    assert values["mse"] == pytest.approx((0.01 + 0.64 + 0.09 + 0.36) / 4)


def test_pairwise_products_are_those_of_all_pairs() -> None:
    embedded = torch.randn(5, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slow = sum((embedded[:, i] * embedded[:, j]).sum(1) for i in range(4) for j in range(i))
    torch.testing.assert_close(pairwise_products(embedded), slow)


def test_repeated_pairs_are_kept_and_the_label_is_no_feature() -> None:
    data = SyntheticClicks(n_rows=3000, n_users=20, n_items=10)
    assert sum(len(data.interactions(part)) for part in ("train", "valid", "test")) == 3000  # type: ignore[arg-type]
    coach = build(resolve("fm", SMALL))
    assert [field.name for field in coach.model.features] == ["user", "item", "hour", "price"]
    batch = next(iter(coach.dataset.iterate("train", seed=1, epoch=0)))
    changed = {**batch, "label": 1 - batch["label"]}
    assert torch.equal(coach.model(batch), coach.model(changed))


@pytest.mark.parametrize("n_history_items", [0, 5])
def test_labels_follow_the_chances_that_the_note_is_made_of(n_history_items: int) -> None:
    data = SyntheticClicks(n_rows=20000, n_history_items=n_history_items)
    rows = data.interactions("train")
    chance = data._probability(data.user_ids[rows.users], data.item_ids[rows.items], rows.columns, data.item_ids)
    for low in np.arange(0, 1, 0.2):
        inside = (chance >= low) & (chance < low + 0.2)
        assert rows.columns["label"][inside].mean() == pytest.approx(chance[inside].mean(), abs=0.03)
    assert any(note.startswith("the generating model itself reaches on test: auc 0.") for note in data.notes)


def test_histories_raise_the_chance_by_the_item_most_alike_and_change_nothing_else() -> None:
    plain, data = (SyntheticClicks(n_rows=600, n_items=9, n_history_items=count) for count in (0, 3))
    rows, without = data.interactions("train"), plain.interactions("train")
    assert [rows.columns[name].tolist() == without.columns[name].tolist() for name in ("hour", "price")] == [True] * 2
    histories = rows.columns["history"]
    assert {int(length) for length in (histories >= 0).sum(axis=1)} == {0, 1, 2, 3}
    assert (np.diff((histories >= 0).astype(int)) <= 0).all(), "the first places are filled"
    tastes, names = np.array([[3.0, 0], [0, 2], [1, 1]]), np.array([0, 1, 2])
    found = data._largest_likeness(tastes[[0, 1, 0]], tastes[names], np.array([[1, 2], [1, -1], [-1, -1]]))
    assert found.tolist() == [1.5, 2.0, 0.0], "products 0 and 3, 4, and none, over the root of 4 tastes"
    field = data.fields["history"]
    assert (field.count, getattr(field, "shares", None)) == (9, "item")


def test_predictions_are_those_of_the_rows_in_their_order() -> None:
    coach = build(resolve("deepfm", SMALL))
    coach.model.eval()
    chances, labels, users = predict(coach.model, coach.dataset.base, "valid", coach.device)
    rows = coach.dataset.base.interactions("valid")
    assert np.array_equal(labels, rows.columns["label"])
    assert np.array_equal(users, rows.users)
    assert ((chances > 0) & (chances < 1)).all()


def test_a_run_is_evaluated_again_to_the_same_digits(tmp_path: Path) -> None:
    result = prepare(resolve("dcn", SMALL), runs=tmp_path).fit()
    assert set(result["test"]) == {"auc", "gauc", "logloss"}
    again = evaluate(result["run"], ["verbose=0"], split="test")
    assert again["metrics"] == result["test"]
    data = SyntheticClicks(n_rows=4000, n_users=50, n_items=30)
    assert result["rows"] == {split: len(data.interactions(split)) for split in ("valid", "test")}
    assert again["rows"] == result["rows"]["test"] > 0
    assert result_lines(result)[3] == f"rows scored: {result['rows']['valid']} valid, {result['rows']['test']} test"


def test_a_resumed_run_comes_to_the_same_numbers(tmp_path: Path) -> None:
    whole = prepare(resolve("fm", SMALL), runs=tmp_path / "a").fit()
    half = [each if each != "epochs=3" else "epochs=2" for each in SMALL]
    prepare(resolve("fm", [*half, "id=x"]), runs=tmp_path / "b").fit()
    resumed = prepare(resolve("fm", [*SMALL, "id=x", "resume=true"]), runs=tmp_path / "b").fit()
    assert resumed["valid"] == whole["valid"]
    assert resumed["test"] == whole["test"]


@pytest.mark.parametrize(
    ("config", "overrides", "message"),
    [
        (
            "fm",
            ["dataset=Synthetic"],
            "dataset: model fm predicts labels, but Synthetic has none; data sets with labels: LabelledFile, Syn",
        ),
        ("bprmf", ["dataset=SyntheticClicks"], "dataset: its rows are labelled, but model bprmf ranks items"),
        ("fm", ["loss=bpr"], "loss: model fm predicts labels: expected loss bce, found bpr"),
        ("fm", ["monitors=[auc,ndcg@5]"], "monitors: ndcg@5 measures a ranking, but model fm predicts labels"),
        ("fm", ["n_negatives=3"], "n_negatives"),
        ("fm", ["sampler=uniform"], "sampler"),
    ],
)
def test_what_cannot_work_is_refused(config: str, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(config, overrides)
    assert any(message in str(fault) for fault in caught.value.faults)
