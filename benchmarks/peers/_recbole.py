"""Build a model of RecBole with its data and its trainer, for the scripts that run in RecBole's environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Built(NamedTuple):
    """What RecBole makes of a config."""

    train_data: Any
    test_data: Any
    model: Any
    trainer: Any


def build(model: str, data: Path, settings: Mapping[str, Any], threads: int) -> Built:
    """Return a model on the processor with Adam of rate 1e-3.

    Args:
        model: its name.
        data: a folder named after the data set, with its files.
        settings: what is set besides.
        threads: how many threads compute.
    """
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    always = {"data_path": str(data.parent), "use_gpu": False, "show_progress": False, "learner": "adam"}
    config = Config(model=model, dataset=data.name, config_dict={**always, "learning_rate": 1e-3, **settings})
    torch.set_num_threads(threads)
    init_seed(1, True)
    train_data, _, test_data = data_preparation(config, create_dataset(config))
    made = get_model(config["model"])(config, train_data.dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, made)
    return Built(train_data, test_data, made, trainer)
