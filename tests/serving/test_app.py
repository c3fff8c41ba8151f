"""The application answers as the `Recommender` ranks, and refuses what it should, whatever it is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recrun.architectures import RecSysArch
from recrun.data.datasets.synthetic import Synthetic
from recrun.data.interactions import CSR
from recrun.serving.app import Access
from recrun.serving.limits import Limits
from recrun.serving.served import Served

from .conftest import Asked, Products, best, serve_model


def test_the_lists_of_all_users_are_those_of_the_recommender(ask: Asked, served: Served) -> None:
    users = served.recommender.users.ids.tolist()
    expected = best(served, list(range(len(users))), 12)
    alone = [ask("POST", "/recommend", {"users": [user], "k": 12})[1]["recommendations"][0] for user in users]
    together = ask("POST", "/recommend", {"users": users[:100], "k": 12})[1]["recommendations"]
    for user, (items, scores), entry in zip(users, expected, alone, strict=True):
        assert entry == {"user": user, "items": items, "scores": scores}
    assert together == alone[:100]


def test_requests_at_the_same_time_get_the_lists_that_they_get_alone(ask: Asked, served: Served) -> None:
    users = served.recommender.users.ids.tolist()
    generator = np.random.default_rng(0)
    requests: list[tuple[Any, ...]] = []
    for place in range(300):
        some = [users[each] for each in generator.integers(0, len(users), 1 + place % 3)]
        requests.append(("POST", "/recommend", {"users": some, "k": 1 + place % 7}))
        requests.append(("POST", "/recommend", {"history": [1 + place % 5], "k": 3, "skip_unknown": True}))
        requests.append(("GET", "/similar", None, None, f"user={some[0]}&k=4".encode()))
    alone = [ask(*request) for request in requests]
    ask.log.clear()
    together = asyncio.run(ask.many(requests))
    assert together == alone
    metrics = ask("GET", "/metrics")[1]
    n_batches = sum(
        float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("recrun_batch_lists_count")
    )
    assert n_batches < 1.5 * len(requests)  # those of the second half were ranked together


def test_seen_and_excluded_items_are_left_out_unless_asked_for(ask: Asked, served: Served) -> None:
    recommender = served.recommender
    user = int(np.argmax(recommender.seen.lengths))
    id, seen = recommender.users.ids[user].item(), set(recommender.items.originals(recommender.seen.row(user)).tolist())
    n_items = len(recommender.items)

    def items(**more: Any) -> list[Any]:
        [entry] = ask("POST", "/recommend", {"users": [id], "k": n_items, **more})[1]["recommendations"]
        found: list[Any] = entry["items"]
        return found

    assert set(items()) == set(recommender.items.ids.tolist()) - seen
    every = items(exclude_seen=False)
    assert len(every) == n_items
    assert items(exclude_seen=False, exclude=every[:3]) == every[3:]
    assert items(exclude=every[:3]) == [item for item in every[3:] if item not in seen]


def test_a_new_user_is_ranked_by_a_history(ask: Asked, served: Served) -> None:
    recommender = served.recommender
    history = recommender.items.ids[[3, 9, 3]].tolist()
    status, found, _ = ask("POST", "/recommend", {"history": history, "k": 5})
    rows = CSR(np.array([0, 3]), np.array([3, 9, 3], dtype=np.int32))
    (block,) = recommender.recommend_to_new(rows, 5, excluded=rows)
    assert status == 200
    [entry] = found["recommendations"]
    assert entry["user"] is None
    assert entry["items"] == recommender.items.originals(block.items_BK[0]).tolist()
    assert entry["scores"] == block.scores_BK[0].tolist()


@pytest.mark.parametrize("kind", ["item", "user"])
def test_similar_ones_are_those_of_the_recommender(ask: Asked, served: Served, kind: str) -> None:
    known = served.recommender.items if kind == "item" else served.recommender.users
    find = served.recommender.similar_items if kind == "item" else served.recommender.similar_users
    (block,) = find(np.array([7]), 6)
    status, found, _ = ask("GET", "/similar", query=f"{kind}={known.ids[7]}&k=6".encode())
    assert status == 200
    assert found == {
        kind: known.ids[7].item(),
        "similar": known.originals(block.items_BK[0]).tolist(),
        "scores": block.scores_BK[0].tolist(),
        "by": "cosine",
        "run": "one",
    }


def test_ids_of_numbers_may_be_given_as_text(ask: Asked, served: Served) -> None:
    id = served.recommender.users.ids[5].item()
    assert ask("POST", "/recommend", {"users": [str(id)]}) == ask("POST", "/recommend", {"users": [id]})


def test_unknown_ids_are_refused_or_left_out_and_named(ask: Asked, served: Served) -> None:
    id, item = served.recommender.users.ids[5].item(), served.recommender.items.ids[5].item()
    status, found, _ = ask("POST", "/recommend", {"users": [id, 10**9, "x", 10**9]})
    assert status == 404
    assert found["error"]["code"] == "unknown_id"
    assert found["error"]["unknown"] == [10**9, "x"]
    status, found, _ = ask("POST", "/recommend", {"users": [id, 10**9], "exclude": ["y"], "skip_unknown": True})
    assert status == 200
    assert found["skipped"] == {"users": [10**9], "exclude": ["y"]}
    assert [entry["user"] for entry in found["recommendations"]] == [id]
    status, found, _ = ask("POST", "/recommend", {"history": [item, "y"], "skip_unknown": True})
    assert found["skipped"] == {"history": ["y"]}
    assert ask("POST", "/recommend", {"history": ["y"], "skip_unknown": True})[0] == 422


class Rows(RecSysArch):
    """A model that can score its users only."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.n_items = n_items

    def score(self, users: torch.Tensor) -> torch.Tensor:
        return (users[:, None] * 7 + torch.arange(self.n_items)) % 11 + 0.0


