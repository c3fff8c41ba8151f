"""Runs that break their metrics down: where the groups are written, and that nothing else is another for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.files import is_held
from recrun.metrics.per_user import mean_of_users
from recrun.runs.folder import RunFolder
from recrun.runs.per_user import add_per_user, read_per_user
from recrun.runs.resume import resolve_run
from recrun.training.coach import Coach
from recrun.workflows.build import prepare
from recrun.workflows.dry_run.estimate import estimate
from recrun.workflows.evaluate import evaluate

SMALL = ["dataset=File", "path=ratings.csv", "split=ratio", "device=cpu", "threads=1", "verbose=0", "epochs=3"]
SMALL += ["monitors=[recall@3,ndcg@3,coverage@3]", "which4best=ndcg@3", "plots=false"]
GROUPED = ["groups=[activity:3,popularity:2,gender,genre]", "user_file=users.csv", "item_file=items.csv"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with interactions, and a table each of their users and items."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    lines = ["user,item"]
    for user in range(40):
        lines += [f"u{user},i{item}" for item in rng.choice(25, size=5 + user % 11, replace=False)]
    (folder / "ratings.csv").write_text("\n".join(lines), encoding="utf-8")
    people = [f"u{user},{'FM'[user % 2] if user % 5 else ''}" for user in range(40)]
    (folder / "users.csv").write_text("\n".join(["user,gender", *people]), encoding="utf-8")
    films = [f"i{item},{'drama|' if item % 2 else ''}{'comedy' if item % 3 else 'crime'}" for item in range(25)]
    (folder / "items.csv").write_text("\n".join(["item,genre", *films]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def train(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Return a function that trains with more settings, and returns the content of metrics.json."""

    def train(*more: str) -> dict[str, Any]:
        resolved = resolve("bprmf", [*SMALL, f"root={root}", *more])
        result = prepare(resolved, runs=tmp_path_factory.mktemp("runs")).fit()
        assert result == json.loads((Path(result["run"]) / "metrics.json").read_text(encoding="utf-8"))
        return result

    return train


