"""What waits together is ranked together, not too much waits, and whoever gives up is not waited for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from recrun.data.datasets.synthetic import Synthetic
from recrun.data.interactions import CSR
from recrun.serving.limits import Limits

from .conftest import Asked, Products, serve_model


class Waiting(Products):
    """A model that embeds histories only once it may, and keeps how many it was given at a time."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.may, self.sizes = threading.Event(), []  # type: ignore[var-annotated]

    def embed_histories(self, histories: CSR) -> torch.Tensor:
        self.may.wait(20)
        self.sizes.append(histories.n_rows)
        return super().embed_histories(histories)


async def ask_while_busy(ask: Asked, model: Waiting, items: list[Any]) -> list[Any]:
    """Ask for one history, for all others while the model is busy with it, and let the model go on then."""
    first = asyncio.create_task(ask.many([("POST", "/recommend", {"history": items[:1]})]))
    await asyncio.sleep(0.1)
    others = asyncio.create_task(ask.many([("POST", "/recommend", {"history": [item]}) for item in items[1:]]))
    await asyncio.sleep(0.2)
    model.may.set()
    return await first + await others


def test_requests_that_wait_are_ranked_together(make_app: Callable[..., Asked], base: Synthetic) -> None:
    model = Waiting(base.n_users, base.n_items)
    ask = make_app(serve_model(model, base), n_threads=1)
    answers = asyncio.run(ask_while_busy(ask, model, base.item_ids[:78].tolist()))
    assert [status for status, _, _ in answers] == [200] * 78
    assert model.sizes == [1, 64, 13]


def test_more_than_may_wait_are_refused(make_app: Callable[..., Asked], base: Synthetic) -> None:
    model = Waiting(base.n_users, base.n_items)
    ask = make_app(serve_model(model, base), n_threads=1, limits=Limits(waiting=5))
    answers = asyncio.run(ask_while_busy(ask, model, base.item_ids[:40].tolist()))
    refused = [answer for answer in answers if answer[0] == 503]
    assert len(refused) == 34
    assert all(found["error"]["code"] == "busy" and headers["retry-after"] == "1" for _, found, headers in refused)
    assert model.sizes == [1, 5]


def test_an_answer_that_takes_too_long_is_given_up(make_app: Callable[..., Asked], base: Synthetic) -> None:
    model = Waiting(base.n_users, base.n_items)
    ask = make_app(serve_model(model, base), n_threads=1, limits=Limits(seconds=0.15))
    answers = asyncio.run(ask_while_busy(ask, model, base.item_ids[:6].tolist()))
    assert [(status, headers["retry-after"]) for status, _, headers in answers] == [(504, "1")] * 6
    assert ask("POST", "/recommend", {"history": base.item_ids[:1].tolist()})[0] == 200
    assert model.sizes == [1, 1]  # who had given up before their turn was not ranked


@pytest.mark.parametrize("n_users", [1, 63, 64, 65, 100])
def test_one_request_may_have_more_lists_than_a_batch(
    make_app: Callable[..., Asked], base: Synthetic, n_users: int
) -> None:
    ask = make_app(serve_model(Products(base.n_users, base.n_items), base), limits=Limits(waiting=10))
    users = base.user_ids[:n_users].tolist()
    found = ask("POST", "/recommend", {"users": users, "k": 2})[1]["recommendations"]
    assert [entry["user"] for entry in found] == users
