"""Comparisons by groups: of some users alone, and with only some items to be found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recrun.compare.compare import How, compare, compare_by
from recrun.errors import CheckpointError, ConfigError
from recrun.metrics.groups import Grouping
from recrun.runs.folder import RunFolder
from recrun.runs.user_groups import write_user_groups
from tests.compare.conftest import N_USERS, values_of_users, write_run

EVEN, ODD = np.arange(0, N_USERS, 2), np.arange(1, N_USERS, 2)
PARITY = Grouping("parity", "user", ("even", "odd"), (EVEN, ODD))


class Base:
    """The users of a data set."""

    n_users = N_USERS
    user_ids = np.arange(N_USERS)


def _break_down(run: RunFolder, *groupings: Grouping) -> None:
    write_user_groups(run, groupings or (PARITY,), Base())


def _with_items(run: RunFolder, numbers: dict[str, float | None]) -> None:
    document: dict[str, Any] = json.loads(run.metrics_file.read_text(encoding="utf-8"))
    groups = [{"group": label, "items": 5, "users": 9, "metrics": {"ndcg@20": x}} for label, x in numbers.items()]
    document["groups"] = {"test": {"popularity:2": {"of": "items", "groups": groups, "gaps": {}}}}
    run.write_json(run.metrics_file, document)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Runs of two groups over two seeds, whose users are in groups."""
    for seed in (1, 2):
        for name, shift in (("bprmf", 0.1), ("ease", 0.0)):
            run = write_run(tmp_path, f"{name}{seed}", seed, shift, model=name, whole={"coverage@20": 0.5})
            _break_down(run)
            _with_items(run, {"few": 0.1 * seed, "many": 0.2 + shift})
    return tmp_path


def test_a_group_of_users_is_compared_by_its_users_alone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    found = compare_by([str(root)], "parity")
    assert [comparison.part.name for comparison in found if comparison.part] == ["parity=even", "parity=odd"]
    for users, comparison in zip((EVEN, ODD), found, strict=True):
        only = tmp_path_factory.mktemp("only")
        for seed in (1, 2):
            for name, shift in (("bprmf", 0.1), ("ease", 0.0)):
                values = {metric: each[users] for metric, each in values_of_users(seed, shift, METRICS).items()}
                write_run(only, f"{name}{seed}", seed, model=name, values=values)
        expected = compare([str(only)])
        for ours, theirs in zip(comparison.tests, expected.tests, strict=True):
            assert (ours.metric, ours.group, ours.n, ours.over) == (theirs.metric, theirs.group, theirs.n, theirs.over)
            assert ours.difference == pytest.approx(theirs.difference)
            assert ours.interval == pytest.approx(theirs.interval)
            assert ours.p_corrected == pytest.approx(theirs.p_corrected)
        assert [group.mean for group in comparison.groups] == [group.mean for group in expected.groups]
        assert comparison.document()["part"] == comparison.part.name  # type: ignore[union-attr]
        assert comparison.document()["of"] == "users"


METRICS = ("recall@20", "ndcg@20")


def test_metrics_of_whole_runs_are_not_known_of_groups_of_users(root: Path) -> None:
    found = compare_by([str(root)], "parity=odd")
    assert len(found) == 1
    assert found[0].metrics == ("ndcg@20", "recall@20")
    assert "not known of groups of users: coverage@20" in found[0].notes
    with pytest.raises(ConfigError, match="none of the metrics is broken down by parity"):
        compare_by([str(root)], "parity", how=How(metrics=("coverage@20",)))


def test_groups_of_items_are_compared_over_seeds(root: Path) -> None:
    few, many = compare_by([str(root)], "popularity:2", how=How(metrics=("ndcg@20",)))
    assert few.metrics == ("ndcg@20",)
    assert [group.mean["ndcg@20"] for group in few.groups] == pytest.approx([0.15, 0.15])
    assert {group.name: group.mean["ndcg@20"] for group in many.groups} == pytest.approx({"bprmf": 0.3, "ease": 0.2})
    assert {test.over for test in few.tests} == {"seeds"}
    assert many.best == {"ndcg@20": "bprmf"}
    with pytest.raises(ConfigError, match="no values of users for groups of items"):
        compare_by([str(root)], "popularity:2", how=How(over="users"))


