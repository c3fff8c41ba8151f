"""`recrun.sweep`: a grid from Python, its trials as frames, and the best of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import recrun
from recrun.errors import CheckpointError, ConfigError, TrainingError


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
