"""Time a trial of a sweep against the same run by `recrun train`: what starting, watching and recording trials adds.

    python benchmarks/sweep_overhead.py [--trials 10] [--rounds 3]

Both train matrix factorisation on the embedded data for one epoch, one run after another, with one thread. A sweep's
own start and end are shared by its trials, so the time of a repetition that trains nothing is taken off, and shown.
"""

from __future__ import annotations

import argparse
import tempfile

from _common import machine, median, record, recrun, run_child, table

LIMIT = 0.3
SETTINGS = ("epochs=1", "threads=1", "eval_test=false", "plots=false")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    alone, within, empty = [], [], []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(options.trials):
                command = recrun("train", "bprmf", f"seed={seed}", *SETTINGS, "--json", "--runs", folder)
                alone.append(run_child(command).seconds)
            values = ",".join(f"1e-{2 + trial // 9}{trial % 9}" for trial in range(options.trials))
            settings = [each for each in SETTINGS if not each.startswith("eval_test")]
            sweep = recrun("sweep", "bprmf", f"lr={values}", *settings, "--json", "-q", "--runs", folder)
            first = run_child(sweep).seconds
            empty.append(run_child(sweep).seconds)
            within.append((first - empty[-1]) / options.trials)
    added = median(within) - median(alone)
    print(machine())
    rows = [
        ["recrun train", f"{median(alone):.2f}"],
        ["a trial of recrun sweep", f"{median(within):.2f}"],
        ["difference", f"{added:.2f}"],
        ["the sweep itself, with nothing to train", f"{median(empty):.2f}"],
    ]
    table(["what", "seconds"], rows)
    record("a trial of a sweep beyond recrun train", added, f"< {LIMIT}", added < LIMIT, unit="s")


if __name__ == "__main__":
    main()
