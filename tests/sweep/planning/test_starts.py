"""Trials that start from a trained run: it is looked for before the first one begins, and stays the same one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.runs.new_folder import have_latest_follow
from recrun.sweep.planning.plan import plan_sweep
from recrun.sweep.planning.study import Plan
from recrun.workflows.build import prepare

SMALL = ["n_users=40", "n_items=30", "n_interactions=400", "epochs=1", "embedding_dim=4", "device=cpu", "threads=1"]


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Return a function that trains a run in `runs`, to which `latest` then points."""
    monkeypatch.chdir(tmp_path)

    def train() -> Path:
        coach = prepare(resolve("bprmf", [*SMALL, "verbose=0", "plots=false"]), reporters=lambda run, epoch: [])
        coach.fit()
        have_latest_follow(coach.run.path, is_new=True)
        return coach.run.path.resolve()

    return train


def _plan(*arguments: str) -> Plan:
    return plan_sweep("bprmf", [*SMALL, *arguments])


def test_all_trials_start_from_the_run_that_latest_is_now(trained: Callable[[], Path]) -> None:
    first = trained()
    before = _plan("lr=0.1,0.01", "init_from=runs/latest")
    for trial in before.trials:
        assert trial.config["init_from"] == str(first)
        assert f"init_from={first}" in trial.arguments
    second = trained()
    after = _plan("lr=0.1,0.01", "init_from=runs/latest")
    assert [trial.config["init_from"] for trial in after.trials] == [str(second)] * 2
    assert after.name != before.name, "it is another sweep"
    assert _plan("lr=0.1,0.01", f"init_from={first}").name == before.name


def test_runs_to_start_from_can_be_compared(trained: Callable[[], Path]) -> None:
    first, second = trained(), trained()
    found = _plan("seed=1,2", f"init_from={first},{second}")
    assert [trial.config["init_from"] for trial in found.trials] == [str(first), str(second)] * 2
    assert len(found.points) == 2


@pytest.mark.parametrize(
    ("arguments", "place"),
    [(["lr=0.1,0.01", "init_from=runs/none"], "argument 9:11"), (["init_from=runs/latest,runs/none"], "argument 8:23")],
)
def test_a_run_that_is_not_there_is_a_fault_of_the_sweep(
    trained: Callable[[], Path], arguments: list[str], place: str
) -> None:
    trained()
    with pytest.raises(ConfigError) as error:
        _plan(*arguments)
    expected = "there is nothing at runs/none; expected a run folder or a checkpoint"
    assert str(error.value) == f"{place}: init_from: {expected}"


def test_a_run_in_the_config_itself_is_looked_for_as_well(tmp_path: Path, trained: Callable[[], Any]) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("extends: bprmf\ninit_from: runs/latest\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.yaml:2:12: init_from: there is nothing at"):
        plan_sweep(str(config), [*SMALL, "lr=0.1,0.01"])
    run = trained()
    found = plan_sweep(str(config), [*SMALL, "lr=0.1,0.01"])
    assert [trial.config["init_from"] for trial in found.trials] == [str(run)] * 2
