"""Read files of vectors of items: parquet, or `.npy` with the ids in a text file beside it.

Shapes: R rows of a file, D numbers in a vector, I items of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recrun.data.formats.columns.names import recognised
from recrun.data.formats.opening import read_binary
from recrun.data.formats.polars_files import parquet_names, read_parquet_columns
from recrun.data.formats.table import data_error
from recrun.data.interactions import ITEM
from recrun.vector_files import ids_beside

if TYPE_CHECKING:
    import polars as pl

_BLOCK = 1 << 22
"""The most numbers that are converted at once."""


class VectorFile(NamedTuple):
    """A file of vectors.

    Args:
        path: the file.
        ids: the original id of each row as text, a polars column (R,).
        rows: returns some rows (I, D), float32, given their positions (I,).
    """

    path: Path
    ids: pl.Series
    rows: Callable[[np.ndarray], np.ndarray]


def open_vectors(path: Path) -> VectorFile:
    """Open a file of vectors, which is a regular file; no more than the ids is read yet.

    Raises:
        DataError: it cannot be read, or is laid out in another way.
    """
    return _open_numpy(path) if path.suffix.lower() == ".npy" else _open_parquet(path)


def _open_parquet(path: Path) -> VectorFile:
    """Open a table whose columns are the id, and either one of lists of one length, or one for each number.

    The id is the column that is named as that of items, else the first.
    """
    import polars as pl

    names = parquet_names(path)
    if len(names) < 2:
        raise data_error(path, None, "expected a column of item ids and at least one of numbers, or of lists of them")
    places = recognised(ITEM, names)
    if len(places) > 1:
        told = " and ".join(repr(names[place]) for place in places)
        raise data_error(path, None, f"{told} may both be the ids of the items; leave one of them out")
    key = names[places[0] if places else 0]
    others = [name for name in names if name != key]
    ids = read_parquet_columns(path, [key])[key]
    if not (ids.dtype.is_integer() or ids.dtype in (pl.String, pl.Categorical, pl.Enum)):
        raise data_error(path, None, f"expected integers or text as ids in the column {key!r}, found {ids.dtype}")
    frame = read_parquet_columns(path, others, n_rows=1)
    _refuse_other_columns(path, key, frame)
    if len(others) == 1 and isinstance(frame[others[0]].dtype, (pl.List, pl.Array)):
        return VectorFile(path, ids.cast(pl.String), lambda places: _from_lists(path, others[0], places))
    return VectorFile(path, ids.cast(pl.String), lambda places: _from_columns(path, others, places))


def _refuse_other_columns(path: Path, key: str, frame: pl.DataFrame) -> None:
    """Refuse columns beside the ids that are neither numbers nor one column of lists of numbers."""
    import polars as pl

    lists = [name for name in frame.columns if isinstance(frame[name].dtype, (pl.List, pl.Array))]
    if lists and frame.width > 1:
        other = next(name for name in frame.columns if name != lists[0])
        raise data_error(path, None, f"beside the lists of {lists[0]!r} there is {other!r}; leave one of them out")
    for name in frame.columns:
        kind = frame[name].dtype
        inner = kind.inner if name in lists else kind  # type: ignore[attr-defined]
        if not (inner.is_numeric() or inner == pl.Boolean):
            told = f"the ids are in {key!r}, so {name!r} must hold numbers, or lists of them; found {kind}"
            raise data_error(path, None, f"{told}; leave it out")


def _from_lists(path: Path, name: str, places: np.ndarray) -> np.ndarray:
    """Return rows (I, D) of a column of lists, which must have one length."""
    import polars as pl

    column = read_parquet_columns(path, [name])[name]
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    lengths = column.list.len().fill_null(0)
    dim = int(lengths[0])
    wrong = (lengths != dim) if dim else (lengths == 0)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        message = f"expected {dim} numbers in {name!r}, as in row 1, found {lengths[row]}"
        raise data_error(path, row + 1, message if dim else f"there are no numbers in {name!r}")
    chosen = column.gather(places)
    return _filled(len(places), dim, lambda part: chosen[part].explode().to_numpy().reshape(-1, dim))


def _from_columns(path: Path, names: Sequence[str], places: np.ndarray) -> np.ndarray:
    """Return rows (I, D) of D columns."""
    found = np.empty((len(places), len(names)), dtype=np.float32)
    frame = read_parquet_columns(path, names)
    for place, name in enumerate(names):
        with np.errstate(over="ignore"):
            found[:, place] = frame[name].gather(places).to_numpy()
    return found


def _open_numpy(path: Path) -> VectorFile:
    """Open an array (R, D), whose ids are the lines of a text file of the same name that ends in `.ids`."""
    import polars as pl

    beside = Path(str(ids_beside(str(path))))
    try:
        lines = read_binary(beside).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise data_error(beside, None, f"is not text in UTF-8 (byte {error.start + 1}); convert it") from None
    ids = [line.rstrip("\r") for line in lines]
    if ids[-1] == "":
        ids.pop()
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is cut short"
        raise data_error(path, None, f"is no array that can be read ({reason})") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or not array.shape[1] or array.dtype.kind not in "fiub":
        found = f"shape {array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else "several arrays"
        raise data_error(path, None, f"expected an array of numbers, a row for each item; found {found}")
    if len(ids) != len(array):
        raise data_error(
            beside, None, f"expected an id for each of the {len(array):,} rows of {path.name}, found {len(ids):,}"
        )
    return VectorFile(
        path,
        pl.Series(ids, dtype=pl.String),
        lambda places: _filled(len(places), array.shape[1], lambda part: array[places[part]]),
    )


def _filled(n_rows: int, dim: int, read: Callable[[slice], np.ndarray]) -> np.ndarray:
    """Return rows (I, D) as float32 that are read in blocks, so that no whole copy in another type is made."""
    found = np.empty((n_rows, dim), dtype=np.float32)
    step = max(1, _BLOCK // max(1, dim))
    for start in range(0, n_rows, step):
        part = slice(start, min(start + step, n_rows))
        with np.errstate(over="ignore"):  # what becomes infinite is refused
            found[part] = read(part)
    return found
