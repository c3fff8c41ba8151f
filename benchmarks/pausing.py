"""Measure what pauses add to a run: the same run in one process, and in pieces by `--until` and `--resume`.

    python benchmarks/pausing.py [--rounds 5] [--epochs 6] [--config CONFIG] [KEY=VALUE ...]

Both are trained in turns, as trials of a sweep are: one thread, no test, no plots. A piece costs a process that imports
torch, loads the data and reads the state, and the writing of that state. What starting takes without any training is
shown beside it: `--until` the epoch at which the run has paused already. The metrics of both runs must be the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _common import REPOSITORY, json_of, machine, median, recrun, run_child, table

CONFIG = str(REPOSITORY / "configs" / "synthetic" / "bprmf.yaml")
ALIKE = ("device=cpu", "threads=1", "verbose=0", "eval_test=false", "early_stop_patience=null", "seed=1")


def train(*arguments: str) -> tuple[float, float, dict[str, Any]]:
    """Return the seconds and the processor seconds of `recrun train`, and what it prints as JSON."""
    ended = run_child(recrun("train", *arguments, "--no-plots", "--json"), OMP_NUM_THREADS="1")
    return ended.seconds, ended.cpu, json_of(ended.output)


def in_pieces(given: Sequence[str], pauses: Sequence[int]) -> tuple[list[float], list[float], dict[str, Any]]:
    """Train a run with pauses; return the seconds and processor seconds of it, and of a start without training.

    Raises:
        RuntimeError: it did not pause where it should.
    """
    spent, start = [0.0, 0.0], [0.0, 0.0]
    run: list[str] = [*given, "id=pieces"]
    for until in pauses:
        *seconds, document = train(*run, "--until", str(until))
        if document.get("status") != "paused" or document["epoch"] != until:
            raise RuntimeError(f"expected a pause at epoch {until}, found {document}")
        spent = [sum(each) for each in zip(spent, seconds, strict=True)]
        run = ["--resume", document["run"]]
        *start, _ = train(*run, "--until", str(until))
    *seconds, document = train(*run)
    return [sum(each) for each in zip(spent, seconds, strict=True)], start, document


def history(run: str) -> list[dict[str, Any]]:
    """Return the lines of a run's history, without times."""
    lines = (Path(run) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--config", default=CONFIG)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    if options.epochs < 3 or options.rounds < 1:
        parser.error("--epochs must be at least 3, and --rounds at least 1")
    pauses = [options.epochs // 3, 2 * options.epochs // 3]
    settings = [options.config, f"epochs={options.epochs}", *ALIKE, *options.overrides]
    whole, pieces, starts = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        train(*settings, "--runs", f"{folder}/first")  # fills the cache
        for number in range(options.rounds):
            given = [*settings, "--runs", f"{folder}/{number}"]
            *seconds, through = train(*given, "id=whole")
            spent, start, paused = in_pieces(given, pauses)
            if history(through["run"]) != history(paused["run"]) or through["valid"] != paused["valid"]:
                sys.exit("a run in pieces has other numbers than one that ran through")
            whole.append(seconds), pieces.append(spent), starts.append(start)
    print(f"{Path(options.config).stem}, {options.epochs} epochs, pauses at {pauses}; {machine(1)}")
    rows = []
    for place, name in enumerate(("wall", "processor")):
        added = [(cut[place] - one[place]) / len(pauses) for cut, one in zip(pieces, whole, strict=True)]
        of = [median([each[place] for each in group]) for group in (whole, pieces, starts)]
        rows.append([name, *of, median(added)])
    table(["seconds", "in one piece", "with pauses", "a start alone", "added by a pause"], rows)


if __name__ == "__main__":
    main()
