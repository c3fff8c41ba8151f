"""Write vectors and weights as one `.npz` file of numpy arrays, none of which needs pickle."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recrun.exporting.arrays import arrays_of
from recrun.exporting.material import Material
from recrun.exporting.written import Request, Written

FILE: Final = "model.npz"
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every member, so that the same arrays make the same file."""

LOAD: Final = """\
import numpy as np

data = dict(np.load("model.npz", allow_pickle=False))
"""


def write(material: Material, folder: Path, request: Request) -> Written:
    """Write `model.npz`; ids are integers or texts of fixed width."""
    write_arrays(folder / FILE, arrays_of(material))
    return Written((FILE,))


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as `numpy.savez` does, but refuse those of objects, which it would pickle."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", _EARLIEST)
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(values), allow_pickle=False)
