from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recrun.config.resolve import resolve
from recrun.config.same_settings import (
    FREE,
    changes_of_result,
    is_finished_trial,
    refused_changes,
    sweep_identity,
    without_run,
)
from recrun.config.settings import RUN, TRAINING
from recrun.registry import MODELS

CONFIG: dict[str, Any] = {parameter.name: parameter.default for parameter in (*RUN, *TRAINING)}


@pytest.mark.parametrize("key", [*FREE, "id", "resume"])
def test_what_changes_no_result_changes_nothing_for_any_use(key: str) -> None:
    other = {**CONFIG, key: "another"}
    assert refused_changes(CONFIG, other) == changes_of_result(CONFIG, other) == {}
    assert is_finished_trial(CONFIG, other, ())
    assert sweep_identity(CONFIG, ()) == sweep_identity(other, ())


def test_a_description_names_folders_and_changes_no_number() -> None:
    other = {**CONFIG, "description": "mine"}
    assert changes_of_result(CONFIG, other) == {}
    assert str(refused_changes(CONFIG, other)["description"]) == "was null, now mine"
    assert not is_finished_trial(CONFIG, other, ())
    assert sweep_identity(CONFIG, ()) != sweep_identity(other, ())


def test_more_epochs_may_be_trained_in_a_resumed_run_and_give_other_numbers() -> None:
    other = {**CONFIG, "epochs": 200}
    assert refused_changes(CONFIG, other) == {}
    assert list(refused_changes(other, CONFIG)) == ["epochs"]
    assert list(refused_changes({**CONFIG, "lr_scheduler": "cosine"}, {**other, "lr_scheduler": "cosine"})) == [
        "epochs"
    ]
    assert list(changes_of_result(CONFIG, other)) == ["epochs"]
    assert not is_finished_trial(CONFIG, other, ())


def test_a_seed_of_minus_one_is_any_seed_where_that_is_asked_for() -> None:
    drawn, any_seed = {**CONFIG, "seed": 1234}, {**CONFIG, "seed": -1}
    assert refused_changes(drawn, any_seed, any_seed=True) == {}
    assert str(refused_changes(drawn, any_seed)["seed"]) == "was 1234, now -1"
    assert is_finished_trial(drawn, any_seed, ())
    assert not is_finished_trial(drawn, CONFIG, ())


def test_a_key_that_only_one_config_has_is_a_change() -> None:
    assert str(refused_changes(CONFIG, {**CONFIG, "dropout": 0.1})["dropout"]) == "was not set, now 0.1"
    assert not is_finished_trial({**CONFIG, "dropout": 0.1}, CONFIG, ())


def test_a_setting_that_came_later_is_no_change_as_long_as_it_is_as_by_default() -> None:
    earlier = {key: value for key, value in CONFIG.items() if not key.startswith("init_")}
    assert refused_changes(earlier, CONFIG) == {}
    assert is_finished_trial(earlier, CONFIG, ())
    assert list(refused_changes(earlier, {**CONFIG, "init_from": "/runs/a"})) == ["init_from"]
    assert list(refused_changes(CONFIG, earlier)) == ["init_from", "init_match"], "only the earlier one may lack it"


def test_a_setting_of_a_component_that_came_later_is_no_change_as_long_as_it_is_as_by_default() -> None:
    now = dict(resolve("sasrec").config)
    earlier = {key: value for key, value in now.items() if key not in ("dropout", "beta1")}
    default = {parameter.name: parameter.default for parameter in MODELS.describe("sasrec").parameters}["dropout"]
    assert refused_changes(earlier, {**now, "dropout": default}) == {}
    assert is_finished_trial(earlier, {**now, "dropout": default}, ())
    assert list(refused_changes(earlier, {**now, "dropout": default / 2, "beta1": 0.5})) == ["dropout", "beta1"]
    assert list(refused_changes({**earlier, "optimizer": "adamw"}, {**now, "dropout": default})) == [
        "optimizer",
        "beta1",
    ], "it is a setting of another component"


def test_the_run_to_start_from_decides_and_is_the_same_by_whichever_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    there, here = {**CONFIG, "init_from": f"{tmp_path}/runs/a"}, {**CONFIG, "init_from": "runs/a"}
    assert refused_changes(there, here) == {}
    for other in (CONFIG, {**CONFIG, "init_from": "runs/b"}):
        assert not is_finished_trial(other, here, ())
        assert changes_of_result(other, here)
        assert sweep_identity(other, ()) != sweep_identity(here, ())


def test_a_file_of_the_users_own_is_the_same_by_whichever_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    there, here = {**CONFIG, "model": f"{tmp_path}/mine.py:Mine"}, {**CONFIG, "model": "./mine.py:Mine"}
    assert is_finished_trial(there, here, ())
    assert refused_changes(there, here) == {}


def test_a_free_setting_counts_where_it_is_an_axis() -> None:
    other = {**CONFIG, "threads": 2}
    assert not is_finished_trial(CONFIG, other, ["threads"])
    assert sweep_identity(CONFIG, ["threads"]) != sweep_identity(other, ["threads"])


def test_a_stored_config_names_no_run() -> None:
    stored = without_run({**CONFIG, "id": "mine", "resume": True, "description": "kept"})
    assert (stored["id"], stored["resume"], stored["description"]) == (None, False, "kept")


def test_a_sweep_that_was_begun_before_valid_could_be_trained_on_keeps_its_folder() -> None:
    earlier = {key: value for key, value in CONFIG.items() if key not in ("train_on", "stop_epoch")}
    assert sweep_identity(earlier, ()) == sweep_identity(CONFIG, ())
    for change in ({"train_on": "train_valid"}, {"stop_epoch": 3}):
        assert sweep_identity(earlier, ()) != sweep_identity({**CONFIG, **change}, ())
