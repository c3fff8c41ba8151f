"""Names of groups: what each says, and what is said of text that is none."""

from __future__ import annotations

import pytest

from recrun.group_name import MAX_GROUPS, GroupNameError, parse_group


@pytest.mark.parametrize(
    ("text", "by", "of", "n", "counts"),
    [
        ("activity:4", "activity", "user", 4, True),
        (" popularity:2 ", "popularity", "item", 2, True),
        (f"activity:{MAX_GROUPS}", "activity", "user", MAX_GROUPS, True),
        ("gender", "gender", None, None, False),
        ("age:5", "age", None, 5, False),
        ("user.gender", "gender", "user", None, False),
        ("item.price:3", "price", "item", 3, False),
        ("user.activity", "activity", "user", None, False),  # a column of that name
        ("movie.genre", "movie.genre", None, None, False),
        ("date of birth", "date of birth", None, None, False),
    ],
)
def test_a_name_says_what_is_grouped_and_how(text: str, by: str, of: str | None, n: int | None, counts: bool) -> None:
    found = parse_group(text)
    assert (found.by, found.of, found.n, found.counts) == (by, of, n, counts)
    assert found.text == text.strip()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("activity", "activity needs a number of groups; write for example 'activity:4'"),
        ("popularity:1", "expected the number of groups, from 2 to 250, after 'popularity:', found '1'"),
        ("popularity:-3", "found '-3'"),
        ("activity:251", "from 2 to 250"),
        ("activity:", "found ''"),
        ("age:2.5", "found '2.5'"),
        ("age:٣", "found '٣'"),
        ("age:99999999999", "found '99999999999'"),
        ("", "expected activity:N, popularity:N or a column of users or items, found ''"),
        (":4", "expected activity:N"),
        ("age :4", "expected activity:N"),
        ("a\x1b[31m", "expected activity:N"),
        ("a=b", "a group is called NAME=GROUP, so NAME cannot hold an equals sign: 'a=b'"),
    ],
)
def test_text_that_names_no_groups_is_refused_with_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(GroupNameError) as raised:
        parse_group(text)
    assert message in str(raised.value)
