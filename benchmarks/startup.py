"""Time commands from their start to their result: help, a list, a checked config, the first training step.

    python benchmarks/startup.py [--runs 10]

Medians of the wall time of child processes, run in turn. `python -c pass` is the minimum for any Python program. The
first step is that of `recrun train` on Gowalla from the cache, with and without the evaluation of the untrained model
before it; the process exits after that step.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from _common import gowalla, machine, median, python, record, recrun, run_child, table

LIMITS = {"recrun --help": 0.25, "recrun list models": 0.25, "recrun validate": 0.6, "first step": 2.5}


def stop_at_first_step(arguments: Sequence[str]) -> None:
    """Run the command line in this process and exit after the first step of an optimizer."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    def stop(optimizer: Any, *_: Any) -> None:
        # A step on a single number only tests whether a fused optimizer exists.
        if sum(parameter.numel() for group in optimizer.param_groups for parameter in group["params"]) > 1:
            os._exit(0)

    register_optimizer_step_post_hook(stop)
    from recrun.cli.main import main as recrun_main

    recrun_main(list(arguments))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--first-step", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first_step:
        stop_at_first_step(options.first_step)
        raise SystemExit("no step was taken")
    data, overrides = gowalla()
    with tempfile.TemporaryDirectory() as temporary:
        train = ["--first-step", "train", "bprmf", *overrides, "--quiet", "--runs", temporary]
        with_evaluation = [argument.replace("valid_ratio=0", "valid_ratio=0.1") for argument in train]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "recrun --help": recrun("--help"),
            "recrun list models": recrun("list", "models"),
            "recrun validate": recrun("validate", "bprmf"),
            "python -c 'import torch'": [sys.executable, "-c", "import torch"],
            "first step": python(__file__, *train, "eval_valid=false"),
            "first step, after an evaluation": python(__file__, *with_evaluation),
        }
        cache = {"RECRUN_CACHE": f"{temporary}/cache"}
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        cpu: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(options.runs + 1):  # the first one fills caches
            for name, command in commands.items():
                ended = run_child(command, **cache)
                if number:
                    seconds[name].append(ended.seconds)
                    cpu[name].append(ended.cpu)
    print(f"{data}; {options.runs} processes each, in turn; {machine()}")
    table(
        ["command", "median s", "best s", "cpu s", "wanted s"],
        [[name, median(taken), min(taken), median(cpu[name]), LIMITS.get(name)] for name, taken in seconds.items()],
    )
    for name, limit in LIMITS.items():
        record(name, median(seconds[name]), f"<= {limit} s", median(seconds[name]) <= limit)


if __name__ == "__main__":
    main()
