"""`recrun export`: a folder that is used without recrun, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recrun.cli.main import main
from tests.exporting.conftest import HOSTILE, run_readme

from .conftest import TINY, Outcome, trained_run

SETTINGS = ["monitors=[ndcg@5]", "which4best=ndcg@5", "device=cpu", "threads=1", "verbose=0", "seed=3"]


def _train(runs: Path, *arguments: str) -> Path:
    return trained_run(runs, *arguments, *SETTINGS)


@pytest.fixture(scope="module")
def factors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model with vectors, on data in memory."""
    return _train(tmp_path_factory.mktemp("factors"), "bprmf", *TINY, "epochs=1")


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model of weights between items."""
    return _train(tmp_path_factory.mktemp("linear"), "ease", *[each for each in TINY if each.startswith("n_")])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a file whose ids are hostile texts, with a table of items beside it."""
    folder = tmp_path_factory.mktemp("hostile")
    items = [f"{number}{text.strip() or '-'}" for number in range(3) for text in HOSTILE]
    users = [f"u{each}" for each in items]
    random = np.random.default_rng(1)
    pairs = [(user, item) for user in users for item in random.choice(items, 8, replace=False)]
    frame = pl.DataFrame({"user": [user for user, _ in pairs], "item": [str(item) for _, item in pairs]})
    frame.write_parquet(folder / "rows.parquet")
    known = items[1:]  # the first one has no row
    table = {"item": known, "title": [f"title of {each}" for each in known], "index": ["7"] * len(known)}
    pl.DataFrame({**table, "genres": [["a", "b"]] * len(known)}).write_parquet(folder / "items.parquet")
    data = ["dataset=File", f"root={folder}", "path=rows.parquet", "item_file=items.parquet", "groups=[item.genres]"]
    return _train(folder / "runs", "bprmf", *data, "embedding_dim=4", "epochs=1", "batch_size=64")


def test_every_file_is_in_the_manifest_and_none_is_a_pickle(factors: Path, recrun: Callable[..., Outcome]) -> None:
    formats = [part for name in ("npz", "parquet", "safetensors") for part in ("--format", name)]
    done = recrun("export", str(factors), "--to", "out", *formats, "--json")
    assert done.code == 0, done.err
    document, folder = json.loads(done.out), done.folder / "out"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert document.pop("export") == "out"
    assert document.pop("also") == ["onnx", "faiss"]
    assert document.pop("seconds") > 0
    assert document == manifest
    assert {file.name for file in folder.iterdir()} == {"manifest.json", *manifest["files"]}
    for name, entry in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        assert not _is_pickle(content), name
    for name in zipfile.ZipFile(folder / "model.npz").namelist():
        assert not _is_pickle(zipfile.ZipFile(folder / "model.npz").read(name))
    for name, values in np.load(folder / "model.npz", allow_pickle=False).items():
        assert values.dtype.kind in "iufU", name
    assert manifest["metrics"]["test"] == json.loads((factors / "metrics.json").read_text())["test"]
    assert manifest["run"] == "/".join(factors.parts[-3:])
    assert str(factors.parents[3]) not in json.dumps(manifest) + (folder / "README.md").read_text()
    assert manifest["counts"] == {"users": 60, "items": 40, "known_interactions": 900}


def _is_pickle(content: bytes) -> bool:
    """Return whether bytes begin with a whole pickle."""
    if content[:1] not in (b"\x80", b"(", b"]", b"}", b"c", b"K", b"X"):
        return False
    try:
        for _ in pickletools.genops(content):
            pass
    except Exception:  # whatever a disassembler raises
        return False
    return True


def test_a_pickle_would_be_found() -> None:
    assert _is_pickle(b"\x80\x04K\x01.")
    assert not _is_pickle(b"PK\x03\x04")


def test_hostile_ids_and_the_table_of_items_arrive_whole(hostile: Path, recrun: Callable[..., Outcome]) -> None:
    formats = [part for name in ("npz", "parquet", "safetensors") for part in ("--format", name)]
    done = recrun("export", str(hostile), "--to", "out", *formats)
    assert done.code == 0, done.err
    folder = done.folder / "out"
    rows = pl.read_parquet(hostile.parents[3] / "rows.parquet")
    users, wanted = set(rows["user"]), set(rows["item"])
    assert any("\n" in each for each in users)
    seen = pl.read_parquet(folder / "seen.parquet")
    assert set(seen.select("user", "item").iter_rows()) == set(rows.iter_rows())
    items = pl.read_parquet(folder / "items.parquet")
    assert items["index"].to_list() == list(range(len(wanted)))
    assert items.columns == ["index", "item", "n_train", "n_known", "title", "index_of_file", "genres"]
    for item, title, genres in items.select("item", "title", "genres").iter_rows():
        is_known = title is not None
        assert title in (None, f"title of {item}")
        assert genres == (["a", "b"] if is_known else [])
    assert items["title"].null_count() == 1
    answers = [run_readme(folder, name, sorted(users)) for name in ("npz", "parquet", "safetensors")]
    for one in answers:
        assert [[item for item, _ in found] for found in one] == [[item for item, _ in found] for found in answers[0]]
        for user, found in zip(sorted(users), one, strict=True):
            own = set(rows.filter(pl.col("user") == user)["item"])
            assert {item for item, _ in found} == wanted - own or len(found) == 20
            assert not {item for item, _ in found} & own


