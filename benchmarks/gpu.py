"""Measure training and evaluation on a GPU, against what its memory and arithmetic allow.

    python benchmarks/gpu.py [--device cuda] [--only gowalla/bprmf ...] [--steps 200] [--small]

A step is timed over many steps that are queued one after another, and the device is waited for once, at the end. The
floor of a step is the larger of two times: the bytes that Adam must move (parameters, gradients and two running means,
seven passes of four bytes) at the rate of a copy measured here, and the products of the model (counted by torch) at the
rate of a large product measured here. A ratio of 1 would be the floor itself. An evaluation is that of the validation
part, or of test where there is none; its floor is the product of the vectors, for models that have vectors.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from typing import Any

from _common import data_root, machine, table

CONFIGS = ("gowalla/bprmf", "gowalla/lightgcn", "beauty/sasrec", "ml1m/sasrec", "beauty/bert4rec", "synthetic/deepfm")
SMALL = ("synthetic/bprmf", "synthetic/sasrec", "synthetic/deepfm")
_PASSES = 7
"""Adam reads four tables (parameter, gradient, two means) and writes three."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", nargs="*", metavar="CONFIG")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--small", action="store_true", help="bundled data and few steps")
    arguments = parser.parse_args()
    import torch

    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("there is no GPU here, or torch is not built for it; --device cpu measures the CPU")
    print(machine())
    if arguments.device.startswith("cuda"):
        print(torch.cuda.get_device_name(arguments.device))
    device = torch.device(arguments.device)
    bandwidth, peak = rates(device, small=arguments.small)
    print(f"a copy moves {bandwidth / 1e9:.0f} GB/s, a large product does {peak / 1e12:.2f} TFLOP/s")
    steps = min(arguments.steps, 5) if arguments.small else arguments.steps
    rows = []
    for config in arguments.only or (SMALL if arguments.small else CONFIGS):
        found = measured(config, device, steps, bandwidth, peak)
        rows.append([config, *found.values()])
    table(["config", *found], rows)


def rates(device: Any, *, small: bool) -> tuple[float, float]:
    """Return the bytes per second that a copy moves, read and written, and the operations per second of a product."""
    import torch

    size = 1 << (20 if small else 28)
    one, other = torch.empty(size, device=device), torch.ones(size, device=device)
    copy = timed(lambda: one.copy_(other), device, 10)
    side = 512 if small else 8192
    square = torch.randn(side, side, device=device)
    product = timed(lambda: square @ square, device, 5)
    return 2 * one.nbytes / copy, 2 * side**3 / product


def timed(task: Callable[[], object], device: Any, n_times: int) -> float:
    """Return the seconds of a task, called some times in a row after a first time."""
    task()
    wait(device)
    start = time.perf_counter()
    for _ in range(n_times):
        task()
    wait(device)
    return (time.perf_counter() - start) / n_times


def wait(device: Any) -> None:
    """Wait until the device has done all that was queued."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measured(config: str, device: Any, n_steps: int, bandwidth: float, peak: float) -> dict[str, Any]:
    """Return the seconds of a step, an epoch and an evaluation of a config, and the ratios to their floors."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from recrun.config.resolve import resolve
    from recrun.workflows.build import build

    resolved = resolve(config, [f"device={device}", f"root={data_root()}", "verbose=0"])
    coach = build(resolved)
    monitors = resolved.config.monitors
    coach.check(resolved.config, monitors)
    batches = itertools.cycle(list(itertools.islice(coach._loader("train", 0), n_steps)))

    def step() -> None:
        coach.steps.backward(coach.model.training_loss(next(batches), coach.criterion))
        coach.steps.step()

    coach.model.train()
    for _ in range(3):
        step()
    with FlopCounterMode(display=False) as counted:
        step()
    of_step = timed(step, device, n_steps)
    n_parameters = sum(parameter.numel() for parameter in coach.model.parameters())
    floor = max(_PASSES * 4 * n_parameters / bandwidth, counted.get_total_flops() / peak)
    split = "valid" if len(coach.dataset.base.interactions("valid")) else "test"
    start = time.perf_counter()
    coach.score(split, resolved.config, monitors)
    of_evaluation = time.perf_counter() - start
    with torch.no_grad():
        vectors = getattr(coach.model, "vectors", lambda: None)()
    base = coach.dataset.base
    product = 0.0 if vectors is None else 2 * base.n_users * base.n_items * vectors[0].shape[1] / peak
    return {
        "step, ms": 1000 * of_step,
        "step / floor": of_step / floor,
        "epoch, s": of_step * (coach.dataset.n_batches("train") or 0),
        "evaluation, s": of_evaluation,
        "evaluation / product": of_evaluation / product if product else None,
    }


if __name__ == "__main__":
    main()
