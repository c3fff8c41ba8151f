"""What torch does without the workarounds, and with them. A failing "torch still" means that a workaround can go."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

import pytest

ADAM: Final = "parameter = torch.zeros(3, requires_grad=True); parameter.grad = torch.ones(3)\n"
COMPILER: Final = "\nimport sys; print('torch._dynamo' in sys.modules)"
THREADS: Final = "\nprint(any('libgomp' in line for line in open('/proc/self/maps')))"
# Enough numbers for two threads.
DENORMAL: Final = "\nprint(bool((torch.full((1 << 20,), 1e-40) * 0.5).any()))"


def _run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=kept | environment)


def _says(program: str) -> bool:
    return _run(program).stdout.split()[-1] == "True"


def test_torch_still_imports_its_compiler_to_step_an_optimizer() -> None:
    assert _says(f"import torch\n{ADAM}torch.optim.Adam([parameter]).step(){COMPILER}")


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "Adagrad"])
def test_an_optimizer_without_the_compiler_steps_to_the_same_numbers(name: str) -> None:
    program = f"""
import sys, torch
from recrun.training.torch_workarounds import without_compiler
kind = torch.optim.{name}
results = []
for make in (without_compiler(kind), kind):
    {ADAM.strip()}
    make([parameter], lr=0.1).step()
    results.append(parameter.detach())
    if make is not kind:
        assert "torch._dynamo" not in sys.modules
assert make is kind
print(torch.equal(*results))
"""
    assert _says(program)


def test_torch_still_imports_its_compiler_to_be_deterministic() -> None:
    assert _says(f"import torch; torch.use_deterministic_algorithms(True, warn_only=True){COMPILER}")


@pytest.mark.parametrize("benchmark", [False, True])
def test_setting_up_makes_torch_deterministic_and_imports_no_compiler(benchmark: bool) -> None:
    program = f"""
import os, sys, torch
from recrun.training.torch_workarounds import set_up
set_up(threads=2, benchmark={benchmark})
assert torch.are_deterministic_algorithms_enabled() != {benchmark}
assert torch.is_deterministic_algorithms_warn_only_enabled() != {benchmark}
assert torch.backends.cudnn.benchmark == {benchmark}
assert torch.get_num_threads() == 2
assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
print("torch._dynamo" not in sys.modules)
"""
    assert _says(program)


def test_torch_still_computes_with_denormal_numbers() -> None:
    assert _says(f"import torch{DENORMAL}")


def test_setting_up_flushes_denormal_numbers_in_every_thread() -> None:
    set_up = "from recrun.training.torch_workarounds import set_up; set_up(threads=2, benchmark=False)"
    assert not _says(f"import torch; {set_up}{DENORMAL}")


@pytest.mark.skipif(sys.platform != "linux", reason="torch has another OpenMP here")
def test_torch_still_has_threads_that_spin_unless_they_are_told_to_sleep() -> None:
    assert _says(f"import torch{THREADS}")
    assert "GOMP_SPINCOUNT = '1000'" not in _run("import torch", OMP_DISPLAY_ENV="VERBOSE").stderr
    told = "from recrun.training.torch_workarounds import let_threads_sleep; let_threads_sleep(); import torch"
    assert "GOMP_SPINCOUNT = '1000'" in _run(told, OMP_DISPLAY_ENV="VERBOSE").stderr


def test_a_users_own_policy_of_waiting_is_kept() -> None:
    told = "from recrun.training.torch_workarounds import let_threads_sleep; let_threads_sleep(); import os, sys\n"
    asked = "print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    assert _run(told + asked, OMP_WAIT_POLICY="active").stdout == "None False\n"
    assert _run(told + asked, GOMP_SPINCOUNT="7").stdout == "7 False\n"
