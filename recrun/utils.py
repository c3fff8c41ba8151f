"""Small things several rooms need: seeded generators, atomic files, hashes."""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def generator(seed: int, epoch: int, purpose: str) -> np.random.Generator:
    """Return the random generator of one purpose in one epoch of a run.

    Streams of different (seed, epoch, purpose) are independent, and a stream can be drawn again at any time: nothing
    has to be saved for a run to resume exactly.

    Args:
        seed: the run's seed, >= 0.
        epoch: the epoch, counted from 0.
        purpose: what is drawn, such as "shuffle"; each consumer has its own word.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, zlib.crc32(purpose.encode()))))


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch (all devices)."""
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def atomic_write(path: str | Path, content: str | bytes | Iterable[bytes | memoryview]) -> None:
    """Write a file whole or not at all: a temporary file beside it, flushed to disk, then renamed over it.

    Args:
        path: the file.
        content: what it holds, or the pieces of that one after the other.

    Raises:
        OSError: the folder is missing or cannot be written, or the disk is full; an older file is left as it was.
    """
    target = Path(path)
    content = content.encode("utf-8") if isinstance(content, str) else content
    pieces = [content] if isinstance(content, bytes) else content
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal, reading it in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def draw_seed() -> int:
    """Return a fresh seed for a run that asked for one (`seed: -1`)."""
    return int.from_bytes(os.urandom(4), "little") % 2**31
