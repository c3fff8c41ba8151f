"""Create seeded random generators, and save and restore the state of the global ones."""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of the global generators of Python, numpy and torch, and of a CUDA device."""
    import torch

    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    version, words, gauss = random.getstate()
    state: dict[str, Any] = {
        "python": [version, list(words), gauss],
        "numpy": [str(kind), np.asarray(keys), int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


@contextmanager
def undisturbed_random_state(device: torch.device) -> Iterator[None]:
    """Restore the global generators at the end of the block; some libraries draw from them when first imported."""
    state = random_state(device)
    try:
        yield
    finally:
        restore_random_state(state, device)


def restore_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Restore the state of the global generators that `random_state` returned."""
    import torch

    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, np.asarray(keys), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


def generator(seed: int, epoch: int, purpose: str) -> np.random.Generator:
    """Return the random generator for one purpose in one epoch of a run.

    Streams for different (seed, epoch, purpose) are independent, and each can be recreated at any time, so a run
    resumes exactly without saving them.

    Args:
        seed: the run's seed, >= 0.
        epoch: the epoch, counted from 0.
        purpose: what is drawn, such as "shuffle"; each consumer has its own name.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, zlib.crc32(purpose.encode()))))


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch (all devices)."""
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def seed_torch_for(seed: int, epoch: int, purpose: str) -> None:
    """Seed torch's global generators for one purpose in one epoch of a run; see `generator`."""
    import torch

    torch.manual_seed(int(generator(seed, epoch, purpose).integers(1 << 62)))


def draw_seed() -> int:
    """Return a random seed, for a run with `seed: -1`."""
    return int.from_bytes(os.urandom(4), "little") % 2**31
