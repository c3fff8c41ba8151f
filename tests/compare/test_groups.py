"""Groups of runs: what separates them, their names, and runs that repeat others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recrun.compare.entry import Entry, read_entry
from recrun.compare.groups import find_group, grouped
from recrun.errors import ConfigError
from recrun.runs.listing import describe
from tests.compare.conftest import write_run


def _entry(root: Path, id: str, seed: int = 1, shift: float = 0.0, **settings: Any) -> Entry:
    entry = read_entry(describe(str(write_run(root, id, seed, shift, **settings).path)), "test")
    assert entry is not None
    return entry


def _grouped(entries: list[Entry]) -> dict[str, list[str]]:
    return {group.name: [Path(entry.path).name for entry in group.entries] for group in grouped(entries)[0]}


def test_runs_that_differ_in_their_seed_alone_are_one_group_ordered_by_seed(tmp_path: Path) -> None:
    entries = [_entry(tmp_path, id, seed) for id, seed in (("a", 10), ("b", 2), ("c", 3))]
    assert _grouped(entries) == {"bprmf": ["b", "c", "a"]}


@pytest.mark.parametrize(
    "free",
    [
        {"device": "cuda"},
        {"threads": 3},
        {"verbose": 2},
        {"description": "again"},
        {"monitors": ["ndcg@20"]},
        {"eval_test": False},
        {"per_user": False},
        {"candidates": None},
        {"epochs": 100},
    ],
)
def test_settings_that_do_not_affect_the_numbers_separate_nothing(tmp_path: Path, free: dict[str, Any]) -> None:
    assert _grouped([_entry(tmp_path, "a"), _entry(tmp_path, "b", 2, **free)]) == {"bprmf": ["a", "b"]}


def test_a_group_is_named_by_what_differs_among_groups_of_its_model(tmp_path: Path) -> None:
    entries = [
        _entry(tmp_path, "a", lr=0.1, embedding_dim=8),
        _entry(tmp_path, "b", lr=0.01, embedding_dim=8, loss="bpr"),
        _entry(tmp_path, "c", model="ease", regularization=3),
    ]
    assert list(_grouped(entries)) == ["bprmf lr=0.1 loss=null", "bprmf lr=0.01 loss=bpr", "ease"]


def test_one_group_alone_is_called_as_its_model(tmp_path: Path) -> None:
    assert list(_grouped([_entry(tmp_path, "a", lr=0.3)])) == ["bprmf"]
    assert list(_grouped([_entry(tmp_path, "b", model="/mine/my.py:MyMF")])) == ["MyMF"]
    assert list(_grouped([_entry(tmp_path, "c", model=None, description="script")])) == ["script"]


def test_models_of_the_same_name_in_two_files_are_told_apart(tmp_path: Path) -> None:
    entries = [_entry(tmp_path, "a", model="/one/my.py:MF"), _entry(tmp_path, "b", model="/other/my.py:MF")]
    assert list(_grouped(entries)) == ["MF model=/one/my.py:MF", "MF model=/other/my.py:MF"]


def test_versions_of_the_users_own_code_are_groups(tmp_path: Path) -> None:
    model = "/mine/my.py:MF"
    entries = [
        _entry(tmp_path, id, model=model, record={"code": {"/mine/my.py": digit * 64, "/mine/tracker.py": id}})
        for id, digit in (("a", "1"), ("b", "2"), ("c", "2"))
    ]
    assert _grouped(entries[:2]) == {"MF my.py=11111111": ["a"], "MF my.py=22222222": ["b"]}
    groups, notes = grouped(entries[1:])
    assert (len(groups), len(notes)) == (1, 1)


def test_files_of_the_same_name_are_told_apart_by_what_they_are_for(tmp_path: Path) -> None:
    own = {"model": "/u/a/my.py:M", "loss": "/u/b/my.py:L"}
    entries = [
        _entry(tmp_path, id, **own, record={"code": {"/u/a/my.py": digit * 64, "/u/b/my.py": "f" * 64}})
        for id, digit in (("a", "1"), ("b", "2"))
    ]
    assert _grouped(entries) == {"M my.py of model=11111111": ["a"], "M my.py of model=22222222": ["b"]}


def test_a_loss_of_the_users_own_is_shown_by_its_name(tmp_path: Path) -> None:
    entries = [_entry(tmp_path, "a", loss="/mine/my.py:MyLoss"), _entry(tmp_path, "b", loss="bpr")]
    assert list(_grouped(entries)) == ["bprmf loss=MyLoss", "bprmf loss=bpr"]


def test_a_setting_that_only_one_run_has_is_named(tmp_path: Path) -> None:
    entries = [_entry(tmp_path, "a"), _entry(tmp_path, "b", n_layers=3)]
    assert list(_grouped(entries)) == ["bprmf n_layers not set", "bprmf n_layers=3"]


def test_versions_of_data_with_the_same_settings_are_groups(tmp_path: Path) -> None:
    entries = [_entry(tmp_path, id, record={"data": {"split": id * 64}}) for id in "ab"]
    assert list(_grouped(entries)) == ["bprmf data=aaaaaaaa", "bprmf data=bbbbbbbb"]


def test_long_values_are_cut_where_that_leaves_the_names_different(tmp_path: Path) -> None:
    entries = [_entry(tmp_path, "a", hidden=[64] * 20), _entry(tmp_path, "b", hidden=[32] * 20)]
    cut = ["bprmf hidden=[64, 64, 64, 64, 64, 64, 64...", "bprmf hidden=[32, 32, 32, 32, 32, 32, 32..."]
    assert list(_grouped(entries)) == cut
    longer = _entry(tmp_path, "c", hidden=[64] * 21)
    assert list(_grouped([entries[0], longer])) == [f"bprmf hidden={[64] * 20}", f"bprmf hidden={[64] * 21}"]


def test_runs_of_different_data_are_named_by_it(tmp_path: Path) -> None:
    entries = [
        _entry(tmp_path, "a", split_seed=1, record={"data": {"split": "a" * 64}}),
        _entry(tmp_path, "b", split_seed=2, model="ease", record={"data": {"split": "b" * 64}}),
    ]
    assert list(_grouped(entries)) == ["bprmf split_seed=1", "ease split_seed=2"]


def test_the_newest_of_runs_with_the_same_settings_and_seed_counts(tmp_path: Path) -> None:
    entries = [_entry(tmp_path, "newest", 1), _entry(tmp_path, "old", 1), _entry(tmp_path, "b", 2)]
    groups, notes = grouped(entries)
    assert [Path(entry.path).name for entry in groups[0].entries] == ["newest", "b"]
    assert notes == [f"{entries[1].path} has the settings and the seed of {entries[0].path}, which counts"]


def test_a_note_says_if_the_same_settings_and_seed_gave_other_numbers(tmp_path: Path) -> None:
    _, notes = grouped([_entry(tmp_path, "a", 1), _entry(tmp_path, "bb", 1, 0.1)])
    assert notes[0].endswith("which counts, though their numbers differ")


def test_a_baseline_is_found_by_name_beginning_and_run(tmp_path: Path) -> None:
    entries = [
        _entry(tmp_path, "a", lr=0.1),
        _entry(tmp_path, "b", lr=0.01),
        _entry(tmp_path, "c", model="ease"),
        _entry(tmp_path, "d", model="easer"),
    ]
    groups, _ = grouped(entries)
    assert find_group(groups, "bprmf lr=0.1").entries == (entries[0],)
    assert find_group(groups, "ease").entries == (entries[2],)
    assert find_group(groups, "easer").entries == (entries[3],)
    assert find_group(groups, entries[1].path).entries == (entries[1],)
    with pytest.raises(ConfigError, match=r"the baseline 'bprmf' may be 'bprmf lr=0.1' or 'bprmf lr=0.01'"):
        find_group(groups, "bprmf")
    with pytest.raises(ConfigError, match=r"no group is called 'eas3'.*did you mean 'ease'.*Groups: bprmf lr=0.1"):
        find_group(groups, "eas3")
    with pytest.raises(ConfigError, match="no group is called ''"):
        find_group(groups, "")
