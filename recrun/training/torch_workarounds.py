"""Set up torch and work around its shortcomings; see `tests/training/test_torch_workarounds.py`.

Every function here was needed with torch 2.13. Each has a test that fails once torch no longer needs the function,
which can then be removed. torch is imported only when a function needs it.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.optim import Optimizer


def let_threads_sleep() -> None:
    """Make torch's threads sleep soon while they wait for each other; must be called before torch is imported.

    By default they spin for a millisecond. On a shared machine the awaited thread may not be running, and then every
    operation takes that millisecond: `benchmarks/contention.py`. Seen with torch 2.13 for Linux,
    whose threads are those of GNU's OpenMP.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


@cache
def all_threads() -> int:
    """Return how many threads torch computes with by default: as many as there are cores, or OMP_NUM_THREADS says.

    It is asked for before recrun first sets another number.
    """
    import torch

    return torch.get_num_threads()


def set_up(*, threads: int | None, benchmark: bool) -> None:
    """Set what applies to the whole process: denormal numbers, threads, and deterministic algorithms.

    Args:
        threads: how many threads compute; None for torch's default.
        benchmark: whether cuDNN may choose the fastest algorithms rather than deterministic ones.
    """
    import torch

    # Running means of rows that are rarely drawn fade into denormal numbers, on which Adam is ten times slower. The
    # threads of torch adopt this setting only before their first work. Seen with torch 2.13.
    torch.set_flush_denormal(True)
    all_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    # cuBLAS is only reproducible with a fixed workspace; it must be set before its first use.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = benchmark
    # Like `use_deterministic_algorithms(..., warn_only=True)`, which in torch 2.13 imports the compiler and takes 2 s.
    torch.set_deterministic_debug_mode("default" if benchmark else "warn")


@cache
def without_compiler(kind: Callable[..., Optimizer]) -> Callable[..., Optimizer]:
    """Return an optimizer's class with a `step` that does not make torch import its compiler, which takes 2 s.

    torch 2.13 excludes its optimizers from compiled graphs, and imports the compiler at the first call of some methods
    only for that. It caches the wrapped function on the method; here that is set to the plain method. If torch changes
    this, the only effect is the longer import.
    """
    import torch
    from torch.optim import Optimizer

    for method in vars(Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        if plain is not None and getattr(plain, "__dynamo_disable", None) is None:
            plain.__dynamo_disable = plain
    base: Any = kind
    made: type[Optimizer] = type(base.__name__, (base,), {"step": torch.no_grad()(inspect.unwrap(base.step))})
    return made
