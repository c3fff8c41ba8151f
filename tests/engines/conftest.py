"""Real engines: a Slurm cluster of one node, from Debian's packages, and a Ray cluster of two workers.

They take programs and packages that recrun does not need, so these files are collected only by `make test-engines`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ray_head import RayHead
from slurm_cluster import SlurmCluster, missing

collect_ignore_glob = [] if os.environ.get("RECRUN_TEST_ENGINES") else ["test_*.py"]


@pytest.fixture(scope="session")
def slurm() -> Iterator[SlurmCluster]:
    if lacking := missing():
        pytest.skip(f"not installed: {lacking} (Debian: apt-get install slurmctld slurmd slurm-client munge)")
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    cluster = SlurmCluster()
    try:
        cluster.start()
        os.environ["SLURM_CONF"] = str(cluster.config)
        yield cluster
    finally:
        cluster.stop()
        os.environ.pop("SLURM_CONF", None)


@pytest.fixture(scope="session")
def ray_head() -> Iterator[RayHead]:
    head = RayHead()
    try:
        head.wait()
        yield head
    finally:
        head.stop()