def test_groups_of_items_of_single_runs_are_only_described(root: Path) -> None:
    few, _ = compare_by([str(root), "seed=1"], "popularity:2")
    assert few.tests == ()
    assert few.groups[0].n_seeds == 1


UNKNOWN = {
    "another name": ("partiy", r"did you mean parity\? \(by: parity, popularity:2\)"),
    "no name like it": ("zzz", r"'groups=\[zzz\]'` adds groups of users"),
    "another label": ("parity=evn", r"did you mean parity=even\? \(groups: even, odd\)"),
}


@pytest.mark.parametrize(("by", "message"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_runs_are_not_broken_down_by_is_refused(root: Path, by: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compare_by([str(root)], by)


def test_a_run_without_the_groups_is_named(root: Path) -> None:
    write_run(root, "third", 3, 0.1)
    with pytest.raises(ConfigError, match="third: not broken down by parity; `recrun eval --checkpoint "):
        compare_by([str(root)], "parity")


def test_groups_of_other_users_do_not_compare(root: Path) -> None:
    run = next(root.rglob("ease2"))
    other = Grouping("parity", "user", ("even", "odd"), (EVEN[1:], np.sort(np.append(ODD, 0))))
    _break_down(RunFolder(run), other)
    with pytest.raises(ConfigError, match="the groups by parity are not of the same users"):
        compare_by([str(root)], "parity")


@pytest.mark.parametrize(
    "change",
    [
        {"groups": {}},
        {"groups": [{"group": 1, "metrics": {}}]},
        {"groups": [{"group": "few", "metrics": {"ndcg@20": "x"}}]},
        {"groups": [{"group": "few", "metrics": {}, "users": "x"}]},
        {"gaps": "x"},
        {"gaps": {"ndcg@20": {"difference": [1]}}},
    ],
)
def test_a_run_with_damaged_groups_is_left_out(root: Path, change: dict[str, object]) -> None:
    file = next(root.rglob("ease2")) / "metrics.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["groups"]["test"]["popularity:2"] |= change
    file.write_text(json.dumps(document), encoding="utf-8")
    few, _ = compare_by([str(root)], "popularity:2")
    assert [group.n_seeds for group in few.groups] == [2, 1]
    assert f"left out: {file} is damaged: groups is not an object of groups" in few.notes[0]


def test_other_groups_of_items_do_not_compare(root: Path) -> None:
    _with_items(RunFolder(next(root.rglob("ease2"))), {"few": 0.1, "very many": 0.3})
    with pytest.raises(ConfigError, match=r"the groups by popularity:2 are not the same in \S+ and \S+"):
        compare_by([str(root)], "popularity:2", how=How(descriptive=True))


def test_a_metric_that_is_not_broken_down_is_refused(root: Path) -> None:
    for descriptive in (True, False):
        how = How(metrics=("coverage@20",), descriptive=descriptive)
        with pytest.raises(ConfigError, match="none of the metrics is broken down by popularity:2 in all of the runs"):
            compare_by([str(root)], "popularity:2", how=how)


def test_a_group_without_a_name_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="parity has no group ''"):
        compare_by([str(root)], "parity=")


def test_a_lost_file_of_groups_is_named_with_what_writes_it(root: Path) -> None:
    for file in root.rglob("metrics.json"):
        document = json.loads(file.read_text(encoding="utf-8"))
        groups = [{"group": label, "users": 9, "metrics": {}} for label in ("even", "odd")]
        document["groups"]["test"]["parity"] = {"of": "users", "groups": groups, "gaps": {}}
        file.write_text(json.dumps(document), encoding="utf-8")
    assert len(compare_by([str(root)], "parity")) == 2
    lost = next(root.rglob("ease2")) / "per_user" / "groups.parquet"
    lost.unlink()
    expected = (
        rf"{lost} does not say who is in the groups by parity; `recrun eval --checkpoint \S+ 'groups=\[parity\]'`"
    )
    with pytest.raises(ConfigError, match=expected):
        compare_by([str(root)], "parity")


def test_values_that_are_not_those_of_the_run_are_refused_in_groups_too(root: Path) -> None:
    file = next(root.rglob("ease2")) / "per_user" / "test.parquet"
    pl.read_parquet(file).with_columns(pl.col("ndcg@20") * 2).write_parquet(file)
    with pytest.raises(CheckpointError, match="is of another evaluation than the run's: the mean of ndcg@20 is"):
        compare_by([str(root)], "parity")
