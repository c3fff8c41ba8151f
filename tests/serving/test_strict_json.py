"""JSON from strangers is read if it is whole and plain, and refused otherwise."""

from __future__ import annotations

import pytest

from recrun.serving.refusal import Refusal
from recrun.serving.strict_json import parse


def test_json_is_read() -> None:
    assert parse(b' {"a": [1, 2.5, "\xc3\xa9", null, true]} ') == {"a": [1, 2.5, "é", None, True]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON: Expecting value at line 1, column 1"),
        (b'{"a": 1,}', "not JSON"),
        (b"{} {}", "not JSON: Extra data"),
        (b"\xff", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": 1, "a": 1}', "a key twice"),
        (b'{"a": {"b": 1, "b": 2}}', "a key twice"),
        (b"NaN", "NaN or infinite"),
        (b"-Infinity", "NaN or infinite"),
        (b"1e999", "NaN or infinite"),
        (b"1" * 5000, "thousands of digits"),
        (b"[" * 100_000, "nests too deeply"),
        (b'{"a":' * 100_000, "nests too deeply"),
    ],
)
def test_what_is_not_plain_json_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        parse(body)
    assert (refused.value.status, refused.value.code) == (400, "bad_json")
