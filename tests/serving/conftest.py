"""A small run, and an application that is asked without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recrun.architectures import RecSysArch
from recrun.cli.main import main
from recrun.data.datasets.synthetic import Synthetic
from recrun.data.interactions import CSR
from recrun.recommendation.recommender import Recommender
from recrun.serving.app import Access, App
from recrun.serving.limits import Limits
from recrun.serving.models import Models
from recrun.serving.monitoring import Monitoring
from recrun.serving.scorer import Scorer
from recrun.serving.served import About, Served

TINY = ["n_users=60", "n_items=40", "n_interactions=900", "embedding_dim=8", "epochs=1", "device=cpu", "threads=1"]


def train(runs: Path, *settings: str, config: str = "bprmf") -> Path:
    """Train a run in less than a second, and return its folder."""
    with pytest.raises(SystemExit) as exit:
        main(["train", config, *TINY, "plots=false", "verbose=0", *settings, "--runs", str(runs)])
    assert exit.value.code in (0, None)
    return (runs / "latest").resolve()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; not to be changed."""
    return train(tmp_path_factory.mktemp("runs"))


class Products(RecSysArch):
    """Scores that are products of vectors; the vector of a new user is the sum of those of their items."""

    def __init__(self, n_users: int, n_items: int, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        # With two decimals, products have ties.
        self.users, self.items = (torch.randn(n, 4, generator=generator).mul(2).round() / 2 for n in (n_users, n_items))

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.users, self.items

    def embed_histories(self, histories: CSR) -> torch.Tensor:
        rows = [self.items[torch.from_numpy(histories.row(u)).long()].sum(0) for u in range(histories.n_rows)]
        return torch.stack(rows)


def serve_model(model: Any, base: Any, name: str = "one") -> Served:
    """Return a model as it is served, without a run."""
    recommender = Recommender(model, base, as_of="end")
    return Served(recommender, About(name, type(model).__name__, "end", base.n_users, base.n_items, 0.0))


@pytest.fixture(scope="session")
def base() -> Synthetic:
    """Data of more users than a block has."""
    return Synthetic("data", n_users=150, n_items=80, n_interactions=2500)


@pytest.fixture(scope="session")
def served(base: Synthetic) -> Served:
    """A model of products."""
    return serve_model(Products(base.n_users, base.n_items), base)


@dataclass
class Asked:
    """An application, and what it logged and reported."""

    app: App
    log: list[str] = field(default_factory=list)
    reported: list[BaseException] = field(default_factory=list)

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        query: bytes = b"",
    ) -> tuple[int, Any, dict[str, str]]:
        """Return the status, the document and the headers of an answer."""
        [answer] = asyncio.run(self.many([(method, path, body, headers, query)]))
        return answer

    async def many(self, requests: list[tuple[Any, ...]]) -> list[tuple[int, Any, dict[str, str]]]:
        """Ask at the same time."""
        return await asyncio.gather(*(self._ask(*request) for request in requests))

    async def _ask(
        self, method: str, path: str, body: Any = None, headers: Any = None, query: bytes = b""
    ) -> tuple[int, Any, dict[str, str]]:
        content = json.dumps(body).encode() if isinstance(body, dict) else body or b""
        given = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "root_path": "",
            "query_string": query,
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, _receive_in_pieces(content), send)
        received = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        text = b"".join(message.get("body", b"") for message in sent[1:])
        document = json.loads(text) if received["content-type"] == "application/json" else text.decode()
        return sent[0]["status"], document, received


def _receive_in_pieces(content: bytes) -> Callable[[], Any]:
    pieces = [content[:7], content[7:]]

    async def receive() -> dict[str, Any]:
        if not pieces:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    return receive


@pytest.fixture
def make_app(tmp_path: Path, run: Path) -> Iterator[Callable[..., Asked]]:
    """Return a function that makes an application of a served model."""
    scorers = []

    def make(
        served: Served, *, n_threads: int = 2, limits: Limits | None = None, access: Access | None = None
    ) -> Asked:
        limits = limits or Limits()
        monitoring = Monitoring()
        asked = Asked(None)  # type: ignore[arg-type]
        models = Models(
            run,  # its path is looked at only
            lambda: served,
            every=None,
            monitoring=monitoring,
            say=asked.log.append,
            report=asked.reported.append,
        )
        scorer = Scorer(n_threads, limits.waiting, monitoring, asked.reported.append)
        scorers.append(scorer)
        asked.app = App(
            models,
            scorer,
            limits,
            access or Access(),
            monitoring,
            log=asked.log.append,
            report=asked.reported.append,
        )
        return asked

    yield make
    for scorer in scorers:
        scorer.close()


@pytest.fixture
def ask(make_app: Callable[..., Asked], served: Served) -> Asked:
    """An application that serves the model of products."""
    return make_app(served)


def best(served: Served, users: list[int], k: int) -> list[tuple[list[Any], list[float]]]:
    """Return what a `Recommender` says: original ids and scores for internal users."""
    recommender = served.recommender
    found = []
    for block in recommender.recommend(np.array(users), k, excluded=recommender.seen):
        for items, scores in zip(block.items_BK, block.scores_BK, strict=True):
            filled = items >= 0
            found.append((recommender.items.originals(items[filled]).tolist(), scores[filled].tolist()))
    return found