def test_what_a_model_cannot_do_is_said(make_app: Callable[..., Asked], base: Synthetic) -> None:
    ask = make_app(serve_model(Rows(base.n_items), base))
    user = base.user_ids[0].item()
    status, found, _ = ask("GET", "/similar", query=f"user={user}".encode())
    assert (status, found["error"]["code"]) == (422, "not_possible")
    assert "Rows has no vectors of users" in found["error"]["message"]
    assert ask("POST", "/recommend", {"users": [user], "k": 3})[0] == 200
    assert ask.reported == []


class Failing(Products):
    """A model that fails for histories, with a path in its error."""

    def embed_histories(self, histories: CSR) -> torch.Tensor:
        raise OSError(2, "no such file", "/secret/place")


def test_an_error_of_the_model_is_reported_and_not_answered(make_app: Callable[..., Asked], base: Synthetic) -> None:
    ask = make_app(serve_model(Failing(base.n_users, base.n_items), base))
    item, user = base.item_ids[0].item(), base.user_ids[0].item()
    status, found, _ = ask("POST", "/recommend", {"history": [item]})
    assert status == 500
    assert "secret" not in json.dumps(found)
    assert [type(error) for error in ask.reported] == [FileNotFoundError]
    assert ask("POST", "/recommend", {"users": [user]})[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/", {}, 404, "not_found"),
        ("GET", "/recommend/", {}, 404, "not_found"),
        ("GET", "/../../etc/passwd", {}, 404, "not_found"),
        ("GET", "/recommend", {}, 405, "method_not_allowed"),
        ("POST", "/health", {}, 405, "method_not_allowed"),
        ("POST", "/recommend", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ("POST", "/recommend", {"content-encoding": "gzip"}, 415, "unsupported_media_type"),
        ("POST", "/recommend", {"content-length": "99999999"}, 413, "too_large"),
        ("POST", "/recommend", {"content-length": "9" * 5000}, 413, "too_large"),
        ("POST", "/recommend", {"x": "y" * 40_000}, 431, "head_too_large"),
        ("POST", "/recommend", {}, 400, "bad_json"),
    ],
)
def test_a_wrong_request_is_refused_in_json(
    ask: Asked, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    found = ask(method, path, b"", headers)
    assert (found[0], found[1]["error"]["code"]) == (status, code)
    assert found[2]["content-type"] == "application/json"


def test_keys_in_the_query_of_a_request_with_a_body_are_refused(ask: Asked, served: Served) -> None:
    user = str(served.recommender.users.ids[0])
    status, found, _ = ask("POST", "/recommend", {"users": [user]}, query=b"k=3")
    assert (status, found["error"]["code"]) == (422, "invalid")
    assert "body" in found["error"]["message"]


def test_a_body_without_a_length_is_read_up_to_the_limit(ask: Asked) -> None:
    content = b" " * (Limits().body + 1)
    n_read = 0

    async def receive() -> dict[str, Any]:
        nonlocal n_read
        n_read += 1
        return {"type": "http.request", "body": content[:10_000], "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/recommend", "query_string": b"", "headers": headers}
    asyncio.run(ask.app(scope, receive, send))
    assert sent[0]["status"] == 413
    assert n_read == Limits().body // 10_000 + 1


def test_a_body_that_does_not_come_is_not_waited_for(make_app: Callable[..., Asked], served: Served) -> None:
    ask = make_app(served, limits=Limits(seconds=0.1))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/recommend", "query_string": b"", "headers": headers}
    asyncio.run(ask.app(scope, receive, send))
    assert sent[0]["status"] == 408


def test_the_token_is_asked_for(make_app: Callable[..., Asked], served: Served) -> None:
    ask = make_app(served, access=Access(b"a" * 16))
    right = {"authorization": "Bearer " + "a" * 16}
    for headers in ({}, {"authorization": "Bearer b"}, {"authorization": "Basic " + "a" * 16}):
        status, found, answered = ask("GET", "/metrics", headers=headers)
        assert (status, found["error"]["code"]) == (401, "unauthorized")
        assert answered["www-authenticate"] == "Bearer"
        assert ask("GET", "/nowhere", headers=headers)[0] == 401
    assert ask("GET", "/health")[0] == 200
    assert ask("GET", "/metrics", headers=right)[0] == 200
    assert make_app(served, access=Access(b"a" * 16, open_metrics=True))("GET", "/metrics")[0] == 200


def test_health_says_what_is_served(ask: Asked, base: Synthetic) -> None:
    assert ask("GET", "/health")[1] == {
        "status": "ok",
        "run": "one",
        "model": "Products",
        "as_of": "end",
        "users": base.n_users,
        "items": base.n_items,
        "since": "1970-01-01T00:00:00+00:00",
        "reload": None,
    }
    ask.app.is_stopping = True
    status, found, headers = ask("GET", "/health")
    assert (status, found["status"], headers["connection"]) == (503, "stopping", "close")


def test_the_log_and_the_metrics_hold_no_personal_data(ask: Asked, served: Served) -> None:
    id = served.recommender.users.ids[5].item()
    ask("POST", "/recommend", {"users": [id, id]})
    ask("GET", "/similar", query=b"user=anna")
    ask("GET", "/users/anna")
    logged = "\n".join(ask.log)
    assert "POST /recommend 200" in logged
    assert "lists=2" in logged
    assert "GET other 404" in logged
    metrics = ask("GET", "/metrics")[1]
    assert 'recrun_requests_total{path="/recommend",status="200"} 1.0' in metrics
    assert 'recrun_model{as_of="end",model="Products",run="one"} 1.0' in metrics
    assert "anna" not in logged + metrics


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["users", "history", "k", "exclude", "exclude_seen", "skip_unknown"])
BODIES = (
    st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(KEYS, JSON, max_size=6).map(lambda value: json.dumps(value).encode())
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BODIES)
def test_no_body_makes_the_server_fail(ask: Asked, body: bytes) -> None:
    assert 200 <= ask("POST", "/recommend", body)[0] < 500
    assert ask.reported == []


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | st.builds(lambda key, value: key + b"=" + value, st.sampled_from([b"item", b"user"]), st.binary()))
def test_no_query_makes_the_server_fail(ask: Asked, query: bytes) -> None:
    assert 200 <= ask("GET", "/similar", query=query)[0] < 500
    assert ask.reported == []
