"""Check the devices, threads and memory that a run would compute with, and the terminal that it prints to."""

from __future__ import annotations

import locale
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from recrun.memory import available_memory
from recrun.report.terminal.lines import size
from recrun.upkeep.doctor.finding import Finding, Level
from recrun.visible import on_one_line

_DRIVER: Final = Path("/proc/driver/nvidia/version")
_CUDA_WHEELS: Final = "https://pytorch.org/get-started/locally"
_LITTLE_MEMORY: Final = 1e9


def check_devices(answer: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the devices that torch sees, or why there is none besides the CPU.

    Args:
        answer: the answer of `recrun.upkeep.doctor.probe` to ":devices".
    """
    if "answer" not in answer:
        text = on_one_line(f"cannot be asked: {answer.get('error')}")
        yield Finding("devices", "torch", text, "problem", "repair torch, or its drivers; see versions above")
        return
    found = answer["answer"]
    for number, gpu in enumerate(found["gpus"]):
        if "error" in gpu:
            text, remedy = f"{gpu['name']} does not respond: {gpu['error']}", "free it, or choose another with device="
            yield Finding("devices", f"cuda:{number}", on_one_line(text), "note", remedy)
        else:
            text = f"{gpu['name']}, {size(gpu['free'])} of {size(gpu['total'])} free"
            yield Finding("devices", f"cuda:{number}", on_one_line(text))
    if not found["gpus"]:
        yield _no_cuda(found["built_for"])
    if found["mps"]:
        yield Finding("devices", "mps", "available")
    elif found["mps_built"]:
        yield Finding("devices", "mps", "built in, but this machine has none")
    free = available_memory()
    if free is not None:
        is_little = free < _LITTLE_MEMORY
        remedy = "end other programs, or lower eval_memory" if is_little else ""
        yield Finding("devices", "memory", f"{size(free)} free", "note" if is_little else "ok", remedy)


def _no_cuda(built_for: str | None) -> Finding:
    """Return why there is no CUDA device."""
    has_driver = _DRIVER.exists() or shutil.which("nvidia-smi") is not None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not has_driver:
        return Finding("devices", "cuda", "none: this machine has no NVIDIA driver; runs use the CPU or MPS")
    if built_for is None:
        remedy = f"install a torch built for CUDA: {_CUDA_WHEELS}"
        return Finding("devices", "cuda", "none: this torch is built for CPUs only", "note", remedy)
    if visible is not None:
        text = f"none: CUDA_VISIBLE_DEVICES is {visible!r}"
        return Finding("devices", "cuda", on_one_line(text), "note", "unset CUDA_VISIBLE_DEVICES to use all GPUs")
    text = f"none, though torch is built for {built_for} and there is a driver"
    remedy = f"update the driver (nvidia-smi shows its version), or install a torch for an older CUDA: {_CUDA_WHEELS}"
    return Finding("devices", "cuda", text, "note", remedy)


def check_threads(answer: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the cores, the threads that torch uses, and the libraries that do the arithmetic.

    Args:
        answer: the answer of `recrun.upkeep.doctor.probe` to ":arithmetic".
    """
    cores = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    yield Finding("threads", "cores", f"{usable} of {cores} for this process" if usable < cores else str(cores))
    told = os.environ.get("OMP_NUM_THREADS")
    if not told:
        yield Finding("threads", "OMP_NUM_THREADS", "not set")
    elif not told.isdecimal() or int(told) < 1:
        text = on_one_line(f"{told!r} is no number of threads")
        yield Finding("threads", "OMP_NUM_THREADS", text, "note", "unset it, or set threads= in the config")
    elif int(told) > usable:
        text = f"{told}, but there are {usable} cores: threads wait for each other"
        yield Finding("threads", "OMP_NUM_THREADS", text, "note", f"export OMP_NUM_THREADS={usable}")
    else:
        yield Finding("threads", "OMP_NUM_THREADS", told)
    if "answer" in answer:
        found = answer["answer"]
        yield Finding("threads", "torch", f"computes with {found['threads']}, unless a config sets threads")
        yield Finding("arithmetic", "numpy", on_one_line(str(found["numpy"])))
        yield Finding("arithmetic", "torch", on_one_line(str(found["torch"])))
    else:
        text = on_one_line(f"cannot be asked: {answer.get('error')}")
        yield Finding("arithmetic", "numpy and torch", text, "problem", "repair them; see versions above")


def check_terminal() -> Iterator[Finding]:
    """Yield the encoding of the output and of file names, and the width that tables have."""
    encoding = (getattr(sys.stdout, "encoding", None) or "unknown").lower()
    is_unicode = encoding.replace("-", "").startswith("utf")
    remedy = "" if is_unicode else "export PYTHONIOENCODING=utf-8, or choose a UTF-8 locale"
    level: Level = "ok" if is_unicode else "note"
    shown = encoding if is_unicode else f"{encoding}: tables are drawn in ASCII, and other letters are escaped"
    yield Finding("terminal", "encoding", shown, level, remedy)
    names = sys.getfilesystemencoding()
    where = f"{names}, locale {'.'.join(part for part in locale.getlocale() if part) or 'C'}"
    yield Finding("terminal", "file names", where)
    if sys.stdout.isatty():
        yield Finding("terminal", "width", f"{shutil.get_terminal_size().columns} columns")
    else:
        yield Finding("terminal", "output", "not a terminal: no colour, and rows are not wrapped")
    if "NO_COLOR" in os.environ:
        yield Finding("terminal", "NO_COLOR", "set: no colour")
