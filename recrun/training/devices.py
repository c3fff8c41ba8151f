"""Select the device a run computes on, from the `device` setting."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from recrun.config.settings import check_device_name
from recrun.errors import ConfigError, Fault

if TYPE_CHECKING:
    import torch


def select(device: str = "auto") -> torch.device:
    """Return the device that a setting names.

    CUDA devices are numbered after CUDA_VISIBLE_DEVICES has been applied.

    Args:
        device: "auto" is the visible CUDA device with the most free memory (the first of equals), else MPS, else the
            CPU; a GPU that does not respond is skipped. "cuda" is torch's current CUDA device: the first, unless a
            script has set another. "cuda:N" and "N" are CUDA device N. "cpu" and "mps" are the CPU and MPS.

    Raises:
        ConfigError: the device is malformed, or this machine does not have it; the message lists the available ones.
    """
    check_device_name(device)
    import torch

    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    has_mps = torch.backends.mps.is_available()
    if device == "auto":
        gpu = _freest_gpu(n_gpus)
        if gpu is not None:
            return torch.device("cuda", gpu)
        return torch.device("mps" if has_mps else "cpu")
    if device == "cpu" or (device == "mps" and has_mps):
        return torch.device(device)
    if device == "cuda" and n_gpus:
        return torch.device("cuda", torch.cuda.current_device())
    number = device.removeprefix("cuda:")
    if number.isdecimal() and int(number) < n_gpus:
        return torch.device("cuda", int(number))
    raise ConfigError(Fault(_missing(device, n_gpus, has_mps), key="device"))


def _freest_gpu(n_gpus: int) -> int | None:
    """Return the number of the GPU with the most free memory, or None if none responds."""
    import torch

    best, most = None, -1
    for gpu in range(n_gpus):
        try:
            free, _ = torch.cuda.mem_get_info(gpu)
        except RuntimeError:  # a GPU in exclusive use, out of memory or lost: try the others
            continue
        if free > most:
            best, most = gpu, free
    return best


def _missing(device: str, n_gpus: int, has_mps: bool) -> str:
    there = ["cpu", *(f"cuda:{gpu}" for gpu in range(n_gpus)), *(["mps"] if has_mps else [])]
    message = f"device {device!r} is not available; available: {', '.join(there)}"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return message if visible is None else f"{message} (with CUDA_VISIBLE_DEVICES={visible!r})"
