"""Read what a request asks for, and refuse whatever is not exactly that."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from recrun.errors import nearest
from recrun.serving.limits import Limits
from recrun.serving.refusal import invalid

DEFAULT_K: Final = 10

_OF_RECOMMEND: Final = ("users", "history", "k", "exclude", "exclude_seen", "skip_unknown")
_OF_SIMILAR: Final = ("item", "user", "k")
_SHOWN: Final = 80
_LARGEST: Final = 2**63

Id = str | int


@dataclass(frozen=True)
class Wanted:
    """Recommendations that are asked for; ids are original ones.

    Args:
        users: users of the data; None for a new user.
        history: the items of a new user in the order of time; None for users of the data.
        k: the most items of a list.
        exclude: items that are not to be recommended.
        exclude_seen: whether items that a user has interacted with are not to be recommended.
        skip_unknown: whether ids that the data does not have are left out, and named in the answer, or refused.
    """

    users: list[Id] | None
    history: list[Id] | None
    k: int
    exclude: list[Id]
    exclude_seen: bool
    skip_unknown: bool


@dataclass(frozen=True)
class Like:
    """What similar ones are asked for: an item, or a user, by its original id."""

    kind: Literal["item", "user"]
    id: Id
    k: int


def read_recommend(document: Any, limits: Limits) -> Wanted:
    """Return what the body of `POST /recommend` asks for.

    Raises:
        Refusal: it is not what is expected; the message names the key.
    """
    if not isinstance(document, dict):
        raise invalid('expected an object such as {"users": [1, 2], "k": 10}')
    _refuse_unknown(document, _OF_RECOMMEND)
    if ("users" in document) == ("history" in document):
        raise invalid("expected either users (ids of the data) or history (the items of a new user)")
    return Wanted(
        users=_ids(document, "users", limits.users, limits),
        history=_ids(document, "history", limits.history, limits),
        k=_k(document.get("k", DEFAULT_K), limits),
        exclude=_ids(document, "exclude", limits.history, limits, may_be_empty=True) or [],
        exclude_seen=_flag(document, "exclude_seen", default=True),
        skip_unknown=_flag(document, "skip_unknown", default=False),
    )


def read_similar(query: Sequence[tuple[str, str]], limits: Limits) -> Like:
    """Return what the query of `GET /similar` asks for.

    Raises:
        Refusal: it is not what is expected; the message names the parameter.
    """
    given = dict(query)
    if len(given) < len(query):
        raise invalid("a parameter is given twice")
    _refuse_unknown(given, _OF_SIMILAR)
    if ("item" in given) == ("user" in given):
        raise invalid("expected either item=ID or user=ID")
    k = given.get("k", str(DEFAULT_K))
    is_number = k.isascii() and k.isdecimal() and len(k) < 10
    kind: Literal["item", "user"] = "item" if "item" in given else "user"
    return Like(kind, _id(given[kind], kind, limits), _k(int(k) if is_number else k, limits))


def _refuse_unknown(given: Mapping[str, Any], known: Collection[str]) -> None:
    strange = next((key for key in given if key not in known), None)
    if strange is not None:
        like = nearest(strange[:_SHOWN], known)
        hint = f"; did you mean {like}?" if like else f"; expected some of {', '.join(known)}"
        raise invalid(f"unknown key {strange[:_SHOWN]!r}{hint}")


def _flag(document: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = document.get(key, default)
    if not isinstance(value, bool):
        raise invalid(f"{key}: expected true or false")
    return value


def _k(value: Any, limits: Limits) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= limits.k:
        raise invalid(f"k: expected a whole number from 1 to {limits.k}")
    return value


def _ids(
    document: Mapping[str, Any], key: str, most: int, limits: Limits, *, may_be_empty: bool = False
) -> list[Id] | None:
    if key not in document:
        return None
    values = document[key]
    if not isinstance(values, list) or not (values or may_be_empty) or len(values) > most:
        raise invalid(f"{key}: expected a list of {0 if may_be_empty else 1} to {most} ids")
    return [_id(value, key, limits) for value in values]


def _id(value: Any, key: str, limits: Limits) -> Id:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise invalid(f"{key}: an id is a text or a whole number")
    if isinstance(value, int):
        if not -_LARGEST <= value < _LARGEST:
            raise invalid(f"{key}: a whole number has at most 64 bits; write a longer id as a text")
    elif len(value) > limits.id:
        raise invalid(f"{key}: an id has at most {limits.id} characters")
    elif not value.isprintable() and ("\0" in value or any("\ud800" <= each <= "\udfff" for each in value)):
        raise invalid(f"{key}: an id holds a character that no text has")
    return value
