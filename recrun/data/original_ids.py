"""Find users and items by their original ids, and lay these out as arrays.

Shapes: N ids that are looked up, U ids that are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recrun.errors import nearest

Ints = NDArray[np.int64]

_COMPARED: Final = 20_000
"""The most known ids that an unknown one is compared with, letter by letter."""
_LARGEST: Final = 2**63


class OriginalIds:
    """The original ids of all users, or of all items, of a data set.

    Args:
        ids: the id of each, (U,), integers or text.
        kind: what they are the ids of: "user" or "item".
    """

    def __init__(self, ids: NDArray[Any], kind: str) -> None:
        self.ids, self.kind = ids, kind
        self.are_numbers = ids.dtype.kind in "iu"
        self._order = np.argsort(ids, kind="stable")
        self._sorted = ids[self._order]

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, wanted: NDArray[Any] | Sequence[Any]) -> Ints:
        """Return the internal id of each, (N,); -1 for one that is not known.

        Args:
            wanted: original ids (N,); the text of a number also names the id that is that number.
        """
        values = np.asarray(wanted)
        if not len(values) or not len(self.ids):
            return np.full(len(values), -1, dtype=np.int64)
        if self.are_numbers:
            values = _signed(values) if values.dtype.kind in "iu" else _numbers(values)
        else:
            values = values.astype(np.str_)
        places = np.minimum(np.searchsorted(self._sorted, values), len(self.ids) - 1)
        return np.where(self._sorted[places] == values, self._order[places], -1).astype(np.int64)

    def originals(self, places: Ints) -> NDArray[Any]:
        """Return the original ids of internal ones."""
        return self.ids[places]

    def like(self, wanted: Any) -> str | None:
        """Return the known id that is nearest to an unknown one in its letters, if one is near."""
        text = str(wanted)
        known: NDArray[Any] = self._sorted
        if len(known) > _COMPARED:  # those around its place share its first letters, or digits
            value = _numbers(np.array([text]))[0] if self.are_numbers else text
            middle = int(np.searchsorted(known, value))
            known = known[max(0, middle - _COMPARED // 2) : middle + _COMPARED // 2]
        return nearest(text, [str(each) for each in known])

    def explain(self, unknown: Sequence[Any]) -> str:
        """Return a message that names unknown ids, the nearest known ones, and how many there are."""
        named = []
        for each in unknown[:3]:
            like = self.like(each)
            named.append(f"{each!s}" + (f" (nearest: {like})" if like is not None else ""))
        more = f" and {len(unknown) - 3:,} more" if len(unknown) > 3 else ""
        return f"the data has no {self.kind} {', '.join(named)}{more}"


def as_utf8(texts: NDArray[Any]) -> tuple[NDArray[np.uint8], Ints]:
    """Return texts (N,) as their UTF-8 bytes one after the other, and where each begins and the last ends (N + 1,)."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts.tolist()]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(each) for each in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets


def _signed(numbers: NDArray[Any]) -> NDArray[np.int64]:
    """Return integers of any kind as those that ids are compared as; the smallest for one that is too large."""
    too_large = numbers > np.iinfo(np.int64).max if numbers.dtype == np.uint64 else False
    found: NDArray[np.int64] = np.where(too_large, np.iinfo(np.int64).min, numbers.astype(np.int64))
    return found


def _numbers(texts: NDArray[Any]) -> NDArray[np.int64]:
    """Return the integers that texts write plainly, such as "17"; -1 below the smallest integer for any other."""
    found = np.full(len(texts), np.iinfo(np.int64).min, dtype=np.int64)
    for position, text in enumerate(texts.tolist()):
        if isinstance(text, int) and not isinstance(text, bool):
            number = text
        elif isinstance(text, str) and len(text) < 20 and text.removeprefix("-").isdecimal() and text.isascii():
            number = int(text)
            if str(number) != text:
                continue
        else:
            continue
        if -_LARGEST < number < _LARGEST:
            found[position] = number
    return found
