"""Define the answer to a request that is not fulfilled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recrun.files import to_json


class Refusal(Exception):
    """A request that is not fulfilled, and why.

    Args:
        status: the status of HTTP.
        code: the reason, one word for programs.
        message: the reason, a sentence for people. It names no file and no place in the code.
        headers: further headers of the answer.
        more: further entries of the answer's `error`.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers, self.more = dict(headers or {}), more

    def body(self) -> bytes:
        """Return the answer's body: `{"error": {"code": ..., "message": ..., ...}}`."""
        return to_json({"error": {"code": self.code, "message": self.message, **self.more}}).encode()


def invalid(message: str) -> Refusal:
    """Return the refusal of a request whose content is not as expected."""
    return Refusal(422, "invalid", message)
