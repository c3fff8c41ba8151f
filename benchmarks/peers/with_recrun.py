"""Time an epoch and a full evaluation of BPR-MF in recrun on Gowalla, as the other scripts time theirs.

    python benchmarks/peers/with_recrun.py --data ../shared/data/gowalla

An epoch is `Coach.train` of the coach that `recrun train bprmf` makes, an evaluation `Coach.score` of test: 12 metrics.
"""

from __future__ import annotations

import sys
from pathlib import Path

from _peer import BATCH_SIZE, EMBEDDING_DIM, LEARNING_RATE, options, report, seconds_of

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__)
    from _common import METRICS, trained_by

    compressed = ".gz" if (arguments.data / "train.txt.gz").exists() else ""
    files = [f"{part}_path={part}.txt{compressed}" for part in ("train", "test")]
    settings = {"embedding_dim": EMBEDDING_DIM, "batch_size": BATCH_SIZE, "lr": LEARNING_RATE, "weight_decay": 0}
    settings |= {"optimizer": "adam", "n_negatives": 1, "threads": arguments.threads}
    overrides = [f"{name}={value}" for name, value in settings.items()]
    data = ["dataset=File", f"root={arguments.data}", "format=lightgcn", *files, "valid_ratio=0"]
    with trained_by([*data, *overrides]) as coach:
        coach.train(0)
        epochs = [seconds_of(lambda number=number: coach.train(number + 1)) for number in range(arguments.epochs)]
        numbers: dict[str, float] = {}

        def evaluate() -> None:
            numbers.update(coach.score("test", coach.cfg, METRICS))

        evaluations = [seconds_of(evaluate) for _ in range(arguments.evaluations)]
    report("recrun", epochs, evaluations, numbers, "dense Adam, as a run trains; 12 metrics")


if __name__ == "__main__":
    main()
