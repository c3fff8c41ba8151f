from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.data.tags import ITEM, USER
from recrun.registry import DATASETS


@pytest.fixture(scope="module")
def synthetic() -> Any:
    return DATASETS.get("Synthetic")(n_users=200, n_items=150, n_interactions=4000)


def test_the_chain_of_the_seed_runs_on_generated_data(synthetic: Any) -> None:
    trainpipe = synthetic.shard_().uniform_sampling_(num_negatives=1).tensor_().split_(256)
    pipe = trainpipe.wrap_(synthetic.trisample_(batch_size=64).shard_().tensor_()).group_((USER, ITEM))
    batches = list(pipe.iterate("train", seed=0, epoch=0))
    assert pipe.n_batches("train") == len(batches)
    assert sum(len(users["user"]) for users, _ in batches) == len(synthetic.interactions("train"))
    for mode in ("valid", "test"):
        targets = [items["item"] for _, items in pipe.iterate(mode, seed=0, epoch=0)]
        assert sum(int((block == 1).sum()) for block in targets) == synthetic.csr(mode).nnz


def test_columns_read_from_a_data_set_can_be_written_to(synthetic: Any) -> None:
    for batch in synthetic.negatives_for_train_(2).tensor_().iterate("train", seed=0, epoch=0):
        assert set(batch) == {field.name for field in synthetic.fields}
        for column in batch.values():
            column.zero_()


def test_gowalla_is_drawn_without_false_negatives_in_full_batches(shared_data: Path) -> None:
    dataset = DATASETS.get("Gowalla_m1")(shared_data)
    pipe = dataset.shard_().uniform_sampling_(2).split_(2048)
    codes = dataset.interactions("train").users.astype(np.int64) * dataset.n_items + dataset.interactions("train").items
    batches = list(pipe.iterate("train", seed=0, epoch=0))
    assert [len(batch["user"]) for batch in batches] == pipe.sizes("train")
    drawn = np.concatenate([batch["user"] * dataset.n_items + batch["item"] for batch in batches])
    assert len(drawn) == len(codes)
    seen = np.isin(drawn, codes)
    assert seen[:, 0].all()
    assert not seen[:, 1:].any()
