"""Time an epoch and a full evaluation of BPR-MF in recrun on Gowalla, as the other scripts time theirs.

    python benchmarks/peers/with_recrun.py --data ../shared/data/gowalla [--closed-form]

An epoch is `Coach.train` of the coach that `recrun train bprmf` makes, an evaluation `Coach.score` of test: 12 metrics.
With `--closed-form`, the fits of iALS and nearest neighbours that implicit has too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from _peer import (
    BATCH_SIZE,
    EMBEDDING_DIM,
    LEARNING_RATE,
    N_ITERATIONS,
    N_NEIGHBORS,
    options,
    report,
    report_fits,
    seconds_of,
)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


def fits_on(data: TrainingData) -> dict[str, Callable[[], object]]:
    """Return the fits to be timed, by name."""
    from recrun.models.ials import IALS
    from recrun.models.itemknn import ItemKNN
    from recrun.models.userknn import UserKNN

    models = {
        "ials": IALS(data, embedding_dim=EMBEDDING_DIM, n_iterations=N_ITERATIONS),
        "itemknn": ItemKNN(data, n_neighbors=N_NEIGHBORS),
        "userknn": UserKNN(data, n_neighbors=N_NEIGHBORS),
    }
    return {name: partial(model.fit, data) for name, model in models.items()}


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__)
    from recrun.training.torch_workarounds import let_threads_sleep

    let_threads_sleep()  # as `recrun` does, before torch is imported
    from _common import METRICS, trained_by

    compressed = ".gz" if (arguments.data / "train.txt.gz").exists() else ""
    files = [f"{part}_path={part}.txt{compressed}" for part in ("train", "test")]
    settings = {"embedding_dim": EMBEDDING_DIM, "batch_size": BATCH_SIZE, "lr": LEARNING_RATE, "weight_decay": 0}
    settings |= {"optimizer": "adam", "n_negatives": 1, "threads": arguments.threads}
    overrides = [f"{name}={value}" for name, value in settings.items()]
    data = ["dataset=File", f"root={arguments.data}", "format=lightgcn", *files, "valid_ratio=0"]
    with trained_by([*data, *overrides]) as coach:
        if arguments.closed_form:
            report_fits("recrun", fits_on(coach.dataset.base.training_data()))
            return
        coach.train(0)
        epochs = [seconds_of(lambda number=number: coach.train(number + 1)) for number in range(arguments.epochs)]
        numbers: dict[str, float] = {}

        def evaluate() -> None:
            numbers.update(coach.score("test", coach.cfg, METRICS))

        evaluations = [seconds_of(evaluate) for _ in range(arguments.evaluations)]
    report("recrun", epochs, evaluations, numbers, "dense Adam, as a run trains; 12 metrics")


if __name__ == "__main__":
    main()
