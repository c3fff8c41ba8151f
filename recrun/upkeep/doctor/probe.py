"""Import packages and ask them about the machine, in a process of its own that may die of it.

It is run as a script with names of `PROBES` or of modules, and prints a line of JSON before and after each. Importing
it does nothing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from typing import Any, Final


def _arithmetic() -> dict[str, Any]:
    """Return the libraries that compute for numpy and torch, and how many threads torch uses."""
    import numpy as np
    import torch

    configuration: Any = np.show_config(mode="dicts")
    blas = configuration.get("Build Dependencies", {}).get("blas", {})
    backends: Any = torch.backends
    of_torch = "MKL" if backends.mkl.is_available() else "OpenBLAS or another one"
    return {
        "numpy": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "torch": of_torch,
        "threads": torch.get_num_threads(),
    }


def _devices() -> dict[str, Any]:
    """Return the GPUs that torch sees; nothing is computed on them."""
    import torch

    gpus: list[dict[str, Any]] = []
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for number in range(n_gpus):
        gpu: dict[str, Any] = {"name": torch.cuda.get_device_name(number)}
        try:
            gpu["free"], gpu["total"] = torch.cuda.mem_get_info(number)
        except RuntimeError as error:
            gpu["error"] = str(error).partition("\n")[0]
        gpus.append(gpu)
    return {
        "built_for": torch.version.cuda or torch.version.hip,
        "gpus": gpus,
        "mps": torch.backends.mps.is_available(),
        "mps_built": torch.backends.mps.is_built(),
    }


def _components() -> dict[str, Any]:
    """Return what is wrong with the components of other packages."""
    from recrun.registry import REGISTRIES

    return {"problems": [problem for registry in REGISTRIES.values() for problem in registry.problems()]}


PROBES: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    ":arithmetic": _arithmetic,
    ":devices": _devices,
    ":components": _components,
}
"""What is asked besides imports."""


def _answer(name: str) -> dict[str, Any]:
    try:
        if name in PROBES:
            return {"answer": PROBES[name]()}
        importlib.import_module(name)
        return {}
    except BaseException as error:  # a broken package may even exit
        return {"error": f"{_place(name)}{type(error).__name__}: {error}"}


def _place(name: str) -> str:
    """Return where a module was found: a file of the same name may hide it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return ""
    return f"{spec.origin}: " if spec is not None and spec.origin else ""


def _main() -> None:
    # What lies beside this file is no module of its own, as it would be for any script.
    if sys.path and os.path.realpath(sys.path[0]) == os.path.dirname(os.path.realpath(__file__)):
        del sys.path[0]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what packages print is no answer
    for name in sys.argv[1:]:
        for line in ({"begins": name}, {"ends": name, **_answer(name)}):
            answers.write(json.dumps(line) + "\n")
            answers.flush()
    answers.flush()
    os._exit(0)  # what broken packages do at the end is of no interest


if __name__ == "__main__":
    _main()
