"""Answer requests: the application that a server of ASGI runs."""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import datetime, timezone
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import parse_qsl

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from recrun.files import to_json
from recrun.serving.deadline import Deadline
from recrun.serving.http_protocol import long_head
from recrun.serving.jobs import Job, job_of
from recrun.serving.limits import Limits
from recrun.serving.models import Models
from recrun.serving.monitoring import Monitoring
from recrun.serving.refusal import Refusal, invalid
from recrun.serving.requests import read_recommend, read_similar
from recrun.serving.scorer import Scorer
from recrun.serving.strict_json import parse

PATHS: Final = ("/recommend", "/similar", "/health", "/metrics")

_LISTS: Final = "recrun.lists"
"""The entry of a request's scope that says how many lists it wants."""
_GONE: Final = 499
"""The status that is counted for a client that closed its connection before it was answered."""


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Args:
        token: what requests must carry; None if anyone may ask. `/health` is open to everyone.
        open_metrics: whether `/metrics` is as well.
    """

    token: bytes | None = None
    open_metrics: bool = False

    def refuse(self, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Refuse a request without the token.

        Raises:
            Refusal: it does not carry the token.
        """
        if self.token is None or path == "/health" or (path == "/metrics" and self.open_metrics):
            return
        given = [value for name, value in headers if name == b"authorization"]
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        if scheme.lower() != b"bearer" or not compare_digest(token.strip(), self.token):
            headers_of_answer = {"WWW-Authenticate": "Bearer", "Connection": "close"}
            raise Refusal(401, "unauthorized", "expected the header Authorization: Bearer TOKEN", headers_of_answer)


