"""`recrun.sweep`: a grid from Python, its trials as frames, and the best of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import recrun
from recrun.errors import CheckpointError, ConfigError, TrainingError
from recrun.sweep.importance.findings import findings
from recrun.sweep.ledger import Ledger
from recrun.sweep.planning.plan import plan_sweep
from recrun.sweep.planning.request import Request


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _sweep(small: dict[str, Any], *, model: str = "popularity", **settings: Any) -> recrun.Sweep:
    return recrun.sweep({"model": model, **small}, progress=False, **settings)


@pytest.mark.slow
def test_trials_are_those_of_the_ledger_and_the_best_is_a_run(small: dict[str, Any]) -> None:
    small.pop("plots")
    found = _sweep(small, model="bprmf", lr=[1e-3, 0.1], monitors=["ndcg@5", "recall@5"], epochs=2, jobs=2)
    document = json.loads((found.path / "sweep.json").read_text())
    trials = found.trials
    assert trials.columns == ["trial", "lr", "status", "ndcg@5", "recall@5", "best_epoch", "seconds", "run", "cause"]
    for row in trials.iter_rows(named=True):
        trial = document["trials"][row["trial"]]
        assert (row["lr"], row["recall@5"]) == (trial["overrides"]["lr"], trial["valid"]["recall@5"])
    assert trials["trial"][0] == document["best"]
    assert trials["recall@5"].is_sorted(descending=True)
    assert found.which4best == "recall@5"
    best = found.best
    assert best.config.lr == trials["lr"][0]
    assert best.metrics["test"] == {}
    assert found.points.columns[:3] == ["lr", "n", "ndcg@5"]
    assert repr(found) == f"Sweep({str(found.path)!r}, 2 of 2 trials done)"
    assert f"<td><b>{best.config.lr}</b></td>" in found._repr_html_()
    again = _sweep(small, model="bprmf", lr=[1e-3, 0.1], monitors=["ndcg@5", "recall@5"], epochs=2)
    assert again.trials.equals(trials)


@pytest.mark.slow
def test_seeds_are_averaged_and_never_ranked(small: dict[str, Any]) -> None:
    small.pop("plots")
    found = _sweep(small, seed=[1, 2], split_seed=[1])
    assert len(found.points) == 1
    assert found.points["n"].to_list() == [2]
    assert found.points["ndcg@20"][0] == pytest.approx(found.trials["ndcg@20"].mean())
    with pytest.raises(ConfigError, match="nothing is best"):
        found.best  # noqa: B018
    assert found.run(1).config.seed == 2
    with pytest.raises(ConfigError, match="trial: there is no trial 2; expected 0 to 1"):
        found.run(2)


@pytest.mark.slow
def test_failed_trials_are_warned_of_and_a_sweep_of_failures_alone_is_an_error(
    small: dict[str, Any], tmp_path: Path
) -> None:
    small.pop("plots")
    (tmp_path / "own.py").write_text(
        "from recrun.models.popularity import Popularity\n\n\nclass Own(Popularity):\n"
        "    def __init__(self, data, *, fails: bool = False) -> None:\n        super().__init__(data)\n"
        "        self.fails = fails\n\n    def fit(self, data):\n        if self.fails:\n"
        "            raise ValueError('on <b>purpose</b>')\n        super().fit(data)\n"
    )
    own = f"{tmp_path}/own.py:Own"
    with pytest.warns(UserWarning, match=r"trial 1 failed: .*on <b>purpose</b>") as caught:
        found = _sweep(small, model=own, fails=[False, True])
    assert Path(caught[0].filename).name == "test_sweep.py"
    assert found.status == "failed"
    assert found.trials["status"].to_list() == ["done", "failed"]
    assert found.best.config.fails is False
    assert "&lt;b&gt;purpose" in found._repr_html_()
    with pytest.raises(TrainingError, match=r"all 2 trials failed; trial 0: .*on <b>purpose</b>"):
        _sweep(small, model=own, fails=True, seed=[1, 2])
    with pytest.raises(CheckpointError, match=r"is a sweep: call recrun\.sweep as before"):
        recrun.load(found.path)


def test_faults_name_keywords_and_nothing_is_started(small: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as error:
        recrun.sweep("bprmf", lr=[1e-3, "fast"], epoch=3, eval_test=True)
    assert [str(fault).partition(":")[0] for fault in error.value.faults] == ["lr", "epoch", "eval_test"]
    for jobs in (0, True, "2"):
        with pytest.raises(ConfigError, match="jobs: expected an integer >= 1"):
            recrun.sweep("bprmf", lr=[1, 2], jobs=jobs)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no setting has several values: give one a list"):
        recrun.sweep("bprmf", lr=[1e-3])
    with pytest.raises(ConfigError, match=r"^cores: unknown setting"):
        recrun.sweep("bprmf", lr=[1, 2], engine_settings={"cores": 3})
    assert not Path("runs").exists()


@pytest.mark.slow
def test_the_last_step_returns_its_runs_and_their_means_and_is_made_once(small: dict[str, Any]) -> None:
    small.pop("plots")
    found = _sweep(small, model="bprmf", lr=[1e-4, 0.1], seed=[1, 2], epochs=2, jobs=2)
    final = found.final(jobs=2, progress=False)
    assert [run.config.train_on for run in final.runs] == ["train_valid", "train_valid"]
    frame = final.metrics
    assert frame.columns == ["metric", "mean", "sd", "low", "high", "n"]
    for row in frame.iter_rows(named=True):
        values = [run.metrics["test"][row["metric"]] for run in final.runs]
        assert row["mean"] == pytest.approx(sum(values) / 2)
        assert row["low"] <= row["mean"] <= row["high"]
    assert json.loads((found.path / "sweep.json").read_text())["final"] == final.document["final"]
    assert repr(final) == f"Final({str(final.path)!r}, 2 of 2 runs done)"
    assert "<td>" in final._repr_html_()
    assert found.final(progress=False).metrics.equals(frame)
    with pytest.warns(UserWarning, match="again=True makes that one"):
        found.final(train_only=True, progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"search": "tpe"}, "search='tpe': say how many points are drawn: trials=N"),
        ({"trials": 3}, "trials: a grid has the trials that it has; choose search='random', sobol, tpe ..."),
        ({"trials": 0, "jobs": True, "race": 1}, "trials: expected an integer >= 1, found 0"),
        ({"zip": "lr,batch_size"}, "zip: expected a list of settings, or several lists, found 'lr,batch_size'"),
        ({"search": "random", "trials": 2, "add": 2}, "add and trials exclude each other"),
        ({"seeds": 2, "seed": [1, 2]}, "seed: is given, and seeds too; give one of the two"),
    ],
)
def test_errors_of_studies_name_arguments_in_place_of_options(
    arguments: dict[str, Any], message: str, small: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as caught:
        _sweep(small, model="bprmf", lr=[1e-3, 0.1], **arguments)
    assert message in str(caught.value)
    assert "--" not in str(caught.value)
    assert not Path("runs").exists()


@pytest.mark.slow
def test_a_study_of_several_configs_is_a_frame_with_a_column_for_the_config(small: dict[str, Any]) -> None:
    small.pop("plots")
    configs = [{"model": "popularity", **small}, {"model": "itemknn", **small}]
    found = recrun.sweep(configs, n_neighbors=[3, 5], search="random", trials=2, seeds=2, jobs=2, progress=False)
    assert found.trials.columns[:4] == ["trial", "config", "seed", "n_neighbors"]
    assert set(found.points["n"]) == {2}
    assert "n_neighbors" in found._repr_html_()


def _ended(ledger: Ledger, values: Sequence[Mapping[str, float]]) -> recrun.Sweep:
    """Return a sweep whose trials have these numbers."""
    for row, numbers in zip(ledger.rows, values, strict=True):
        row.status, row.valid = "done", dict(numbers)
    ledger.importance = findings(ledger)
    return recrun.Sweep(ledger)


def test_points_of_several_configs_have_nulls_where_they_lack_a_setting(tmp_path: Path) -> None:
    plan = plan_sweep(["bprmf", "itemknn"], ["lr=1e-3,1e-2", "n_neighbors=10,20", "seed=1,2"])
    found = _ended(Ledger(plan, tmp_path), [{"ndcg@20": 0.1 + place / 100} for place in range(8)])
    points = found.points
    assert points.columns == [
        *("config", "lr", "n_neighbors", "n"),
        *("ndcg@20", "ndcg@20_sd", "ndcg@20_low", "ndcg@20_high"),
    ]
    assert points["config"].to_list() == ["itemknn", "itemknn", "bprmf", "bprmf"]
    assert points["lr"].to_list() == [None, None, 0.01, 0.001]
    assert points["n_neighbors"].to_list() == [20, 10, None, None]
    low, high = points["ndcg@20_low"][0], points["ndcg@20_high"][0]
    assert (low + high) / 2 == pytest.approx(points["ndcg@20"][0])
    assert high - low == pytest.approx(2 * 12.7062 * points["ndcg@20_sd"][0] / 2**0.5, rel=1e-5)
    with pytest.raises(ConfigError, match="importance of settings is not known: 4 points are too few; 10 are needed"):
        found.importance  # noqa: B018


def test_pruned_trials_say_how_far_they_came(tmp_path: Path) -> None:
    plan = plan_sweep("bprmf", ["lr=1e-3,1e-2", "epochs=9"], request=Request(prune="asha"))
    ledger = Ledger(plan, tmp_path)
    for row, numbers in zip(ledger.rows, (0.1, 0.2), strict=True):
        row.status, row.valid = "done", {"ndcg@20": numbers}
    ledger.rows[1].status, ledger.rows[1].reached = "pruned", 3
    found = recrun.Sweep(ledger)
    assert found.trials["reached"].to_list() == [None, 3]
    assert found.trials["status"].to_list() == ["done", "pruned"]
    assert found.points["reached"].to_list() == [None, 3]
    assert "<td>pruned</td>" in found._repr_html_()


def test_of_several_criteria_there_is_a_front_and_no_best(tmp_path: Path) -> None:
    both = "[ndcg@20,coverage@20]"
    plan = plan_sweep("bprmf", ["lr=1e-4,1e-3,1e-2", f"monitors={both}", f"which4best={both}"])
    values = [(0.1, 0.5), (0.2, 0.9), (0.3, 0.1)]
    found = _ended(Ledger(plan, tmp_path), [{"ndcg@20": one, "coverage@20": other} for one, other in values])
    assert found.front["lr"].to_list() == [0.01, 0.001]
    with pytest.raises(ConfigError, match=r"no point is best by several criteria; see front, and final\(point=...\)"):
        found.best  # noqa: B018


def test_the_importance_of_settings_is_a_frame(tmp_path: Path) -> None:
    plan = plan_sweep("bprmf", ["lr=1e-4,1e-3,1e-2,1e-1", "embedding_dim=8,16,32"])
    found = _ended(Ledger(plan, tmp_path), [{"ndcg@20": float(place // 3)} for place in range(12)])
    assert found.importance["setting"].to_list() == ["lr", "embedding_dim"]
    assert found.importance["importance"].to_list() == pytest.approx([1, 0], abs=1e-12)
