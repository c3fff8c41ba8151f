"""Time an epoch of BPR-MF on Gowalla in recrun's training loop, and show where the time goes.

    python benchmarks/epoch.py [--rounds 5] [--threads 2] [--optimizers adam lazy_adam]

The Coach is made as by `recrun train bprmf`, without reporters: embedding 64, batch 2,048, one uniform negative that is
not a train positive, dense Adam (fused), all 810,128 train interactions. An epoch is `Coach.train`: sampling, batches,
loss, backward pass, optimizer, finite checks. Optimizers take turns, so that a busy machine slows all of them alike;
the first epoch of each is not counted. Without Gowalla, synthetic data of its size is used, and the output says so.
`--json` prints the seconds of every epoch. "Data" is sampling and batches, "bookkeeping" the mean loss and the finite
checks.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack

from _common import cpu_seconds, gowalla, machine, median, record, seconds_of, table, trained_by

ACTIVITIES = ("data", "forward", "backward", "optimizer", "bookkeeping")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="counted epochs of each optimizer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--optimizers", nargs="+", default=["adam", "lazy_adam"])
    parser.add_argument("--json", action="store_true", help="print the seconds of every epoch as JSON")
    options = parser.parse_args()
    data, overrides = gowalla()
    seconds: dict[str, list[float]] = {name: [] for name in options.optimizers}
    cpu: dict[str, list[float]] = {name: [] for name in options.optimizers}
    parts: dict[str, list[dict[str, float]]] = {name: [] for name in options.optimizers}
    with ExitStack() as stack:
        coaches = {
            name: stack.enter_context(
                trained_by([*overrides, f"optimizer={name}", "lr=1e-3", "weight_decay=0", f"threads={options.threads}"])
            )
            for name in options.optimizers
        }
        for number in range(options.rounds + 1):
            for name, coach in coaches.items():
                coach.stopwatch.book("other")
                coach.stopwatch.seconds.clear()
                before = cpu_seconds()
                taken = seconds_of(lambda coach=coach, number=number: coach.train(number))
                if number:
                    seconds[name].append(taken)
                    cpu[name].append(cpu_seconds() - before)
                    parts[name].append(dict(coach.stopwatch.seconds))
        n_steps = next(iter(coaches.values())).dataset.n_batches("train")
    if options.json:
        print(json.dumps({"data": data, "seconds": seconds}))
        return
    print(f"{data}, {n_steps} steps per epoch; {machine(options.threads)}")
    rows = []
    for name in options.optimizers:
        shares = [median(part.get(activity, 0.0) for part in parts[name]) for activity in ACTIVITIES]
        rest = median(taken - sum(part.values()) for taken, part in zip(seconds[name], parts[name], strict=True))
        rows.append([name, median(seconds[name]), min(seconds[name]), median(cpu[name]), *shares, rest])
    table(["optimizer", "median s", "best s", "cpu s", *ACTIVITIES, "rest"], rows)
    wanted = {"adam": 1.5, "lazy_adam": 0.5}
    for name in options.optimizers:
        if name in wanted:
            taken = median(seconds[name])
            record(f"epoch, {name}", taken, f"<= {wanted[name]} s", taken <= wanted[name])


if __name__ == "__main__":
    main()
