"""Work on parts of a computation at the same time, in threads that each compute with a single one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any


@contextmanager
def thread_map(n_threads: int, n_workers: int | None = None) -> Iterator[Callable[..., Iterable[Any]]]:
    """Yield a function like `map` for one iterable, whose results come in order; parts are worked on in threads.

    Each part is computed by one thread, torch's operations in it included: no result depends on how many there are.

    Args:
        n_threads: how many threads torch uses in this one; with 1 there are no others.
        n_workers: how many parts are worked on at a time; by default as many as there are threads.
    """
    if n_threads == 1:
        yield map
        return
    import torch

    try:
        with ThreadPoolExecutor(n_workers or n_threads, "recrun-parts", torch.set_num_threads, (1,)) as pool:
            yield pool.map
    finally:
        # Torch gives new threads the number that any thread set last.
        torch.set_num_threads(n_threads)