class App:
    """The application.

    Args:
        models: holds the model.
        scorer: ranks.
        limits: what requests may ask for.
        access: who may ask.
        monitoring: counts requests.
        log: is given a line for each request; None for no log.
        report: is told of errors that are no fault of a request.

    Attributes:
        is_stopping: whether the server is about to stop, so that connections are closed after their next answer.
    """

    def __init__(
        self,
        models: Models,
        scorer: Scorer,
        limits: Limits,
        access: Access,
        monitoring: Monitoring,
        *,
        log: Callable[[str], None] | None,
        report: Callable[[BaseException], None],
    ) -> None:
        self._models, self._scorer, self._limits, self._access = models, scorer, limits, access
        self._monitoring, self._log, self._report = monitoring, log, report
        self.is_stopping = False
        monitoring.watch_waiting(lambda: scorer.n_waiting)
        routes = [
            Route("/recommend", self._recommend, methods=["POST"]),
            Route("/similar", self._similar, methods=["GET"]),
            Route("/health", self._health, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
        ]
        self._router = Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens, then count and log it."""
        if scope["type"] != "http":
            return
        start = time.perf_counter()
        answer = _Answer(send, self)
        scope["app"] = self  # so that the router raises its refusals
        try:
            self._check_head(scope)
            await self._router(scope, receive, answer.send)
        except ClientDisconnect:
            answer.status = answer.status or _GONE
        except Exception as error:
            if answer.status:
                self._report(error)  # the client is left with half an answer, and its connection is closed
                raise
            refusal = self._refusal(error)
            await Response(refusal.body(), refusal.status, refusal.headers, "application/json")(
                scope, receive, answer.send
            )
        finally:
            self._count(scope, answer, time.perf_counter() - start)

    def _check_head(self, scope: Scope) -> None:
        n_bytes = len(scope["path"]) + len(scope["query_string"])
        if n_bytes + sum(len(name) + len(value) for name, value in scope["headers"]) > self._limits.head:
            raise long_head(self._limits)
        self._access.refuse(scope["path"], scope["headers"])

    def _refusal(self, error: Exception) -> Refusal:
        if isinstance(error, Refusal):
            return error
        if isinstance(error, HTTPException) and error.status_code == 405:
            return Refusal(405, "method_not_allowed", "this path takes another method", error.headers)
        if isinstance(error, HTTPException):
            known = f"there are {', '.join(PATHS)}"
            return Refusal(404, "not_found", f"there is no such path; {known}", {"Connection": "close"})
        self._report(error)
        return Refusal(500, "failed", "the server failed; its log says why", {"Connection": "close"})

    def _count(self, scope: MutableMapping[str, Any], answer: _Answer, seconds: float) -> None:
        # Other paths may hold anything, ids of people too.
        path = scope["path"] if scope["path"] in PATHS else "other"
        status = answer.status or 500
        self._monitoring.answered(path, status, seconds)
        if self._log is not None:
            n_lists = scope.get(_LISTS, 0)
            method = scope["method"] if scope["method"].isalpha() and len(scope["method"]) < 10 else "other"
            self._log(f"{method} {path} {status} {1000 * seconds:.1f} ms {answer.n_bytes} B lists={n_lists}")

    async def _recommend(self, request: Request) -> Response:
        if request.scope["query_string"]:
            raise invalid("expected no query after /recommend: all keys belong into the body")
        job = job_of(read_recommend(parse(await self._body(request)), self._limits), self._models.current)
        return await self._ranked(request, job)

    async def _similar(self, request: Request) -> Response:
        query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        job = job_of(read_similar(query, self._limits), self._models.current)
        return await self._ranked(request, job)

    async def _ranked(self, request: Request, job: Job) -> Response:
        request.scope[_LISTS] = job.n_lists
        try:
            async with Deadline(self._limits.seconds):
                return Response(await self._scorer.rank(job), media_type="application/json")
        except TimeoutError:
            raise Refusal(504, "too_late", "it took too long; try again", {"Retry-After": "1"}) from None

    async def _health(self, request: Request) -> Response:
        about, reload = self._models.current.about, self._models.last_reload
        document = {
            "status": "stopping" if self.is_stopping else "ok",
            "run": about.run,
            "model": about.model,
            "as_of": about.as_of,
            "users": about.n_users,
            "items": about.n_items,
            "since": _moment(about.since),
            "reload": None
            if reload is None
            else {"at": _moment(reload.at), "status": "done" if reload.ok else "failed"},
        }
        return Response(to_json(document), 503 if self.is_stopping else 200, media_type="application/json")

    async def _metrics(self, request: Request) -> Response:
        return Response(self._monitoring.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _body(self, request: Request) -> bytes:
        """Return the body of a request, of which no more than is allowed is read.

        Raises:
            Refusal: it is too large, or said to be something else than JSON.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        close = {"Connection": "close"}  # what is left of the body is not waited for
        if kind != "application/json":
            raise Refusal(415, "unsupported_media_type", "expected Content-Type: application/json", close)
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(415, "unsupported_media_type", "expected a body that is not compressed", close)
        too_large = Refusal(413, "too_large", f"expected a body of at most {self._limits.body} bytes", close)
        length = request.headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()) or len(length) > 18 or int(length) > self._limits.body:
            raise too_large
        body = bytearray()
        try:
            async with Deadline(self._limits.seconds):
                async for piece in request.stream():
                    body += piece
                    if len(body) > self._limits.body:
                        raise too_large
        except TimeoutError:
            raise Refusal(408, "slow_body", f"expected the body within {self._limits.seconds:g} s", close) from None
        return bytes(body)


class _Answer:
    """Watches what is sent.

    Attributes:
        status: the status; 0 before the answer has begun.
        n_bytes: the length of the body so far.
    """

    def __init__(self, send: Send, app: App) -> None:
        self._send, self._app = send, app
        self.status = self.n_bytes = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *_HEADERS]
            if self._app.is_stopping:
                others = [header for header in message["headers"] if header[0] != b"connection"]
                message["headers"] = [*others, (b"connection", b"close")]
        else:
            self.n_bytes += len(message.get("body", b""))
        await self._send(message)


_HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
