"""What runs on an NVIDIA GPU.

Most machines have none, so these files are collected only by `make test-gpu`, which asks for them.
"""

from __future__ import annotations

import os

import pytest

collect_ignore_glob = [] if os.environ.get("RECRUN_TEST_GPU") else ["test_*.py"]


@pytest.fixture(autouse=True, scope="session")
def _a_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.exit("make test-gpu needs a GPU of NVIDIA and a torch that is built for it", returncode=1)
