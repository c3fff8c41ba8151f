"""The device selector, with CUDA and MPS faked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from recrun.config.settings import check_device_name
from recrun.errors import ConfigError
from recrun.training.devices import select

Machine = Callable[..., None]
GIB = 2**30


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a function that makes torch see GPUs with given free memory (None: its query fails), and perhaps MPS."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def fake(free: list[int | None], *, mps: bool = False, current: int = 0) -> None:
        def mem_get_info(gpu: int) -> tuple[int, int]:
            amount = free[gpu]
            if amount is None:
                raise RuntimeError("CUDA error: out of memory")
            return amount * GIB, 80 * GIB

        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(free))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(free))
        monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: current)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return fake


def test_auto_takes_the_gpu_with_the_most_free_memory(machine: Machine) -> None:
    machine([4, 30, 11])
    assert select("auto") == torch.device("cuda", 1)
    assert select() == torch.device("cuda", 1)


def test_auto_takes_the_first_of_equal_gpus(machine: Machine) -> None:
    machine([8, 8])
    assert select("auto") == torch.device("cuda", 0)


def test_auto_prefers_a_gpu_to_mps(machine: Machine) -> None:
    machine([0], mps=True)
    assert select("auto") == torch.device("cuda", 0)


def test_auto_passes_over_a_gpu_that_does_not_answer(machine: Machine) -> None:
    machine([None, 2, None, 5])
    assert select("auto") == torch.device("cuda", 3)


@pytest.mark.parametrize(("mps", "expected"), [(True, "mps"), (False, "cpu")])
@pytest.mark.parametrize("free", [[], [None, None]])
def test_auto_without_a_usable_gpu_takes_mps_then_the_cpu(
    machine: Machine, free: list[int | None], mps: bool, expected: str
) -> None:
    machine(free, mps=mps)
    assert select("auto") == torch.device(expected)


def test_a_named_device_is_that_device(machine: Machine) -> None:
    machine([4, 30], mps=True)
    assert select("cpu") == torch.device("cpu")
    assert select("mps") == torch.device("mps")
    assert select("cuda:0") == torch.device("cuda", 0)
    assert select("1") == torch.device("cuda", 1)


def test_a_named_gpu_is_not_asked_for_its_memory(machine: Machine) -> None:
    machine([None, None])
    assert select("cuda:1") == torch.device("cuda", 1)


def test_cuda_is_the_current_cuda_device_whatever_is_free(machine: Machine) -> None:
    machine([4, 30])
    assert select("cuda") == torch.device("cuda", 0)
    machine([4, 30], current=1)
    assert select("cuda") == torch.device("cuda", 1)


@pytest.mark.parametrize("device", ["cuda:2", "2", "mps"])
def test_a_device_that_is_not_there_is_an_error_naming_those_that_are(machine: Machine, device: str) -> None:
    machine([4, 30])
    with pytest.raises(ConfigError) as error:
        select(device)
    assert str(error.value) == f"device: device {device!r} is not available; available: cpu, cuda:0, cuda:1"


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "0"])
def test_without_a_gpu_cuda_is_an_error(machine: Machine, device: str) -> None:
    machine([], mps=True)
    with pytest.raises(ConfigError, match=r"available: cpu, mps$"):
        select(device)


def test_the_error_shows_what_hides_gpus(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine([4])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(ConfigError, match=r"available: cpu, cuda:0 \(with CUDA_VISIBLE_DEVICES='3'\)$"):
        select("3")


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12", "7", "mps"])
def test_well_formed_devices_pass(device: str) -> None:
    check_device_name(device)


@pytest.mark.parametrize(
    "device", ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:01", "cuda:x", "-1", "1.0", "٣", "cpu:0", "cpu\n"]
)
def test_malformed_devices_are_errors(device: str) -> None:
    for check in (check_device_name, select):
        with pytest.raises(ConfigError, match="expected one of auto, cpu, cuda, cuda:N, N, mps"):
            check(device)


def test_a_misspelt_device_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cuda'"):
        check_device_name("CUDA")


def test_checking_the_syntax_does_not_import_torch() -> None:
    checks = "from recrun.config.settings import check_device_name; check_device_name('cuda:1')"
    code = f"import sys; {checks}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
