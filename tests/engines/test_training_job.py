"""One model trained by several processes in a job of Slurm, as docs/scaling.md has it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import SlurmCluster, free_port, wait_until

SETTINGS = (
    "bprmf embedding_dim=8 lr=0.02 epochs=3 n_users=150 n_items=80 n_interactions=3000 batch_size=70 device=cpu "
    "threads=1 verbose=0 monitors=[ndcg@10] which4best=ndcg@10 --no-plots"
)
SCRIPT = """#!/bin/bash
#SBATCH --nodes=1 --ntasks-per-node=1 --cpus-per-task=2 --output={folder}/job.out
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun {python} -m torch.distributed.run --nnodes "$SLURM_NNODES" --nproc-per-node 2 --rdzv-backend c10d \\
  --rdzv-endpoint "$first:{port}" --rdzv-id "$SLURM_JOB_ID" -m recrun train {settings} --runs {folder}/slurm
"""


def measured(runs: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics.jsonl without times."""
    lines = [json.loads(line) for file in runs.glob("*/*/*/metrics.jsonl") for line in file.read_text().splitlines()]
    return [{key: line[key] for key in ("epoch", "split", "values")} for line in lines]


def test_a_job_of_slurm_trains_the_model_of_one_process(slurm: SlurmCluster, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(SCRIPT.format(folder=tmp_path, python=sys.executable, port=free_port(), settings=SETTINGS))
    assert "Submitted" in slurm.run("sbatch", str(script))
    wait_until(lambda: not slurm.run("squeue", "-h").strip(), seconds=180.0, what="the job")
    alone = [sys.executable, "-m", "recrun", "train", *SETTINGS.split(), "--runs", str(tmp_path / "alone")]
    subprocess.run(alone, check=True, timeout=120)
    found, expected = measured(tmp_path / "slurm"), measured(tmp_path / "alone")
    assert [(line["epoch"], line["split"]) for line in found] == [
        (line["epoch"], line["split"]) for line in expected
    ], (tmp_path / "job.out").read_text()
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["values"] == pytest.approx(theirs["values"], rel=1e-6)
