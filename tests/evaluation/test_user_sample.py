"""Evaluations of users that are drawn: the same ones for all models, unbiased means, and results that name them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.compare.entry import read_entry
from recrun.config.monitor_names import parse_monitor
from recrun.config.resolve import resolve
from recrun.data.interactions import CSR
from recrun.errors import ConfigError
from recrun.evaluation.protocol import Protocol
from recrun.evaluation.protocol_text import protocol_text
from recrun.evaluation.user_sample import UserSample, note_on_lists
from recrun.metrics.per_user import mean_of_users
from recrun.runs.listing import list_runs
from recrun.runs.per_user import read_per_user
from recrun.workflows.build import prepare
from recrun.workflows.evaluate import evaluate
from recrun.workflows.reproduce import reproduce

SMALL = [
    "dataset=Synthetic",
    "epochs=2",
    "eval_freq=1",
    "plots=false",
    "device=cpu",
    "embedding_dim=8",
    "batch_size=4096",
]
SMALL = [*SMALL, "monitors=[recall@10,ndcg@10,auc,coverage@10]", "which4best=ndcg@10", "verbose=0"]


def _settings(*overrides: str) -> list[str]:
    """Return the settings of a small run, of which some are others."""
    return list({each.partition("=")[0]: each for each in (*SMALL, *overrides)}.values())


def _run(tmp_path: Path, *overrides: str, model: str = "bprmf") -> Any:
    coach = prepare(resolve(model, _settings(*overrides)), runs=tmp_path / "runs")
    coach.fit()
    return coach


def _json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def _numbers(run: Any) -> dict[str, Any]:
    result = _json(run.metrics_file)
    return {key: result[key] for key in ("valid", "test", "users", "best_epoch")}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return _run(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return _run(tmp_path_factory.mktemp("sampled"), "eval_users=200")


def _rows(n_users: int = 400, seed: int = 0) -> CSR:
    random = np.random.default_rng(seed)
    users = random.choice(n_users, n_users // 2, replace=False)
    rows = np.repeat(users, 3)
    return CSR.from_pairs(rows, random.integers(0, 50, len(rows)), n_users)


def test_users_with_items_to_be_found_are_drawn_and_keep_all_of_them() -> None:
    relevant = _rows()
    drawn = UserSample(40).drawn(relevant, "test")
    users = np.flatnonzero(drawn.lengths)
    assert len(users) == 40
    for user in range(relevant.n_rows):
        assert drawn.row(user).tolist() == (relevant.row(user).tolist() if user in users else [])


def test_every_user_is_as_likely_as_any_other() -> None:
    relevant, n_draws = _rows(40), 3000
    counts = sum((UserSample(5, seed).drawn(relevant, "valid").lengths > 0).astype(int) for seed in range(n_draws))
    shares = np.asarray(counts)[relevant.lengths > 0] / n_draws
    # The standard deviation of a share of 5 / 20 in 3000 draws is 0.0079.
    assert shares == pytest.approx(np.full(20, 0.25), abs=0.04)


def test_a_larger_sample_holds_the_smaller_one_and_the_draw_is_that_of_seed_and_part() -> None:
    relevant = _rows()
    few, more = (set(np.flatnonzero(UserSample(n).drawn(relevant, "test").lengths)) for n in (30, 60))
    assert few < more
    again, other, valid = (
        set(np.flatnonzero(UserSample(30, seed).drawn(relevant, split).lengths))
        for seed, split in ((1, "test"), (2, "test"), (1, "valid"))
    )
    assert again == few
    assert few not in (other, valid)


def test_no_more_users_than_there_are_can_be_drawn() -> None:
    relevant = _rows()
    assert UserSample(200).drawn(relevant, "test") is relevant
    assert UserSample(10, on="valid").drawn(relevant, "test") is relevant


def test_the_sample_of_all_users_is_the_full_evaluation_to_the_digit(tmp_path: Path, full: Any) -> None:
    run = _run(tmp_path, "eval_users=5000").run
    assert _numbers(run) == _numbers(full.run)
    assert "protocol" not in _json(run.metrics_file)
    assert run.per_user_file("test").read_bytes() == full.run.per_user_file("test").read_bytes()
    log = run.log_file.read_text(encoding="utf-8")
    for split in ("valid", "test"):
        n_users = _json(run.metrics_file)["users"][split]
        note = f"eval_users is 5,000, and {split} has {n_users:,} users with items to be found: all are evaluated"
        assert log.count(note) == 1


def test_the_values_of_drawn_users_are_those_of_a_full_evaluation(full: Any, sampled: Any) -> None:
    again = evaluate(full.run.path, ["eval_users=200"])
    of_all, result = read_per_user(full.run.path, "test"), _json(full.run.metrics_file)
    assert of_all is not None
    relevant = full.dataset.base.csr("test")
    users = np.flatnonzero(UserSample(200).drawn(relevant, "test").lengths)
    places = np.searchsorted(np.flatnonzero(relevant.lengths), users)
    assert again["users"] == 200
    for metric in ("recall@10", "ndcg@10", "auc"):
        values_U = of_all.values[metric]
        assert again["metrics"][metric] == mean_of_users(values_U[places])
        # The mean of the sample lies within 4 standard errors (finite population) of the mean over all users.
        error = values_U.std(ddof=1) / np.sqrt(200) * np.sqrt(1 - 200 / len(values_U))
        assert 0 < abs(again["metrics"][metric] - result["test"][metric]) < 4 * error
    assert again["metrics"]["coverage@10"] < result["test"]["coverage@10"]
    assert again["metrics"].keys() == _json(sampled.run.metrics_file)["test"].keys()


def test_models_seeds_and_epochs_have_the_same_users(tmp_path: Path, sampled: Any) -> None:
    expected = {split: sampled.run.per_user_file(split) for split in ("valid", "test")}
    others = [
        _run(tmp_path, "eval_users=200", "seed=2"),
        _run(tmp_path, "eval_users=200", "epochs=1", model="lightgcn"),
    ]
    for split, file in expected.items():
        users = read_per_user(sampled.run.path, split).users_U.tolist()  # type: ignore[union-attr]
        assert len(users) == 200
        assert file.is_file()
        for other in others:
            assert read_per_user(other.run.path, split).users_U.tolist() == users  # type: ignore[union-attr]
    lines = [json.loads(line) for line in sampled.run.metrics_lines_file.read_text(encoding="utf-8").splitlines()]
    best = _json(sampled.run.metrics_file)
    valid = [line for line in lines if line.get("split") == "valid" and line["epoch"] == best["best_epoch"]]
    assert valid
    found = evaluate(sampled.run.path, split="valid")
    assert found["metrics"] == best["valid"]


def test_a_run_names_its_sample_everywhere(sampled: Any) -> None:
    run, result = sampled.run, _json(sampled.run.metrics_file)
    protocol = {"eval_users": 200, "eval_users_seed": 1, "eval_users_on": "valid_test"}
    text = "ranked among all items for 200 users of each part drawn uniformly (seed 1), not for all"
    lists = "coverage@10 is of the lists of the drawn users together, and no estimate for those of all users"
    assert result["protocol"] == _json(run.run_file)["protocol"] == protocol
    assert result["users"] == {
        "valid": 200,
        "test": 200,
        "skipped": 2000 - sampled.dataset.base.csr("test").lengths.astype(bool).sum(),
    }
    assert next(entry["protocol"] for entry in _json(run.run_file)["test_evaluations"]) == {
        "eval_users": 200,
        "eval_users_seed": 1,
    }
    assert {text, lists} <= set(_json(run.run_file)["notes"])
    assert f"- {text}" in (run.summary_folder / "SUMMARY.md").read_text(encoding="utf-8")


def test_only_valid_may_be_drawn(tmp_path: Path, full: Any) -> None:
    run = _run(tmp_path, "eval_users=200", "eval_users_on=valid", "eval_freq=2").run
    result = _json(run.metrics_file)
    assert result["users"]["valid"] == 200
    assert result["users"]["test"] == _json(full.run.metrics_file)["users"]["test"]
    assert protocol_text(result["protocol"]) == (
        "ranked among all items for 200 users of valid drawn uniformly (seed 1), not for all"
    )
    assert "protocol" not in _json(run.run_file)["test_evaluations"][0]
    rows = list_runs(tmp_path / "runs")
    on_test, on_valid = (read_entry(rows[0], split) for split in ("test", "valid"))  # type: ignore[arg-type]
    assert on_test is not None
    assert on_valid is not None
    assert on_test.protocol is None
    assert on_valid.protocol == {"eval_users": 200, "eval_users_seed": 1}
    assert evaluate(run.path)["metrics"] == result["test"]
    with pytest.raises(
        ConfigError, match=r"eval_users, eval_users_on would have no effect on test, .*; add eval_users_on=valid_test"
    ):
        evaluate(run.path, ["eval_users=100", "eval_users_on=valid"])


def test_a_trained_model_is_evaluated_on_other_users_and_its_own_values_stay(tmp_path: Path) -> None:
    coach = _run(tmp_path, "eval_users=200", "epochs=1")
    before = coach.run.per_user_file("test").read_bytes()
    found = evaluate(coach.run.path, ["eval_users=null"])
    assert found["users"] > 200
    assert "protocol" not in found
    assert found["per_user"] is None
    other = evaluate(coach.run.path, ["eval_users=200", "eval_users_seed=2"])
    assert other["protocol"] == {"eval_users": 200, "eval_users_seed": 2}
    assert coach.run.per_user_file("test").read_bytes() == before
    same = evaluate(coach.run.path)
    assert same["metrics"] == _json(coach.run.metrics_file)["test"]
    assert same["per_user"] is not None


def test_a_run_of_a_sample_is_reproduced_and_resumed_with_the_same_users(tmp_path: Path, sampled: Any) -> None:
    assert reproduce(sampled.run.path, runs=tmp_path / "again")["differences"] == []
    short = _run(tmp_path, "eval_users=200", "epochs=1").run
    overrides = ["eval_users=200", f"id={short.path.name}", "resume=true"]
    coach = prepare(resolve("bprmf", _settings(*overrides)), runs=tmp_path / "runs")
    coach.fit()
    assert _numbers(coach.run) == _numbers(sampled.run)
    with pytest.raises(Exception, match=r"different settings \(eval_users was 200, now 100\)"):
        prepare(resolve("bprmf", _settings(*overrides, "eval_users=100")), runs=tmp_path / "runs").fit()


def test_groups_and_candidates_are_of_the_drawn_users(tmp_path: Path) -> None:
    coach = _run(tmp_path, "eval_users=200", "epochs=1", "groups=[activity:2,popularity:2]", "candidates=20")
    result = _json(coach.run.metrics_file)
    groups = result["groups"]["test"]
    assert sum(group["users"] for group in groups["activity:2"]["groups"]) == 200
    lists = coach.evaluator.protocol.candidates(coach.dataset.base, "test")
    assert (lists.lengths > 0).sum() == 200
    assert protocol_text(result["protocol"]) == (
        "ranked among 20 candidates drawn uniformly (seed 1), not among all items; "
        "for 200 users of each part drawn uniformly (seed 1), not for all"
    )


def test_given_candidates_are_needed_of_the_drawn_users_alone(tmp_path: Path, sampled: Any) -> None:
    base = sampled.dataset.base
    users = {
        user
        for split in ("valid", "test")
        for user in np.flatnonzero(UserSample(200).drawn(base.csr(split), split).lengths)
    }
    lines = [f"{base.user_ids[user]},{item}" for user in sorted(users) for item in base.item_ids[:400]]
    (tmp_path / "lists.csv").write_text("\n".join(["user,item", *lines]), encoding="utf-8")
    given = [f"root={tmp_path}", "candidates_path=lists.csv", "epochs=1"]
    found = _run(tmp_path, *given, "eval_users=200")
    assert _json(found.run.metrics_file)["users"]["test"] == 200
    with pytest.raises(Exception, match="has no candidates for user"):
        _run(tmp_path, *given)


def test_metrics_that_are_means_over_users_need_no_note() -> None:
    document = {"eval_users": 5, "eval_users_seed": 1}
    assert (
        note_on_lists(document, [parse_monitor("ndcg@10"), parse_monitor("auc"), parse_monitor("diversity@10")]) is None
    )
    assert note_on_lists(None, [parse_monitor("coverage@10")]) is None
    note = note_on_lists(document, [parse_monitor("coverage@10"), parse_monitor("gini@10")])
    assert (
        note
        == "coverage@10, gini@10 are of the lists of the drawn users together, and no estimate for those of all users"
    )


def test_protocols_of_other_samples_are_told_apart() -> None:
    settings = [{}, {"eval_users": 5}, {"eval_users": 6}, {"eval_users": 5, "eval_users_seed": 2}]
    assert len({Protocol.of(each).choice("test") for each in settings}) == 4
    on_valid = Protocol.of({"eval_users": 5, "eval_users_on": "valid"})
    assert on_valid.choice("test") == Protocol.of({}).choice("test")
    assert on_valid.choice("valid") == Protocol.of({"eval_users": 5}).choice("valid")


REFUSED = {
    "none": (["eval_users=0"], ">= 1"),
    "no sample": (["eval_users_seed=3"], "eval_users_seed: .*all users are evaluated"),
    "no parts": (["eval_users_on=valid"], "eval_users_on: .*all users are evaluated"),
    "other parts": (["eval_users=9", "eval_users_on=test"], "valid_test"),
    "no validation": (
        ["eval_users=9", "eval_users_on=valid", "eval_valid=false"],
        "eval_users_on: users are drawn on valid",
    ),
}


@pytest.mark.parametrize(("overrides", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_settings_that_do_not_fit_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("bprmf", overrides)


def test_a_model_that_predicts_labels_ranks_for_no_user() -> None:
    with pytest.raises(ConfigError, match="eval_users: model deepfm predicts labels and ranks nothing"):
        resolve("deepfm", ["eval_users=9"])
