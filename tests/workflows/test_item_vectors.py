"""Runs whose models read vectors of the items from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from recrun.config.resolve import resolve
from recrun.data.datasets import Synthetic
from recrun.errors import CheckpointError, ConfigError, DataError
from recrun.sweep.same_data import DataFiles
from recrun.training.coach import Coach
from recrun.workflows.build import build, prepare
from recrun.workflows.evaluate import evaluate
from recrun.workflows.export import export
from recrun.workflows.recommender import open_recommender

SMALL = [
    *("dataset=File", "path=rows.csv", "item_vectors=[deep/text.parquet,image.npy]", "embedding_dim=8", "epochs=3"),
    *("batch_size=128", "lr=0.01", "device=cpu", "threads=1", "verbose=0", "plots=false", "early_stop_patience=null"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rows of a small data set, and two files of vectors of its items."""
    data = Synthetic(n_users=60, n_items=40, n_interactions=900)
    data.use_item_vectors()
    vectors = data.training_data().item_vectors["synthetic"]
    parts = [data.interactions(part) for part in ("train", "valid", "test")]
    rows = [f"{u},i{i}" for part in parts for u, i in zip(part.users.tolist(), part.items.tolist(), strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["user,item", *rows]), encoding="utf-8")
    (tmp_path / "deep").mkdir()
    ids = [f"i{item}" for item in range(40)]
    pl.DataFrame({"item": ids, "text": vectors[:, :20].tolist()}).write_parquet(tmp_path / "deep" / "text.parquet")
    np.save(tmp_path / "image.npy", vectors[::-1, 20:])
    (tmp_path / "image.ids").write_text("\n".join(ids[::-1]), encoding="utf-8")
    return tmp_path


def _given(*options: str) -> list[str]:
    keys = {each.partition("=")[0] for each in options}
    return [*(each for each in SMALL if each.partition("=")[0] not in keys), *options]


def _coach(folder: Path, *options: str, model: str = "vbpr") -> Coach:
    resolved = resolve(model, _given(f"root={folder}", *options))
    return prepare(resolved, runs=folder / "runs", reporters=lambda run, epoch: [])


def _trained(folder: Path, *options: str, model: str = "vbpr") -> Coach:
    coach = _coach(folder, *options, model=model)
    coach.fit()
    return coach


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("model", ["vbpr", "freedom"])
def test_a_run_records_the_vectors_and_its_model_is_evaluated_with_them(folder: Path, model: str) -> None:
    coach = _trained(folder, model=model)
    data = _json(coach.run.run_file)["data"]
    assert {"deep/text.parquet", "image.npy", "image.ids", "split"} < set(data)
    assert evaluate(coach.run.path, [])["metrics"] == _json(coach.run.metrics_file)["test"]
    recommender, loaded = open_recommender(coach.run.path)
    users, items = coach.model.eval().vectors()
    torch.testing.assert_close(loaded.coach.model.vectors(), (users, items))
    best = (users @ items.T)[3].topk(5).indices
    assert [each.items_BK.tolist() for each in recommender.recommend(np.array([3]), 5)] == [[best.tolist()]]
    document = export(coach.run.path, folder / "out")
    assert document["data"]["text.parquet"] == data["deep/text.parquet"]
    files = {path.name for path in (folder / "out").iterdir()}
    assert not any("text" in name or "image" in name for name in files), "vectors are folded into those of items"


def test_a_run_that_is_resumed_is_the_one_that_was_not_stopped(folder: Path) -> None:
    whole, first = _trained(folder), _trained(folder, "id=y", "epochs=1")
    resumed = _trained(folder, "id=y", "resume=true")
    assert first.run.path == resumed.run.path
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], tensor), name


def test_the_vectors_are_no_part_of_the_state(folder: Path) -> None:
    state = _coach(folder).model.state_dict()
    assert "features" not in state
    assert not any(tensor.shape[-1] == 32 and len(tensor) == 40 for tensor in state.values())


def test_changed_vectors_are_refused(folder: Path) -> None:
    coach = _trained(folder, "id=x", "epochs=1")
    array = np.load(folder / "image.npy")
    np.save(folder / "image.npy", array + 1)
    with pytest.raises(DataError, match=r"the file image\.npy has changed"):
        evaluate(coach.run.path, [])
    with pytest.raises((DataError, CheckpointError), match=r"the file image\.npy has changed"):
        _trained(folder, "id=x", "resume=true")
    changes = DataFiles().changes(coach.run, resolve("vbpr", _given(f"root={folder}")).config)
    assert len(changes) == 1
    assert "image.npy has changed" in changes[0]
    np.save(folder / "image.npy", array)
    assert DataFiles().changes(coach.run, resolve("vbpr", _given(f"root={folder}")).config) == []
    assert evaluate(coach.run.path, [])["metrics"]


def test_nothing_is_started_without_a_vector_of_each_item(folder: Path) -> None:
    (folder / "image.ids").write_text("\n".join(f"j{item}" for item in range(40)), encoding="utf-8")
    with pytest.raises(DataError, match="40 of the 40 items of the data have no row: i0, i1, i10"):
        _coach(folder)
    assert not (folder / "runs").exists()


REFUSED = {
    "no vectors": (["item_vectors=[]"], "model vbpr reads vectors of the items, of which File has none; name"),
    "another model": (["model=bprmf", "content_dim=8"], "model bprmf reads no vectors of items; remove the setting"),
    "another ending": (["item_vectors=[a.csv]"], r"expected files that end in \.parquet, \.pq, \.npy, found 'a\.csv'"),
    "one name": (["item_vectors=[x/a.npy,a.parquet]"], "'x/a.npy' and 'a.parquet' would both be called 'a'"),
    "no list": (["item_vectors=a.npy"], "a list of text values"),
}  # fmt: skip


@pytest.mark.parametrize(("overrides", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_config_whose_vectors_do_not_fit_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("vbpr", _given(*overrides))


def test_a_model_that_is_built_without_a_config_says_what_it_lacks() -> None:
    from recrun.models.freedom import FREEDOM
    from recrun.models.vbpr import VBPR

    for model in (VBPR, FREEDOM):
        with pytest.raises(ConfigError, match="reads vectors of the items, and the data has none; name their files"):
            model(Synthetic(n_users=40, n_items=30, n_interactions=400).training_data())


def test_vectors_of_a_script_are_those_of_a_config(folder: Path) -> None:
    from recrun.data.datasets import File

    data = File(folder, path="rows.csv")
    data.use_item_vectors(["deep/text.parquet"])
    built = build(resolve("vbpr", _given(f"root={folder}", "item_vectors=[deep/text.parquet]")))
    theirs = built.dataset.base.training_data().item_vectors
    assert theirs.keys() == {"text"}
    assert np.array_equal(theirs["text"], data.training_data().item_vectors["text"])


def test_a_data_set_of_ones_own_may_bring_vectors(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import numpy as np\n"
        "from recrun.data.datasets.synthetic import Synthetic\n"
        "from recrun.registry import DATASETS\n\n\n"
        '@DATASETS.register("WithVectors", item_vectors=True)\n'
        "class WithVectors(Synthetic):\n"
        "    def own_item_vectors(self):\n"
        '        return {"text": np.eye(self.n_items)[:, :5]}\n',
        encoding="utf-8",
    )
    sizes = ["n_users=60", "n_items=40", "n_interactions=900", "device=cpu"]
    vectors = build(resolve("vbpr", [f"dataset={tmp_path}/own.py:WithVectors", *sizes])).dataset.base.training_data()
    assert (vectors.item_vectors["text"] == np.eye(40, dtype=np.float32)[:, :5]).all()
