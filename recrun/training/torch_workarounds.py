"""Set torch up, and get around what it does badly; `tests/training/test_torch_workarounds.py` notices what is mended.

Every function here was needed with torch 2.13. A test of each fails when torch no longer needs it: then it can go.
torch itself is imported only when a function needs it.
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
    """Have torch's threads sleep soon while they wait for each other; must be called before torch is imported.

    They spin for a millisecond unless told otherwise. On a machine that others use too, the thread waited for may not
    be running, and every operation takes that millisecond: `benchmarks/contention.py`. Seen with torch 2.13 for Linux,
    whose threads are those of GNU's OpenMP.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def set_up(*, threads: int | None, benchmark: bool) -> None:
    """Set what holds for the whole process: denormal numbers, threads, and deterministic algorithms.

    Args:
        threads: how many threads compute; None leaves it to torch.
        benchmark: whether cuDNN may choose the fastest algorithms rather than deterministic ones.
    """
    import torch

    # Running means of rows that are rarely drawn fade into denormal numbers, on which Adam is ten times slower. The
    # threads of torch take this over only from before their first work. Seen with torch 2.13.
    torch.set_flush_denormal(True)
    if threads is not None:
        torch.set_num_threads(threads)
    # cuBLAS is only reproducible with a fixed workspace; it must be set before its first use.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = benchmark
    # As `use_deterministic_algorithms(..., warn_only=True)`, which in torch 2.13 imports the compiler: 2 s for nothing.
    torch.set_deterministic_debug_mode("default" if benchmark else "warn")


@cache
def without_compiler(kind: Callable[..., Optimizer]) -> Callable[..., Optimizer]:
    """Return an optimizer's class with a `step` that does not make torch import its compiler, which takes 2 s.

    torch 2.13 excludes its optimizers from compiled graphs, and imports the compiler at the first call of some methods
    only to say so. It keeps how to call these with the methods; here that is: as they stand. Were torch to do it in
    another way, only the time would be lost.
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
