"""A request is exactly what is expected, or refused with the key that is not."""

from __future__ import annotations

from typing import Any

import pytest

from recrun.serving.limits import Limits
from recrun.serving.refusal import Refusal
from recrun.serving.requests import Like, Wanted, read_recommend, read_similar

LIMITS = Limits(k=50, users=3, history=4, id=10)


def test_what_is_not_given_has_a_default() -> None:
    assert read_recommend({"users": [1, "b"]}, LIMITS) == Wanted([1, "b"], None, 10, [], True, False)
    assert read_similar([("item", "7")], LIMITS) == Like("item", "7", 10)


def test_all_keys_are_read() -> None:
    given = {"history": [1, 1], "k": 50, "exclude": ["x"], "exclude_seen": False, "skip_unknown": True}
    assert read_recommend(given, LIMITS) == Wanted(None, [1, 1], 50, ["x"], False, True)
    assert read_similar([("k", "3"), ("user", "é")], LIMITS) == Like("user", "é", 3)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "expected an object"),
        ({}, "either users .* or history"),
        ({"users": [1], "history": [1]}, "either users .* or history"),
        ({"users": [1], "K": 3}, "unknown key 'K'; did you mean k?"),
        ({"users": [1], "y" * 200: 3}, "unknown key '" + "y" * 80 + "'; expected some of users, history"),
        ({"users": 1}, "users: expected a list of 1 to 3 ids"),
        ({"users": []}, "users: expected a list of 1 to 3 ids"),
        ({"users": [1, 2, 3, 4]}, "users: expected a list of 1 to 3 ids"),
        ({"history": [1] * 5}, "history: expected a list of 1 to 4 ids"),
        ({"users": [1], "exclude": [1] * 5}, "exclude: expected a list of 0 to 4 ids"),
        ({"users": [True]}, "users: an id is a text or a whole number"),
        ({"users": [1.0]}, "users: an id is a text or a whole number"),
        ({"users": [None]}, "users: an id is a text or a whole number"),
        ({"users": [[1]]}, "users: an id is a text or a whole number"),
        ({"users": [2**63]}, "users: a whole number has at most 64 bits"),
        ({"users": ["x" * 11]}, "users: an id has at most 10 characters"),
        ({"users": ["a\0"]}, "users: an id holds a character that no text has"),
        ({"users": ["\ud800"]}, "users: an id holds a character that no text has"),
        ({"users": [1], "k": 0}, "k: expected a whole number from 1 to 50"),
        ({"users": [1], "k": 51}, "k: expected a whole number from 1 to 50"),
        ({"users": [1], "k": True}, "k: expected a whole number from 1 to 50"),
        ({"users": [1], "k": "3"}, "k: expected a whole number from 1 to 50"),
        ({"users": [1], "exclude_seen": 1}, "exclude_seen: expected true or false"),
        ({"users": [1], "skip_unknown": None}, "skip_unknown: expected true or false"),
    ],
)
def test_another_body_is_refused(document: Any, said: str) -> None:
    with pytest.raises(Refusal, match=said.replace("?", r"\?")) as refused:
        read_recommend(document, LIMITS)
    assert refused.value.status == 422


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ([], "either item=ID or user=ID"),
        ([("item", "1"), ("user", "1")], "either item=ID or user=ID"),
        ([("item", "1"), ("item", "2")], "given twice"),
        ([("item", "1"), ("n", "2")], "unknown key 'n'"),
        ([("item", "1"), ("k", "-1")], "k: expected a whole number"),
        ([("item", "1"), ("k", "²")], "k: expected a whole number"),
        ([("item", "1"), ("k", "9" * 5000)], "k: expected a whole number"),
        ([("item", "x" * 11)], "item: an id has at most 10 characters"),
    ],
)
def test_another_query_is_refused(query: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        read_similar(query, LIMITS)
    assert refused.value.status == 422
