"""Write vectors and weights as one safetensors file; text ids are the bytes of their UTF-8."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from recrun.data.original_ids import as_utf8
from recrun.exporting.arrays import arrays_of
from recrun.exporting.material import Material
from recrun.exporting.written import Request, Written

FILE: Final = "model.safetensors"

LOAD: Final = """\
import numpy as np
from safetensors.numpy import load_file

data = load_file("model.safetensors")
for name in ("item_ids", "user_ids"):
    if name + "_utf8" in data:  # texts: their bytes one after the other, and where each begins
        raw, begins = data[name + "_utf8"].tobytes(), data[name + "_offsets"]
        data[name] = np.array([raw[a:b].decode() for a, b in zip(begins[:-1], begins[1:])])
"""


def write(material: Material, folder: Path, request: Request) -> Written:
    """Write `model.safetensors`."""
    from safetensors.numpy import save_file

    arrays = arrays_of(material)
    for name in ("item_ids", "user_ids"):
        if name in arrays and arrays[name].dtype.kind == "U":
            arrays[f"{name}_utf8"], arrays[f"{name}_offsets"] = as_utf8(arrays.pop(name))
    save_file({name: np.ascontiguousarray(each) for name, each in arrays.items()}, folder / FILE)
    return Written((FILE,))
