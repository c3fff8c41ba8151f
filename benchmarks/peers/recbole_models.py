"""Time training steps of a model in RecBole, for `models.py`.

    python benchmarks/peers/recbole_models.py --data FOLDER --model SASRec --settings '{"n_layers": 2}' --steps 12

FOLDER is named after the data set and holds its file FOLDER.inter. A step is what `Trainer.fit` does with a batch:
loss, backward pass, and optimizer. Written from its documentation.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import _peer
from _peer import seconds_of
from _recbole import build


def main() -> None:
    """Measure, and print the seconds of each step and the steps of an epoch as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--settings", type=json.loads, default={})
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    if options.cpu_time:
        import time

        _peer.clock = time.process_time
    settings = {"metrics": ["NDCG"], "topk": [10], "valid_metric": "NDCG@10", **options.settings}
    built = build(options.model, options.data, settings, options.threads)
    built.model.train()
    batches = iter(built.train_data)

    def step() -> None:
        batch = next(batches).to(built.model.device)
        built.trainer.optimizer.zero_grad()
        built.model.calculate_loss(batch).backward()
        built.trainer.optimizer.step()

    step()
    print(json.dumps({"steps": len(built.train_data), "seconds": [seconds_of(step) for _ in range(options.steps)]}))


if __name__ == "__main__":
    main()
