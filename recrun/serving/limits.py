"""Define how much a request may ask for, and how many may wait."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a request may ask for, and what the server holds at a time.

    Args:
        k: the most items of a list.
        users: the most users of a request.
        history: the most items of a history, and of those that are not to be recommended.
        body: the most bytes of a body.
        head: the most bytes of a request's line and headers.
        id: the most characters of an id.
        seconds: how long a request may take, from its headers to its answer.
        idle: seconds that a connection may stay open without a request, or with headers that do not end.
        waiting: the most lists that wait to be computed.
        connections: the most connections.
    """

    k: int = 1000
    users: int = 100
    history: int = 1000
    body: int = 1 << 18
    head: int = 1 << 15
    id: int = 500
    seconds: float = 10.0
    idle: float = 10.0
    waiting: int = 2000
    connections: int = 500
