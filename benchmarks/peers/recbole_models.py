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
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    config = Config(
        model=options.model,
        dataset=options.data.name,
        config_dict={
            "data_path": str(options.data.parent),
            "use_gpu": False,
            "show_progress": False,
            "learner": "adam",
            "learning_rate": 1e-3,
            "metrics": ["NDCG"],
            "topk": [10],
            "valid_metric": "NDCG@10",
            **options.settings,
        },
    )
    torch.set_num_threads(options.threads)
    init_seed(1, True)
    dataset = create_dataset(config)
    train_data, _, _ = data_preparation(config, dataset)
    model = get_model(config["model"])(config, train_data.dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    model.train()
    batches = iter(train_data)

    def step() -> None:
        batch = next(batches).to(config["device"])
        trainer.optimizer.zero_grad()
        model.calculate_loss(batch).backward()
        trainer.optimizer.step()

    step()
    print(json.dumps({"steps": len(train_data), "seconds": [seconds_of(step) for _ in range(options.steps)]}))


if __name__ == "__main__":
    main()
