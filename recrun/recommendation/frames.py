"""Turn lists of recommendations into tables of original ids, and write these to files of any size.

Shapes: T users to recommend to, B users of a block, K ranks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from recrun.errors import ConfigError, RecrunError, nearest
from recrun.evaluation.top_lists import Lists
from recrun.files import atomic_write

if TYPE_CHECKING:
    import polars as pl

COLUMNS: Final = ("user", "item", "rank", "score")
"""The columns of recommendations: original ids, the rank from 1, and the score."""

_ROWS_HELD: Final = 1 << 22
"""The most rows of a parquet file that are held in memory; further ones go through temporary files beside it."""
_PIECE: Final = 1 << 20

Frames = Iterable["pl.DataFrame"]


class Framer:
    """Makes tables of lists.

    Args:
        names: the original id of each row of the lists' users (T,), in their order.
        item_ids: the original ids of all items.
        scores: whether there is a column of scores.
        columns: what the columns of users and items are called.
    """

    def __init__(
        self,
        names: NDArray[Any],
        item_ids: NDArray[Any],
        *,
        scores: bool = True,
        columns: tuple[str, str] = ("user", "item"),
    ) -> None:
        import polars as pl

        self._names, self._items = pl.Series(names), pl.Series(item_ids)
        self._scores, self._columns = scores, columns
        self._done = 0

    def __call__(self, lists: Lists) -> pl.DataFrame:
        """Return the next block of lists as a table, in the order of users and ranks; empty ranks are left out."""
        import polars as pl

        n_users, k = lists.items_BK.shape
        filled = lists.items_BK.ravel() >= 0
        rows = np.repeat(np.arange(self._done, self._done + n_users), k)[filled]
        self._done += n_users
        columns = {
            self._columns[0]: self._names.gather(rows),
            self._columns[1]: self._items.gather(lists.items_BK.ravel()[filled]),
            "rank": pl.Series(np.tile(np.arange(1, k + 1), n_users)[filled], dtype=pl.Int32),
        }
        if self._scores:
            columns["score"] = pl.Series(lists.scores_BK.ravel()[filled], dtype=pl.Float64)
        return pl.DataFrame(columns)


def writer_for(path: Path) -> Callable[[Path, Frames], None]:
    """Return what writes tables to a file, by its extension.

    Raises:
        ConfigError: the extension is none of those that can be written.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        guess = nearest(suffix, WRITERS)
        hint = f"; did you mean {guess}?" if guess else ""
        raise ConfigError(f"cannot write {path}: expected a name that ends in {', '.join(WRITERS)}{hint}")
    return WRITERS[suffix]


def write_frames(path: Path, frames: Frames) -> None:
    """Write tables, one after the other, to one file, which appears whole or not at all.

    Raises:
        ConfigError: the extension is none of those that can be written.
        RecrunError: the file cannot be written.
    """
    write = writer_for(path)
    try:
        write(path, frames)
    except OSError as error:
        raise RecrunError(f"cannot write {path}: {error.strerror}") from None


def _write_csv(path: Path, frames: Frames) -> None:
    def pieces() -> Iterator[bytes]:
        is_first = True
        for frame in frames:
            yield frame.write_csv(include_header=is_first).encode()
            is_first = False

    atomic_write(path, pieces())


def _write_json_lines(path: Path, frames: Frames) -> None:
    def pieces() -> Iterator[bytes]:
        for frame in frames:
            content = BytesIO()
            frame.write_ndjson(content)
            yield content.getvalue()

    atomic_write(path, pieces())


def _write_parquet(path: Path, frames: Frames) -> None:
    import polars as pl

    held: list[pl.DataFrame] = []
    n_held = 0
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        parts: list[Path] = []
        for frame in frames:
            held.append(frame)
            n_held += len(frame)
            if n_held >= _ROWS_HELD:
                parts.append(Path(folder) / f"{len(parts):06}.parquet")
                pl.concat(held).write_parquet(parts[-1])
                held, n_held = [], 0
        if not parts:
            content = BytesIO()
            pl.concat(held).write_parquet(content)
            atomic_write(path, content.getvalue())
            return
        if held:
            parts.append(Path(folder) / f"{len(parts):06}.parquet")
            pl.concat(held).write_parquet(parts[-1])
        whole = Path(folder) / "whole.parquet"
        pl.scan_parquet(parts).sink_parquet(whole)
        with whole.open("rb") as file:
            atomic_write(path, iter(lambda: file.read(_PIECE), b""))


WRITERS: Final[dict[str, Callable[[Path, Frames], None]]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
}
"""What writes tables, by the extension of the file."""
