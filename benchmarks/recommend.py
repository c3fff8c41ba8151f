"""Compare `recrun recommend` for all users of Gowalla with one evaluation, as whole processes.

    python benchmarks/recommend.py [--runs 3]

Matrix factorisation is trained for one epoch. Then `recrun eval` (recall and ndcg at 10 and 20) and `recrun recommend`
with lists of 20, to parquet, CSV and JSON lines, take turns, all for the same 29,858 users. Each loads the run and its
data first.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from _common import Ended, gowalla, machine, median, record, recrun, run_child, table

WANTED = 1.3
FORMATS = ("parquet", "csv", "jsonl")


def main() -> None:
    """Train, time the commands in turn, and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="how often each command is timed")
    options = parser.parse_args()
    name, data = gowalla()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run_child(recrun("train", "bprmf", *data, "epochs=1", "--no-plots", "-q"), folder)
        run = str((folder / "runs" / "latest").resolve())
        commands = {"eval": recrun("eval", "--checkpoint", run, "-q", "--json")}
        for each in FORMATS:
            commands[f"recommend to {each}"] = recrun(
                "recommend", "--checkpoint", run, "-q", "-k", "20", "--to", f"all.{each}"
            )
        ended: dict[str, list[Ended]] = {command: [] for command in commands}
        for _ in range(options.runs):
            for command, arguments in commands.items():
                ended[command].append(run_child(arguments, folder))
    print(f"{name}; {options.runs} processes each; {machine()}")
    middle = {command: median(each.seconds for each in found) for command, found in ended.items()}
    rows = [
        [command, middle[command], min(each.seconds for each in found), middle[command] / middle["eval"], peak(found)]
        for command, found in ended.items()
    ]
    table(["command", "median s", "best s", "ratio to eval", "peak MB"], rows)
    worst = max(middle[f"recommend to {each}"] for each in FORMATS) / middle["eval"]
    record("recommend to all users / one evaluation", worst, f"<= {WANTED}", worst <= WANTED, unit="")


def peak(found: Sequence[Ended]) -> float:
    """Return the largest memory of some processes, in MB."""
    return max(each.peak_mb for each in found)


if __name__ == "__main__":
    main()
