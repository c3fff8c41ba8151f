"""Read JSON from strangers: nothing that is ambiguous, endless or not JSON is accepted."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from recrun.serving.refusal import Refusal


def parse(body: bytes) -> Any:
    """Return the document in a body.

    Raises:
        Refusal: it is not UTF-8 or not JSON, or it holds a key twice, a number that is NaN, infinite or of thousands of
            digits, or lists within lists within lists without end.
    """
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise _bad("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _bad(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _bad("the body nests too deeply") from None
    except ValueError as error:
        is_long = "integer string conversion" in str(error)
        raise _bad("the body holds an integer of thousands of digits" if is_long else str(error)) from None


def _bad(message: str) -> Refusal:
    return Refusal(400, "bad_json", message)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("the body holds a key twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("the body holds a number that is NaN or infinite")
    return number


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_each_key_once, parse_constant=_finite, parse_float=_finite)