@pytest.fixture(scope="module")
def grouped(train: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return train(*GROUPED)


def test_every_other_number_and_file_is_that_of_a_run_without_groups(
    train: Callable[..., dict[str, Any]], grouped: dict[str, Any]
) -> None:
    plain = train()
    left_out = ("run", "seconds", "groups")
    same = {key: value for key, value in grouped.items() if key not in left_out}
    assert same == {key: value for key, value in plain.items() if key not in left_out}
    assert [key for key in grouped if key != "groups"] == list(plain)
    for split in ("valid", "test"):
        one, other = (read_per_user(result["run"], split) for result in (plain, grouped))
        assert one is not None
        assert other is not None
        assert {k: v.tolist() for k, v in one.values.items()} == {k: v.tolist() for k, v in other.values.items()}
    histories = [
        [
            {key: value for key, value in json.loads(line).items() if key != "seconds"}
            for line in RunFolder(result["run"]).metrics_lines_file.read_text(encoding="utf-8").splitlines()
        ]
        for result in (plain, grouped)
    ]
    assert histories[0] == histories[1]


def test_groups_of_users_are_means_of_what_is_kept_of_each_user(grouped: dict[str, Any]) -> None:
    for split in ("valid", "test"):
        kept = read_per_user(grouped["run"], split)
        assert kept is not None
        women = [int(user[1:]) % 5 != 0 and int(user[1:]) % 2 == 0 for user in kept.users_U.tolist()]
        found = grouped["groups"][split]["gender"]
        assert [group["group"] for group in found["groups"]] == ["F", "M", "(missing)"]
        assert found["of"] == "users"
        assert found["groups"][0]["users"] == sum(women)
        for name, values_U in kept.values.items():
            assert found["groups"][0]["metrics"][name] == mean_of_users(values_U[np.array(women)])
        assert sum(group["users"] for group in found["groups"]) == grouped["users"][split]
        assert set(found["gaps"]) == {"recall@3", "ndcg@3"}


def test_groups_of_items_have_sizes_and_shares_of_what_is_shown(grouped: dict[str, Any]) -> None:
    found = grouped["groups"]["test"]["genre"]
    assert [(group["group"], group["items"]) for group in found["groups"]] == [
        ("comedy", 16),
        ("crime", 9),
        ("drama", 12),
    ]
    shares = {group["group"]: group["metrics"]["exposure@3"] for group in found["groups"]}
    assert shares["comedy"] + shares["crime"] == pytest.approx(1.0)  # each item is one of these, and some drama too
    by_popularity = grouped["groups"]["test"]["popularity:2"]["groups"]
    assert sum(group["metrics"]["exposure@3"] for group in by_popularity) == pytest.approx(1.0)


def test_the_summary_has_a_table_of_each(grouped: dict[str, Any]) -> None:
    text = (Path(grouped["run"]) / "summary" / "SUMMARY.md").read_text(encoding="utf-8")
    for split in ("valid", "test"):
        for name in ("activity:3", "popularity:2", "gender", "genre"):
            assert f"## {split} by {name}\n" in text
    assert "| group | items | users | `recall@3` | `ndcg@3` | `exposure@3` |" in text
    assert "| mean difference |" in text


def test_an_evaluation_gives_the_groups_of_the_run_again_and_others_on_request(grouped: dict[str, Any]) -> None:
    again = evaluate(grouped["run"])
    assert (again["metrics"], again["groups"]) == (grouped["test"], grouped["groups"]["test"])
    other = evaluate(grouped["run"], ["groups=[activity:2]", "user_file=null", "item_file=null"], split="valid")
    assert list(other["groups"]) == ["activity:2"]
    assert other["metrics"] == grouped["valid"]
    none = evaluate(grouped["run"], ["groups=[]", "user_file=null", "item_file=null"], split="valid")
    assert "groups" not in none


def test_an_evaluation_with_an_unknown_column_is_not_entered_in_the_run(grouped: dict[str, Any]) -> None:
    before = RunFolder(grouped["run"]).read_run()["test_evaluations"]
    with pytest.raises(ConfigError, match="there is no column 'gendre' to group by"):
        evaluate(grouped["run"], ["groups=[gendre]"])
    assert RunFolder(grouped["run"]).read_run()["test_evaluations"] == before


def test_a_column_that_is_not_there_is_refused_before_a_run_has_a_folder(root: Path, tmp_path: Path) -> None:
    resolved = resolve("bprmf", [*SMALL, f"root={root}", "groups=[gender]"])
    for start in (lambda: prepare(resolved, runs=tmp_path / "runs"), lambda: estimate(resolved)):
        with pytest.raises(ConfigError, match=r"File has no table of users, name one with user_file=PATH"):
            start()
    assert not (tmp_path / "runs").exists()


def test_a_run_that_is_resumed_may_have_other_groups(
    root: Path, tmp_path: Path, grouped: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    coach = prepare(resolve("bprmf", [*SMALL, f"root={root}"]), runs=tmp_path / "runs")
    steps = iter(range(2))
    trained = Coach.train

    def train(self: Coach, epoch: int) -> None:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        trained(self, epoch)

    monkeypatch.setattr(Coach, "train", train)
    with pytest.raises(KeyboardInterrupt):
        coach.fit()
    monkeypatch.undo()
    run = coach.run
    result = prepare(resolve_run(run, GROUPED), run=run).fit()
    assert {key: result[key] for key in ("valid", "test", "groups")} == {
        key: grouped[key] for key in ("valid", "test", "groups")
    }


def test_a_finished_run_says_how_to_have_more_groups(grouped: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    run = RunFolder(grouped["run"])
    coach = prepare(resolve_run(run, ["groups=[activity:2,gender]", "verbose=1"]), run=run)
    assert coach.fit()["groups"] == grouped["groups"]
    assert f"to break them down: recrun eval --checkpoint {run.path} 'groups=[activity:2]'" in caplog.text


def test_an_evaluate_of_ones_own_breaks_nothing_down(root: Path, tmp_path: Path) -> None:
    class Own(Coach):
        def evaluate(self, prefix: str = "valid") -> None:
            super().evaluate(prefix)

    coach = prepare(resolve("bprmf", [*SMALL, f"root={root}"]), runs=tmp_path / "runs")
    own = Own(model=coach.model, dataset=coach.dataset, criterion=coach.criterion, optimizer=coach.optimizer)
    with pytest.raises(ConfigError, match=r"an evaluate\(\) of your own does not break metrics down; remove them"):
        own.check({**coach.cfg, "groups": ["activity:2"]}, coach.cfg["monitors"])


def test_without_the_metrics_of_each_user_there_are_groups_all_the_same(
    train: Callable[..., dict[str, Any]], grouped: dict[str, Any]
) -> None:
    result = train(*GROUPED, "per_user=false")
    assert result["groups"] == grouped["groups"]
    assert read_per_user(result["run"], "test") is None


def test_values_are_added_under_a_lock_so_that_no_other_evaluation_loses_them(
    train: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(train(*GROUPED, "per_user=false")["run"])
    held = []

    def add(*arguments: Any) -> bool:
        held.append(is_held(run.path / ".record-lock"))
        return add_per_user(*arguments)

    monkeypatch.setattr("recrun.workflows.evaluate.add_per_user", add)
    assert evaluate(run.path, ["per_user=true"])["per_user"] is not None
    assert held == [True]
    assert not is_held(run.path / ".record-lock")