def test_the_catalogue_has_the_table_that_a_data_set_comes_with(
    shared_data: Path, recrun: Callable[..., Outcome]
) -> None:
    run = _train(Path("runs"), "popularity", "dataset=MovieLens100K", f"root={shared_data}")
    done = recrun("export", str(run), "--to", "out", "--as-of", "test")
    assert done.code == 0, done.err
    items = pl.read_parquet(done.folder / "out" / "items.parquet")
    (toy_story,) = items.filter(pl.col("item") == 1).to_dicts()
    assert toy_story["title"] == "Toy Story (1995)"
    assert toy_story["genres"] == ["Animation", "Children's", "Comedy"]
    vectors = pl.read_parquet(done.folder / "out" / "item_vectors.parquet")
    assert items["n_train"].to_list() == [int(each[0]) for each in vectors["vector"].to_list()]
    assert (items["n_train"] <= items["n_known"]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--format", "onnx", "--neighbors", "3"],
            "--neighbors has no effect: bprmf has no weights between items to cut",
        ),
        (["--index", "hnsw"], "--index hnsw has no effect without --format faiss"),
        (["device=cpu"], "device cannot be changed here"),
        (["epochs=3"], "cannot be changed here; only root, device, threads, eval_memory can"),
        (["rubbish"], "expected KEY=VALUE, found 'rubbish'"),
    ],
)
def test_what_has_no_effect_is_refused_before_anything_is_written(
    arguments: list[str], message: str, factors: Path, recrun: Callable[..., Outcome]
) -> None:
    done = recrun("export", str(factors), "--to", "out", *arguments)
    assert done.code == 2
    assert message in done.err
    assert list(done.folder.iterdir()) == []


def test_a_run_folder_takes_no_export(factors: Path, recrun: Callable[..., Outcome]) -> None:
    done = recrun("export", str(factors), "--to", str(factors / "exported"))
    assert done.code == 2
    assert "it lies in the folder of the run" in done.err
    assert not (factors / "exported").exists()


def test_a_model_that_predicts_labels_is_refused(tmp_path: Path, recrun: Callable[..., Outcome]) -> None:
    run = _train_labels(tmp_path)
    done = recrun("export", str(run), "--to", "out")
    assert done.code == 2
    assert "predicts labels" in done.err


def _train_labels(folder: Path) -> Path:
    with pytest.raises(SystemExit) as exit:
        main(["train", "lr", "epochs=1", "n_rows=4000", "device=cpu", "verbose=0", "--runs", str(folder / "runs")])
    assert exit.value.code in (0, None)
    return (folder / "runs" / "latest").resolve()


def test_a_model_that_does_not_fit_is_refused(linear: Path, recrun: Callable[..., Outcome]) -> None:
    done = recrun("export", str(linear), "--to", "out", "--format", "faiss")
    assert done.code == 2
    assert "ease does not fit format faiss: it has no vectors; formats: npz, parquet, safetensors, onnx" in done.err
    assert list(done.folder.iterdir()) == []


def test_the_weights_of_a_linear_model_can_be_cut(linear: Path, recrun: Callable[..., Outcome]) -> None:
    done = recrun("export", str(linear), "--to", "out", "--neighbors", "5")
    assert done.code == 0, done.err
    table = pl.read_parquet(done.folder / "out" / "item_weights.parquet")
    assert table.group_by("item").len()["len"].max() == 5
    assert "weights: 5 of each item kept; share of the top 20 that is the same as with all: 0." in done.out


def test_a_missing_extra_is_one_error_before_work_starts(
    factors: Path, recrun: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recrun.exporting import formats

    monkeypatch.setattr(formats, "is_installed", lambda name: False)
    done = recrun("export", "/nowhere", "--to", "out", "--format", "faiss")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "pip install 'recrun[faiss]'" in done.err


def test_an_export_is_replaced_by_force_and_nothing_else_is(factors: Path, recrun: Callable[..., Outcome]) -> None:
    assert recrun("export", str(factors), "--to", "out", "--no-users").code == 0
    again = recrun("export", str(factors), "--to", "out")
    assert again.code == 2
    assert "replace it with --force" in again.err
    assert recrun("export", str(factors), "--to", "out", "--force", "--format", "npz").code == 0
    assert (again.folder / "out" / "users.parquet").exists()
    assert not (again.folder / "out" / "item_vectors.parquet").exists()
    (again.folder / "out" / "mine.txt").write_text("mine")
    assert recrun("export", str(factors), "--to", "out", "--force").code == 2
    assert (again.folder / "out" / "mine.txt").read_text() == "mine"


def test_a_failed_check_leaves_nothing_and_exits_with_1(
    factors: Path, recrun: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    from recrun.exporting import onnx

    monkeypatch.setattr(onnx, "TOLERANCE", -1.0)
    done = recrun("export", str(factors), "--to", "out", "--format", "onnx")
    assert done.code == 1
    assert done.err.startswith("error: the exported network differs from the model")
    assert done.err.count("\n") == 1
    assert list(done.folder.iterdir()) == []


def test_the_same_run_makes_the_same_files(factors: Path, recrun: Callable[..., Outcome]) -> None:
    hashes: list[dict[str, Any]] = []
    for name in ("one", "two"):
        formats = ["--format", "npz", "--format", "safetensors", "--format", "parquet"]
        done = recrun("export", str(factors), "--to", name, "--json", *formats)
        hashes.append(json.loads(done.out)["files"])
    assert hashes[0] == hashes[1]
