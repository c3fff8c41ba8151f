"""Measure what share of the wall time of a whole job is training and evaluation.

    python benchmarks/job.py [--epochs 20] [--config gowalla/bprmf] [KEY=VALUE ...]

Runs `recrun train CONFIG epochs=N --json` as a child process, from the start of the interpreter to its end, and
compares the wall time with the seconds of training and evaluation in `metrics.json`. The rest is start-up, loading,
checkpoints, and the report. The output of `--profile` is shown. With few epochs, constant costs weigh more than in a
real job; `share of a job of 100` adds the missing epochs at their measured cost.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from _common import REPOSITORY, gowalla, json_of, machine, record, recrun, run_child, table

WANTED = 0.9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--config", default="gowalla/bprmf")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    config = REPOSITORY / "configs" / f"{options.config}.yaml"
    data, overrides = gowalla()
    overrides = [override for override in overrides if not override.startswith("valid_ratio")]
    if not config.exists() or data != "Gowalla":
        print(f"no {config.relative_to(REPOSITORY)}, or no Gowalla for it: bprmf on {data} instead")
        config = REPOSITORY / "configs" / "synthetic" / "bprmf.yaml"
    settings = [*overrides, f"epochs={options.epochs}", f"threads={options.threads}", *options.overrides]
    knows_profile = "--profile" in run_child(recrun("train", "--help")).output
    with tempfile.TemporaryDirectory() as runs:
        # Fill the cache first: the data of a job is usually there.
        run_child(recrun("train", str(config), *settings, "--dry-run", "--quiet"))
        profile = ["--profile"] if knows_profile else []
        ended = run_child(recrun("train", str(config), *settings, "--json", "--quiet", "--runs", runs, *profile))
        result = json_of(ended.output)
        checkpoints = sum(file.stat().st_size for file in Path(result["run"]).rglob("*.safetensors"))
    seconds = result["seconds"]
    work = seconds["train"] + seconds["evaluate"]
    share, once = work / ended.seconds, ended.seconds - work
    long_work = work * 100 / options.epochs
    print(f"{data}, {config.stem}, {options.epochs} epochs; {machine(options.threads)}")
    if knows_profile:
        print(ended.output[: ended.output.find("{")].strip())
    table(
        [
            "wall s",
            "cpu s",
            "training s",
            "evaluation s",
            "rest s",
            "share",
            "checkpoints MB",
            "peak MB",
            "share of a job of 100",
        ],
        [
            [
                ended.seconds,
                ended.cpu,
                seconds["train"],
                seconds["evaluate"],
                once,
                share,
                checkpoints / 2**20,
                ended.peak_mb,
                long_work / (long_work + once),
            ]
        ],
    )
    record(f"share of training and evaluation, {options.epochs} epochs", 100 * share, ">= 90 %", share >= WANTED, "%")


if __name__ == "__main__":
    main()
