"""A run is served with the lists that its evaluation ranked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recrun.serving.served import open_served

from .conftest import Asked, train


def test_metrics_of_the_served_lists_are_those_of_the_run(make_app: Callable[..., Asked], run: Path) -> None:
    reported = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["test"]
    name = next(name for name in reported if name.startswith("recall@"))
    served = open_served(run, as_of="test")
    base, users, items = served.recommender.base, served.recommender.users, served.recommender.items
    ask = make_app(served)
    k, relevant = int(name.partition("@")[2]), base.csr("test")
    recalls = []
    for user in np.flatnonzero(relevant.lengths):
        [entry] = ask("POST", "/recommend", {"users": [users.ids[user].item()], "k": k})[1]["recommendations"]
        wanted = set(items.originals(relevant.row(user)).tolist())
        recalls.append(len(wanted & set(entry["items"])) / len(wanted))
    assert np.mean(recalls) == pytest.approx(reported[name], rel=1e-12)


def test_a_model_of_sequences_reads_new_histories(make_app: Callable[..., Asked], tmp_path: Path) -> None:
    run = train(tmp_path, "max_length=10", "n_layers=1", config="sasrec")
    served = open_served(run)
    ask = make_app(served)
    items = served.recommender.items.ids[:5].tolist()
    forth = ask("POST", "/recommend", {"history": items, "k": 5})[1]["recommendations"][0]
    back = ask("POST", "/recommend", {"history": items[::-1], "k": 5})[1]["recommendations"][0]
    assert len(forth["items"]) == 5
    assert not set(forth["items"]) & set(items)
    assert forth["scores"] != back["scores"]


def test_what_is_served_has_the_name_of_its_run_and_no_path(run: Path) -> None:
    about = open_served(run).about
    assert (about.run, about.model, about.as_of) == (run.name, "bprmf", "end")
    assert (about.n_users, about.n_items) == (60, 40)


def test_a_checkpoint_alone_is_served(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.write_bytes((run / "checkpoints" / "best" / "checkpoint.safetensors").read_bytes())
    assert open_served(file).about.run == "mine"
