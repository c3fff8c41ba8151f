"""`track`: names, packages that are missing, and the name that it had."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun.config import trackers
from recrun.config.resolve import resolve
from recrun.config.same_settings import changes_of_result, refused_changes, sweep_identity
from recrun.config.trackers import is_installed, known_tracker, require_packages, untracked
from recrun.errors import ConfigError
from recrun.sweep.planning.plan import plan_sweep
from recrun.workflows.build import prepare
from recrun.workflows.dry_run.estimate import estimate
from tests.report.trackers.book import server


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tracker's package is installed."""
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)


def test_an_unknown_tracker_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"track: unknown tracker 'mlfow' .*did you mean 'mlflow'"):
        resolve("bprmf", ["track=[mlfow]"])


def test_a_single_name_is_answered_with_the_list() -> None:
    with pytest.raises(ConfigError, match=r"track=\[mlflow\]"):
        resolve("bprmf", ["track=mlflow"])


@pytest.mark.usefixtures("bare")
def test_a_missing_package_is_one_error_with_the_command_before_anything_starts(tmp_path: Path) -> None:
    resolved = resolve("bprmf", ["track=[wandb,mlflow]", f"root={tmp_path}/none", "dataset=File", "path=none.csv"])
    for start in (lambda: prepare(resolved, runs=tmp_path / "runs"), lambda: estimate(resolved)):
        with pytest.raises(ConfigError) as caught:
            start()
        assert [str(fault) for fault in caught.value.faults] == [
            f"track: {name} needs the package {name}, which is not installed: pip install 'recrun[{name}]'"
            for name in ("wandb", "mlflow")
        ]
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("bare")
def test_a_sweep_refuses_a_missing_package_before_its_first_trial() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'recrun\[trackio\]'"):
        plan_sweep("bprmf", ["lr=1e-3,1e-4", "track=[trackio]"])


@pytest.mark.usefixtures("bare")
def test_tensorboard_needs_no_package_more() -> None:
    require_packages(["tensorboard"])


def test_a_folder_of_the_name_of_a_package_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notebooklet").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not is_installed("notebooklet")
    assert not is_installed("no_such_package")
    assert is_installed("click")


def test_the_name_that_it_had_is_still_read(tmp_path: Path) -> None:
    config = tmp_path / "old.yaml"
    config.write_text("extends: bprmf\ntrackers: [tensorboard]\n")
    resolved = resolve(config)
    assert resolved.config.track == ["tensorboard"]
    assert "trackers" not in resolved.config
    old = {**{key: value for key, value in resolved.config.items() if key != "track"}, "trackers": []}
    assert refused_changes(old, resolved.config) == {}


def test_both_names_are_one_too_many(tmp_path: Path) -> None:
    config = tmp_path / "both.yaml"
    config.write_text("extends: bprmf\ntrackers: []\ntrack: [tensorboard]\n")
    with pytest.raises(ConfigError, match="trackers: unknown setting"):
        resolve(config)


def test_where_a_run_is_reported_to_does_not_change_what_it_is() -> None:
    plain = resolve("bprmf").config
    tracked = resolve("bprmf", ["track=[mlflow]", "track_project=other", "track_checkpoint=true"]).config
    assert changes_of_result(plain, tracked) == {}
    assert refused_changes(plain, tracked) == {}
    assert sweep_identity(plain, ()) == sweep_identity(tracked, ())


def test_a_run_that_repeats_another_has_neither_trackers_nor_their_settings(tmp_path: Path) -> None:
    _, settings = server(tmp_path)
    config = resolve("bprmf", settings).config
    assert config.book
    assert "book" not in untracked(config)
    assert untracked(config).track == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wandbb", "unknown tracker 'wandbb'; did you mean 'wandb'"),
        ("live", "unknown tracker 'live'"),
        ("tensorboard", "nothing to deliver to it"),
    ],
)
def test_what_a_run_cannot_be_delivered_to_is_named(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        known_tracker(name)
