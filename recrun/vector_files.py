"""Know files of vectors of items by their names: `features/text.parquet` holds the vectors that are called "text"."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

ENDINGS: Final = (".parquet", ".pq", ".npy")
"""The extensions of files of vectors."""


def vectors_called(path: str) -> str:
    """Return the name of the vectors that a file holds: that of the file without its extension.

    >>> vectors_called("features/text.parquet")
    'text'
    """
    return PurePath(path).stem


def ids_beside(path: str) -> str | None:
    """Return the path of the file that holds the ids of the rows, a line each; None for a file that has ids itself.

    >>> ids_beside("features/image.npy"), ids_beside("features/text.parquet")
    ('features/image.ids', None)
    """
    return f"{path[: -len('.npy')]}.ids" if path.lower().endswith(".npy") else None


def fault_of(paths: Sequence[str]) -> tuple[int, str] | None:
    """Return the position of the first path that names no vectors, or the same as an earlier one, and why; or None."""
    for place, path in enumerate(paths):
        if PurePath(path).suffix.lower() not in ENDINGS:
            return place, f"expected files that end in {', '.join(ENDINGS)}, found {path!r}"
        other = next((each for each in paths[:place] if vectors_called(each) == vectors_called(path)), None)
        if other is not None:
            told = f"{other!r} and {path!r} would both be called {vectors_called(path)!r}"
            return place, f"vectors are called as their file is, and {told}; rename one"
    return None
