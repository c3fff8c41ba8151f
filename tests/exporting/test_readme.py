"""The programs in an export's README recommend what recrun does, and need neither recrun nor torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recrun.exporting.material import Material
from recrun.exporting.write import write_export

from .conftest import expect_same, histories_of, lists_of, run_readme

ABOUT = {"recrun": "0", "dataset": "Synthetic", "run": None}
ARRAYS = ("npz", "parquet", "safetensors")


@pytest.mark.parametrize("model", ["bprmf", "simplex", "popularity", "sasrec"])
@pytest.mark.parametrize("name", ARRAYS)
def test_products_of_vectors_recommend_the_same(
    model: str, name: str, material_of: Callable[..., Material], tmp_path: Path
) -> None:
    material = material_of(model, as_of="test", hostile=True)
    write_export(material, tmp_path, [name], ABOUT)
    expected = lists_of(material)
    answers = run_readme(tmp_path, name, list(expected))
    for found, wanted in zip(answers, expected.values(), strict=True):
        expect_same(found, wanted)


@pytest.mark.parametrize(
    ("model", "as_of"), [("ease", "valid"), ("slim", "end"), ("itemknn", "valid"), ("rp3beta", "end")]
)
@pytest.mark.parametrize("name", ARRAYS)
def test_weights_between_items_recommend_the_same(
    model: str, as_of: str, name: str, material_of: Callable[..., Material], tmp_path: Path
) -> None:
    material = material_of(model, as_of=as_of, hostile=True)
    write_export(material, tmp_path, [name], ABOUT)
    histories, expected = histories_of(material), lists_of(material)
    answers = run_readme(tmp_path, name, list(histories.values()))
    for found, wanted in zip(answers, expected.values(), strict=True):
        expect_same(found, wanted)


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_an_index_recommends_what_the_vectors_do(
    index: str, material_of: Callable[..., Material], tmp_path: Path
) -> None:
    pytest.importorskip("faiss")
    from recrun.exporting.written import Request

    material = material_of("bprmf", as_of="end", hostile=True)
    request = Request(index=index)  # type: ignore[arg-type]
    manifest = write_export(material, tmp_path, ["faiss", "npz"], ABOUT, request=request)
    checks = manifest["checks"]["faiss"]
    assert checks["index"] == index
    expected = lists_of(material)
    answers = run_readme(tmp_path, "faiss", list(expected))
    hits = sum(
        len({item for item, _ in found} & {item for item, _ in wanted})
        for found, wanted in zip(answers, expected.values(), strict=True)
    )
    places = sum(map(len, expected.values()))
    assert hits / places == pytest.approx(checks["recall@20"], abs=0.01)  # the check has all 60 users
    if index != "ivf":
        assert checks["recall@20"] > 0.99


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "as_of"),
    [("sasrec", "end"), ("gru4rec", "test"), ("bert4rec", "valid"), ("multvae", "end"), ("ease", "end")],
)
def test_a_network_recommends_the_same_from_histories(
    model: str, as_of: str, material_of: Callable[..., Material], tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    material = material_of(model, as_of=as_of, hostile=True)
    manifest = write_export(material, tmp_path, ["onnx"], ABOUT)
    assert manifest["checks"]["onnx"]["rows"] > 40
    histories, expected = histories_of(material), lists_of(material)
    answers = run_readme(tmp_path, "onnx", list(histories.values()))
    for found, wanted in zip(answers, expected.values(), strict=True):
        expect_same(found, wanted, 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["bprmf", "neumf"])
def test_a_network_recommends_the_same_to_users(
    model: str, material_of: Callable[..., Material], tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    material = material_of(model, as_of="test", hostile=True)
    write_export(material, tmp_path, ["onnx"], ABOUT)
    expected = lists_of(material)
    answers = run_readme(tmp_path, "onnx", list(expected))
    for found, wanted in zip(answers, expected.values(), strict=True):
        expect_same(found, wanted, 2e-5)


@pytest.mark.parametrize("names", [("npz",), ("parquet",), ("safetensors",), ("faiss", "npz"), ("faiss", "parquet")])
def test_without_users_the_programs_find_similar_items(
    names: tuple[str, ...], material_of: Callable[..., Material], tmp_path: Path
) -> None:
    if "faiss" in names:
        pytest.importorskip("faiss")
    material = material_of("bprmf", with_users=False, hostile=True)
    write_export(material, tmp_path, names, ABOUT)
    items = material.item_ids.tolist()
    answers = run_readme(tmp_path, names[0], items)
    assert all(
        len(found) == 20 and item not in dict(map(tuple, found)) for item, found in zip(items, answers, strict=True)
    )
    if "faiss" not in names:
        recommender = material.recommender
        (lists,) = recommender.similar_items(np.arange(len(items)), 20)
        expected = [[items[i] for i in row] for row in lists.items_BK.tolist()]
        assert [[item for item, _ in found] for found in answers] == expected
    for file in tmp_path.iterdir():
        assert not file.name.startswith(("user", "seen"))


def test_without_interactions_the_programs_leave_nothing_out(
    material_of: Callable[..., Material], tmp_path: Path
) -> None:
    material = material_of("bprmf", with_seen=False)
    write_export(material, tmp_path, ["npz"], ABOUT)
    assert not (tmp_path / "seen.parquet").exists()
    answers = run_readme(tmp_path, "npz", material.user_ids.tolist())
    assert any(
        set(known) & {item for item, _ in found}
        for known, found in zip(histories_of(material).values(), answers, strict=True)
    )


@pytest.mark.slow
def test_a_network_takes_the_least_width_that_the_readme_names(
    material_of: Callable[..., Material], tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    write_export(material_of("gru4rec"), tmp_path, ["onnx"], ABOUT)
    assert "L may be any number from 1 on" in (tmp_path / "README.md").read_text("utf-8")  # 0 ends the process
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    [scores] = session.run(["scores"], {"items": np.zeros((1, 1), np.int64), "lengths": np.zeros(1, np.int64)})
    assert np.isfinite(scores).all()
