"""The settings groups, user_file and item_file: every fault is found before data is touched."""

from __future__ import annotations

import pytest

from recrun.config.resolve import resolve
from recrun.errors import ConfigError


def test_groups_are_settings_of_every_run_that_ranks() -> None:
    config = resolve("bprmf", ["groups=[activity:4,gender]", "user_file=users.csv"]).config
    assert (config["groups"], config["user_file"], config["item_file"]) == (["activity:4", "gender"], "users.csv", None)
    assert resolve("bprmf").config["groups"] == []


@pytest.mark.parametrize(
    ("overrides", "messages"),
    [
        (["groups=[activity]"], ["groups: activity needs a number of groups; write for example 'activity:4'"]),
        (
            ["groups=[gender,popularity:1,activity:x]"],
            ["expected the number of groups, from 2 to 250, after 'popularity:', found '1'", "'activity:', found 'x'"],
        ),
        (["groups=gender"], ["groups: expected a list"]),
        (["user_file=users.csv"], ["user_file: is read for groups alone, which name no column of users; add one"]),
        (
            ["item_file=items.csv", "groups=[activity:2,user.gender]"],
            ["item_file: is read for groups alone, which name no column of items; add one, or remove it"],
        ),
    ],
)
def test_what_is_wrong_is_said_of_each_at_once(overrides: list[str], messages: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve("bprmf", overrides)
    for message in messages:
        assert message in str(raised.value)


def test_predicted_labels_are_not_broken_down() -> None:
    with pytest.raises(ConfigError, match=r"groups: breaks rankings down, but model fm predicts labels; remove it"):
        resolve("fm", ["groups=[activity:2]"])
