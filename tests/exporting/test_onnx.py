"""A network is compared with its model, and one that computes something else is refused."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from recrun.architectures.networks import ScoringNetwork, UserNetwork
from recrun.errors import ExportError
from recrun.exporting import onnx
from recrun.exporting.material import Material
from recrun.exporting.written import Request

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


class Lossy(ScoringNetwork):
    """Scores that change after the export, as if the exporter had changed them."""

    reads = "users"

    def __init__(self, n_users: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.randn(n_users, 30, generator=torch.Generator().manual_seed(1)))

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        table: torch.Tensor = self.table  # type: ignore[assignment]
        return table[users]


@pytest.fixture(scope="module")
def material(material_of: Callable[..., Material]) -> Material:
    return material_of("bprmf")


def test_a_network_is_one_file_with_axes_of_any_length(
    material: Material, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = onnx.write(material, tmp_path, Request())
    assert written.files == ("model.onnx", "ids.npz")
    assert written.checks["same_top_20"] == written.checks["rows"] == 42
    assert written.checks["relative_difference"] <= 1e-6
    assert capfd.readouterr() == ("", "")  # torch's exporter says much
    assert logging.root.manager.disable == 0
    session = __import__("onnxruntime").InferenceSession(str(tmp_path / "model.onnx"))
    assert [(each.name, each.shape) for each in session.get_inputs()] == [("users", ["batch"])]
    assert [each.shape for each in session.get_outputs()] == [["batch", 50]]


def test_a_large_network_has_its_weights_beside_it(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "_SINGLE_FILE", 100)
    assert onnx.write(material, tmp_path, Request()).files == ("model.onnx", "model.onnx.data", "ids.npz")


@pytest.mark.parametrize(("share", "passes"), [(0.5e-5, True), (2e-5, False), (float("nan"), False)])
def test_a_difference_of_more_than_a_hundred_thousandth_is_refused(share: float, passes: bool, tmp_path: Path) -> None:
    network = Lossy(60).eval()
    batches: list[tuple[torch.Tensor, ...]] = [(torch.arange(7),)]
    onnx._export(network, batches[0], tmp_path)
    table = network.table
    table[3, 4] += share * float(table[:7].abs().max())  # type: ignore[index, operator]
    if passes:
        assert onnx.compare(network, batches, tmp_path / "model.onnx")["relative_difference"] > 1e-6
    else:
        with pytest.raises(ExportError, match="the exported network differs from the model: its scores by up to"):
            onnx.compare(network, batches, tmp_path / "model.onnx")


def test_a_model_that_torch_cannot_export_is_one_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Untraceable(UserNetwork):
        def forward(self, users: torch.Tensor) -> torch.Tensor:
            return self.users_UD if users.sum() > 3 else self.items_ID

    network = Untraceable(torch.zeros(5, 2), torch.zeros(3, 2))
    with pytest.raises(ExportError, match=r"torch \S+ cannot export the network to ONNX: "):
        onnx._export(network, (torch.arange(2),), tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no network")
    with pytest.raises(ExportError, match="onnxruntime cannot run it"):
        onnx.compare(Lossy(60), [(torch.arange(3),)], tmp_path / "model.onnx")
