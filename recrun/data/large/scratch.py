"""Hold large arrays in files of the cache's folder that vanish with the process, so that memory need not hold them.

The system writes the pages of such an array to its file when memory is needed, and reads them again when they are used.
The file has no name where the system allows that, so that nothing is left of it even if the process is killed.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import DTypeLike

from recrun.data.cache_folder import cache_folder
from recrun.errors import DataError

LARGE: Final = 1 << 28
"""Bytes from which on an array is held in a file."""
_ZEROS: Final = bytes(1 << 22)


def empty(shape: int | Sequence[int], dtype: DTypeLike) -> np.ndarray:
    """Return a new array with any values in it: in memory if it is small or no file can be made, else in a file.

    Args:
        shape: of the array.
        dtype: of its values.
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if n_bytes >= LARGE:
        try:
            return _in_file(shape, dtype, n_bytes)
        except (OSError, DataError):  # no folder that can be written to, or no room in it
            pass
    return np.empty(shape, dtype)


def _in_file(shape: tuple[int, ...], dtype: DTypeLike, n_bytes: int) -> np.ndarray:
    folder = cache_folder() / "data"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        _reserve(file, n_bytes)
        return np.asarray(np.memmap(file, dtype=dtype, mode="r+", shape=shape))


def _reserve(file: BinaryIO, n_bytes: int) -> None:
    """Take the room on disk now: writing to a page for which there is none ends the process.

    Raises:
        OSError: there is not enough.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, n_bytes)
        return
    for start in range(0, n_bytes, len(_ZEROS)):
        file.write(_ZEROS[: n_bytes - start])
    file.flush()
