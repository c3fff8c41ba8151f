"""Evaluation on users that were held out of training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recrun.config.monitor_names import parse_monitor
from recrun.config.resolve import resolve
from recrun.data.datasets.synthetic import Synthetic
from recrun.errors import ConfigError
from recrun.evaluation.evaluate_split import evaluate_split
from recrun.evaluation.held_out_users import scored_as
from recrun.evaluation.protocol import Protocol
from recrun.models.ease import EASE
from recrun.models.ials import IALS
from recrun.models.sasrec import SASRec
from recrun.workflows.build import prepare
from recrun.workflows.load import load

SMALL: dict[str, Any] = {"n_users": 120, "n_items": 60, "n_interactions": 3000, "split": "new_users", "test_ratio": 0.3}


def _evaluate(model: Any, data: Synthetic, split: str = "test", **options: Any) -> Any:
    return evaluate_split(
        model.eval(),
        data,
        split,
        [parse_monitor(each) for each in ("recall@5", "ndcg@5", "popularity@5")],
        device=torch.device("cpu"),
        memory_mb=64,
        progress=lambda done, total: None,
        keep_users=True,
        **options,
    )


@pytest.mark.parametrize("model", [EASE, IALS, SASRec])
def test_held_out_users_are_ranked_by_what_is_given_of_them(model: Any) -> None:
    torch.manual_seed(1)
    data = Synthetic(**SMALL, fold_in_by="time")
    made = model(data.training_data())
    if hasattr(made, "fit"):
        made.fit(data.training_data())
    else:
        made.take_histories(data.histories("test"))
    found = _evaluate(made, data)
    rows = data.given()
    assert rows is not None
    users = np.flatnonzero(data.csr("test").lengths)
    with torch.no_grad():
        scores = made.score_histories(rows.take(users))
    recalls = []
    for user, scores_I in zip(users, scores, strict=True):
        scores_I[rows.row(user).astype(np.int64)] = -torch.inf
        relevant = set(data.csr("test").row(user).tolist())
        recalls.append(len(relevant & set(scores_I.topk(5).indices.tolist())) / len(relevant))
    assert found.values["recall@5"] == pytest.approx(np.mean(recalls))
    assert found.n_users == len(users)
    assert found.per_user.values["recall@5"].tolist() == pytest.approx(recalls)


@pytest.mark.parametrize("model", [EASE, IALS])
@torch.no_grad()
def test_known_users_are_scored_as_ever_beside_those_who_are_held_out(model: Any) -> None:
    data = Synthetic(**SMALL)
    made = model(data.training_data())
    made.fit(data.training_data())
    rows = data.given()
    assert rows is not None
    scored = scored_as(made, data)
    users = torch.arange(data.n_users)
    is_held_out = torch.from_numpy(rows.lengths > 0)
    expected = torch.where(is_held_out[:, None], made.score_histories(rows), made.score(users))
    torch.testing.assert_close(scored.score(users), expected)
    torch.testing.assert_close(scored.score(users[~is_held_out]), made.score(users[~is_held_out]))
    vectors = scored.vectors()
    assert (vectors is None) == (model is EASE)
    if vectors is not None:
        torch.testing.assert_close(vectors[0] @ vectors[1].T, expected)
    assert scored_as(made, Synthetic(n_users=50, n_items=20, n_interactions=300)) is made


def test_candidates_are_ranked_for_held_out_users_too() -> None:
    data = Synthetic(**SMALL)
    model = EASE(data.training_data())
    model.fit(data.training_data())
    candidates = Protocol(n_drawn=5).candidates(data, "test")
    assert _evaluate(model, data, candidates=candidates).values["recall@5"] > _evaluate(model, data).values["recall@5"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["neumf"], "split: model neumf cannot score new users, whom training never saw; models that can: bert4rec, "),
        (["random"], "split: model random cannot score new users"),
        (["sasrec"], "fold_in_by: random items of new users are given, but sasrec reads histories"),
        (["sasrec", "fold_in_by=tiem"], "fold_in_by: expected one of random, time, found 'tiem'"),
        (["ease", "fold_in_ratio=1"], "fold_in_ratio: expected a number > 0 and < 1, found 1"),
        (["ease", "fold_in_ratio=0"], "fold_in_ratio: expected a number > 0 and < 1, found 0"),
        (["ease", "split=ratio", "fold_in_ratio=0.5"], "it is for split=new_users, found split=ratio"),
    ],
)
def test_what_cannot_be_evaluated_so_is_refused_before_anything_starts(settings: list[str], message: str) -> None:
    name, *overrides = settings
    with pytest.raises(ConfigError) as error:
        resolve(
            name, ["dataset=Synthetic", *(overrides if "split=ratio" in overrides else ["split=new_users", *overrides])]
        )
    assert message in str(error.value)
    assert len(error.value.faults) == 1


@pytest.mark.parametrize("more", [["fold_in_by=time"], ["shuffled_time=true"]])
def test_models_of_sequences_are_given_the_earliest_items_or_take_times_as_they_are(more: list[str]) -> None:
    assert resolve("sasrec", ["dataset=Synthetic", "split=new_users", *more]).config.split == "new_users"


def test_an_inherited_share_of_given_items_is_dropped_with_another_split() -> None:
    config = resolve("ml20m/ease", ["split=ratio"]).config
    assert config.get("fold_in_ratio") in (None, 0.8)


@pytest.mark.parametrize("name", ["bprmf", "enmf", "lightgcn", "simplex", "ials"])
def test_each_validation_is_of_the_model_as_it_is_then(tmp_path: Path, name: str) -> None:
    options = ["dataset=Synthetic", "split=new_users", "n_users=200", "n_items=80", "n_interactions=4000", "verbose=0"]
    options += [] if name == "ials" else ["epochs=3", "lr=0.02", "batch_size=256", "early_stop_patience=null"]
    resolved = resolve(f"synthetic/{name}", [*options, "threads=1", "test_ratio=0.2", "valid_ratio=0.2"])
    coach = prepare(resolved, runs=tmp_path, reporters=lambda run, resumed_from: [])
    result = coach.fit()
    lines = [json.loads(line) for line in (coach.run.path / "metrics.jsonl").read_text().splitlines()]
    measured = {line["epoch"]: line["values"]["ndcg@20"] for line in lines if line["split"] == "valid"}
    # What a fresh model, which remembers nothing, makes of the best weights.
    fresh = load(coach.run.path).coach
    again = fresh.score("valid", resolved.config, resolved.config.monitors)["ndcg@20"]
    assert again == measured[result["best_epoch"]] == result["valid"]["ndcg@20"]
    assert name == "ials" or len(set(measured.values())) == 4
