"""Find out which GPUs the trials of a sweep may use, without touching CUDA."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from typing import Final

from recrun.errors import ConfigError

VARIABLE: Final = "CUDA_VISIBLE_DEVICES"
_LIST: Final = ("nvidia-smi", "-L")
_SECONDS: Final = 30
_UUID: Final = re.compile(r"\(UUID: ((?:GPU|MIG)-[^)\s]+)\)")
_GPU: Final = re.compile(r"^GPU \d+:", re.MULTILINE)


def as_list(gpus: Sequence[int | str] | int | str) -> list[str]:
    """Return the devices of the setting `gpus`, which may be a list or text such as "0,1".

    Raises:
        ConfigError: there is none, or one is there twice, or is neither a number nor a UUID.
    """
    given = gpus.split(",") if isinstance(gpus, str) else [gpus] if isinstance(gpus, int) else gpus
    found = [str(each).strip() for each in given]
    wrong = [each for each in found if not (each.isdecimal() or each.startswith(("GPU-", "MIG-")))]
    if wrong or not found:
        shown = ", ".join(repr(each) for each in wrong) or "none"
        raise ConfigError(f"gpus: expected numbers or UUIDs of GPUs, such as 0,1, found {shown}")
    twice = sorted({each for each in found if found.count(each) > 1})
    if twice:
        raise ConfigError(f"gpus: {', '.join(twice)} is given twice; per_gpu=2 runs two trials on each GPU")
    return found


def devices(gpus: Sequence[str]) -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES must be for each of some GPUs.

    A number counts among the devices that this process may see: with CUDA_VISIBLE_DEVICES=2,3 the GPU 0 is device 2, as
    it is for CUDA. What the driver has is asked of `nvidia-smi -L`. Where that is missing, devices that
    CUDA_VISIBLE_DEVICES lists are believed, and without it nothing can be checked, which is refused.

    Args:
        gpus: numbers or UUIDs, as `as_list` returns them.

    Raises:
        ConfigError: some of them are not there, or whether they are cannot be found out.
    """
    text = os.environ.get(VARIABLE)
    known = _known_to_the_driver()
    if text is None and known is None:
        raise ConfigError(
            f"gpus: nvidia-smi is not here to list the GPUs; set {VARIABLE} to those that may be used, "
            f"such as {VARIABLE}={','.join(gpus)}"
        )
    visible = None if text is None else _listed(text)
    count, uuids = known or (None, [])
    if visible is None:
        visible = [str(number) for number in range(count or 0)]
    elif known:  # CUDA, too, sees none of those behind one that is not there
        there = [(each.isdecimal() and int(each) < (count or 0)) or _matches(each, uuids) for each in visible]
        visible = visible[: there.index(False)] if False in there else visible
    chosen = [_choose(gpu, visible, uuids if text is None else []) for gpu in gpus]
    missing = [gpu for gpu, device in zip(gpus, chosen, strict=True) if device is None]
    if missing:
        among = f" ({VARIABLE}={text})" if text is not None else ""
        there_are = f"there are {', '.join([*visible, *uuids])}" if visible else "there are none"
        raise ConfigError(f"gpus: no GPU {', '.join(missing)}{among}; {there_are}")
    found = [device for device in chosen if device is not None]
    if len(set(found)) < len(found):
        raise ConfigError(f"gpus: {', '.join(gpus)} are not all different; per_gpu=2 runs two trials on each GPU")
    return found


def _choose(gpu: str, visible: Sequence[str], uuids: Sequence[str]) -> str | None:
    """Return the device that a number or UUID means, or None."""
    if gpu.isdecimal():
        return visible[int(gpu)] if int(gpu) < len(visible) else None
    return gpu if _matches(gpu, [*visible, *uuids]) else None


def _matches(gpu: str, uuids: Sequence[str]) -> bool:
    """Return whether exactly one UUID begins like this text, as CUDA wants it."""
    return gpu in uuids or sum(uuid.startswith(gpu) for uuid in uuids if not uuid.isdecimal()) == 1


def _listed(text: str) -> list[str]:
    """Return the devices in a value of CUDA_VISIBLE_DEVICES, up to the first that names none, as CUDA does."""
    found: list[str] = []
    for each in (part.strip() for part in text.split(",")):
        if not (each.isdecimal() or each.startswith(("GPU-", "MIG-"))):
            break
        found.append(each)
    return found


def _known_to_the_driver() -> tuple[int, list[str]] | None:
    """Return how many GPUs there are and the UUIDs of them and of their parts, or None if that cannot be asked."""
    try:
        said = subprocess.run(_LIST, capture_output=True, text=True, errors="replace", check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if said.returncode != 0:
        return None
    return len(_GPU.findall(said.stdout)), _UUID.findall(said.stdout)
