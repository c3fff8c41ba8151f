"""Time an epoch and a full evaluation of BPR in RecBole on Gowalla.

    python benchmarks/peers/with_recbole.py --data ../shared/data/gowalla

Written from its documentation. An epoch is `Trainer.fit` with one epoch and no validation. RecBole needs a validation
part: one train interaction is moved there. Its `eval_batch_size` counts pairs; it is set to 512 users x all items,
since the default gives batches of one user.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from _peer import BATCH_SIZE, CUTOFFS, EMBEDDING_DIM, LEARNING_RATE, options, read, report, seconds_of
from _recbole import build


def write_atomic_files(source: Path, folder: Path) -> int:
    """Write gowalla.{train,valid,test}.inter; return the number of items."""
    train, test = read(source, "train"), read(source, "test")
    valid = (train[0][:1], train[1][:1])
    train = (train[0][1:], train[1][1:])
    folder.mkdir()
    for part, (users, items) in {"train": train, "valid": valid, "test": test}.items():
        with (folder / f"gowalla.{part}.inter").open("w") as file:
            file.write("user_id:token\titem_id:token\n")
            np.savetxt(file, np.stack([users, items], 1), fmt="%d", delimiter="\t")
    return int(max(train[1].max(), test[1].max())) + 1


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__)
    with tempfile.TemporaryDirectory() as temporary:
        n_items = write_atomic_files(arguments.data, Path(temporary) / "gowalla")
        negatives = {"distribution": "uniform", "sample_num": 1, "alpha": 1.0, "dynamic": False, "candidate_num": 0}
        settings = {
            "checkpoint_dir": f"{temporary}/saved",
            "benchmark_filename": ["train", "valid", "test"],
            "load_col": {"inter": ["user_id", "item_id"]},
            "embedding_size": EMBEDDING_DIM,
            "train_batch_size": BATCH_SIZE,
            "eval_batch_size": 512 * (n_items + 1),
            "learning_rate": LEARNING_RATE,
            "epochs": 1,
            "train_neg_sample_args": negatives,
            "eval_args": {"mode": "full", "order": "RO", "group_by": "user"},
            "metrics": ["Recall", "Precision", "Hit", "NDCG", "MRR", "MAP"],
            "topk": list(CUTOFFS),
            "valid_metric": "NDCG@20",
        }
        built = build("BPR", Path(temporary) / "gowalla", settings, arguments.threads)
        numbers: dict[str, float] = {}

        def train() -> None:
            built.trainer.fit(built.train_data, saved=False, verbose=False)

        def evaluate() -> None:
            numbers.update(built.trainer.evaluate(built.test_data, load_best_model=False))

        train()
        epochs = [seconds_of(train) for _ in range(arguments.epochs)]
        evaluations = [seconds_of(evaluate) for _ in range(arguments.evaluations)]
    report("recbole", epochs, evaluations, numbers, "same settings; 12 metrics")


if __name__ == "__main__":
    main()
