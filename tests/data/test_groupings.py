"""Groups of users and items: by what they are divided, and what cannot divide them."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.groupings import make_groupings
from recrun.data.interactions import CSR
from recrun.errors import ConfigError
from recrun.metrics.groups import Grouping


def data_set(train: list[list[int]], n_items: int, user_ids: list[Any] | None = None) -> Any:
    users = np.repeat(np.arange(len(train)), [len(row) for row in train])
    rows = CSR.from_pairs(users, np.array([item for row in train for item in row], dtype=np.int64), len(train))
    return SimpleNamespace(
        name="Mine",
        n_users=len(train),
        n_items=n_items,
        user_ids=np.array(user_ids or range(len(train))),
        item_ids=np.arange(n_items),
        entity_files={},
        files={},
        csr=lambda split: {"train": rows}[split],
        given=lambda: None,
    )


def groups(grouping: Grouping) -> dict[str, list[int]]:
    return {label: members.tolist() for label, members in zip(grouping.labels, grouping.members, strict=True)}


def of_table(folder: Path, content: str, name: str, **more: Any) -> dict[str, list[int]]:
    (folder / "users.csv").write_text(content, encoding="utf-8")
    data = data_set([[0], [0], [0], [0]], 2, more.get("user_ids"))
    (grouping,) = make_groupings([name], data, {"user_file": "users.csv", "root": str(folder)})
    assert grouping.of == "user"
    return groups(grouping)


def test_activity_divides_users_into_equally_many_by_their_train_items() -> None:
    data = data_set([[0, 1, 2], [0], [], [0, 1], [0, 1, 2, 3], [1]], 5)
    found = make_groupings(["activity:3"], data, {})
    assert [grouping.of for grouping in found] == ["user"]
    # Counts 3 1 0 2 4 1; sorted: 0 | 1 1 2 | 3 4, since the middle of both 1s is a third of all.
    assert groups(found[0]) == {"0": [2], "1-2": [1, 3, 5], "3-4": [0, 4]}


def test_popularity_divides_items_so_that_groups_hold_as_many_interactions() -> None:
    # Items have 4, 2, 1, 1 and 0 of 8 interactions.
    data = data_set([[0, 1, 2], [0, 1], [0, 3], [0]], 5)
    found = make_groupings(["popularity:2"], data, {})
    assert [grouping.of for grouping in found] == ["item"]
    assert groups(found[0]) == {"0-2": [1, 2, 3, 4], "4": [0]}


def test_fewer_groups_than_asked_for_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        (found,) = make_groupings(["activity:3"], data_set([[0], [0], [0], [0, 1]], 2), {})
    assert groups(found) == {"1": [0, 1, 2], "2": [3]}
    assert "activity:3 has 2 groups, not 3, since equal values stay together" in caplog.text


def test_equal_values_alone_divide_nothing() -> None:
    with pytest.raises(ConfigError, match="groups: activity:2 divides nothing"):
        make_groupings(["activity:2"], data_set([[0], [1]], 2), {})


@given(counts=st.lists(st.integers(0, 9), min_size=2, max_size=40), n=st.integers(2, 6))
def test_quantiles_hold_everyone_once_and_equal_values_together(counts: list[int], n: int) -> None:
    data = data_set([list(range(count)) for count in counts], 10)
    try:
        (found,) = make_groupings([f"activity:{n}"], data, {})
    except ConfigError:
        return
    assert sorted(np.concatenate(found.members).tolist()) == list(range(len(counts)))
    values = [{counts[user] for user in members} for members in found.members]
    assert all(max(low) < min(high) for low, high in itertools.pairwise(values))
    assert 2 <= len(found.labels) <= n


def test_a_column_has_a_group_for_each_value_and_one_of_missing_ones(tmp_path: Path) -> None:
    content = "user,tags\n0,b\n1,a|b\n2,\n9,c\n"  # user 3 is not in the table, and 9 is not in the data
    assert of_table(tmp_path, content, "tags") == {"a": [1], "b": [0, 1], "(missing)": [2, 3]}


def test_ids_of_text_are_found_and_numbers_are_in_their_order(tmp_path: Path) -> None:
    content = "user,age\nx,10\ny,9\nz,9\n"
    assert of_table(tmp_path, content, "age", user_ids=["z", "x", "y", "w"]) == {
        "9": [0, 2],
        "10": [1],
        "(missing)": [3],
    }


def test_numbers_of_a_column_can_be_divided_into_quantiles(tmp_path: Path) -> None:
    content = "user,age\n0,20\n1,30.5\n2,40\n"
    assert of_table(tmp_path, content, "age:2") == {"20": [0], "30.5-40": [1, 2], "(missing)": [3]}


def test_labels_of_numbers_that_differ_late_are_distinct(tmp_path: Path) -> None:
    content = "user,born\n0,978300000.25\n1,978300000.5\n2,978300000.75\n"
    found = of_table(tmp_path, content, "born:3")
    assert found == {"978300000.25": [0], "978300000.5": [1], "978300000.75": [2], "(missing)": [3]}


def test_a_value_that_is_called_as_the_missing_ones_is_missing(tmp_path: Path) -> None:
    assert of_table(tmp_path, "user,c\n0,(missing)\n1,\n2,DE\n", "c") == {"DE": [2], "(missing)": [0, 1, 3]}


def test_a_name_that_is_repeated_is_one_grouping() -> None:
    assert len(make_groupings(["activity:2", " activity:2 "], data_set([[0], [0, 1]], 2), {})) == 1


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (
            "user,gender\n0,F\n",
            "gendr",
            "there is no column 'gendr' to group by (columns of users: gender; Mine has no ",
        ),
        ("user,gender\n0,F\n", "gendr", "did you mean 'gender'?"),
        ("user,gender\n0,F\n", "activty:2", "did you mean 'activity'?"),
        ("user,gender\n0,F\n", "item.gender", "Mine has no table of items, name one with item_file=PATH"),
        ("user,gender\n0,F\n1,M\n", "gender:2", "gender:2 divides numbers, but gender has 'F'; write gender"),
        ("user,gender\n0,\n", "gender", "gender is missing for all"),
        ("user,age\n0,\n", "age:2", "age is missing for all"),
        ("user,gender\nx,F\n", "gender", "none of the users of Mine: its ids are 'x', not '0', '1', '2'"),
        (
            "user,n\n0," + "|".join(map(str, range(251))) + "\n",
            "n",
            "n has 251 different values, more than 250 groups; divide its numbers, with n:4",
        ),
        (
            "user,n\n0," + "|".join(f"a{i}" for i in range(251)) + "\n",
            "n",
            "n has 251 different values, more than 250 groups; choose a column with fewer",
        ),
    ],
)
def test_a_column_that_cannot_be_grouped_by_is_refused_with_a_remedy(
    tmp_path: Path, content: str, name: str, message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        of_table(tmp_path, content, name)
    assert str(raised.value).startswith("groups: ")
    assert message in str(raised.value)


def test_a_column_of_both_users_and_items_must_say_whose(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user,country\n0,A\n1,B\n", encoding="utf-8")
    (tmp_path / "items.csv").write_text("item,country\n0,C\n", encoding="utf-8")
    settings = {"user_file": "users.csv", "item_file": "items.csv", "root": str(tmp_path)}
    data = data_set([[0], [1]], 2)
    with pytest.raises(ConfigError, match=r"both users and items have a column 'country'; write user\.country or item"):
        make_groupings(["country"], data, settings)
    found = make_groupings(["user.country", "item.country"], data, settings)
    assert [groups(each) for each in found] == [{"A": [0], "B": [1]}, {"C": [0], "(missing)": [1]}]
    assert [each.name for each in found] == ["user.country", "item.country"]
