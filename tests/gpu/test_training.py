"""Models train on a GPU as on the CPU, without waiting for it in a step, and resume to the same digits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from recrun.config.resolve import resolve
from recrun.errors import ConfigError, TrainingError
from recrun.training.devices import select
from recrun.training.stop_signals import Interrupted
from recrun.workflows.build import build, prepare
from tests.run_server import the_run, wait_until

SMALL = ("n_users=300", "n_items=200", "n_interactions=9000", "seed=1", "verbose=0", "plots=false")
MODELS = {
    "bprmf": "synthetic/bprmf",
    "lightgcn": "synthetic/lightgcn",
    "sasrec": "synthetic/sasrec",
    "gru4rec": "synthetic/gru4rec",
    "bert4rec": "synthetic/bert4rec",
    "deepfm": "synthetic/deepfm",
}


def _settings(model: str, *more: str) -> list[str]:
    sizes = [each for each in SMALL if model != "deepfm" or not each.startswith("n_")]
    return [*sizes, "epochs=3", *more]


def _fit(model: str, runs: Path, *more: str) -> list[dict[str, Any]]:
    prepare(resolve(MODELS[model], _settings(model, *more)), runs=runs, reporters=lambda run, epoch: []).fit()
    return _history(runs)


def _history(runs: Path) -> list[dict[str, Any]]:
    lines = (the_run(runs) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def test_the_selector_finds_the_gpus_that_there_are() -> None:
    assert select("auto").type == "cuda"
    assert select("cuda") == torch.device("cuda", torch.cuda.current_device())
    with pytest.raises(ConfigError, match="is not available"):
        select(f"cuda:{torch.cuda.device_count()}")


@pytest.mark.parametrize("model", MODELS)
def test_a_run_is_repeated_to_the_same_digits(model: str, tmp_path: Path) -> None:
    first, again = (_fit(model, tmp_path / n, "device=cuda") for n in "12")
    assert first == again
    losses = [line["values"]["loss"] for line in first if line["split"] == "train"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("model", [name for name in MODELS if name != "bert4rec"])  # which draws its masks there
def test_the_loss_is_that_of_the_cpu(model: str) -> None:
    on_host = ["draw_on=host"] if model in ("bprmf", "lightgcn") else []
    losses, batch = [], None
    for device in ("cpu", "cuda"):
        coach = build(resolve(MODELS[model], _settings(model, f"device={device}", *on_host)))
        coach.model.eval()  # without dropout, whose draws differ
        batch = next(iter(coach.dataset.iterate("train", seed=1, epoch=0))) if batch is None else batch
        here = {name: column.to(coach.device) for name, column in batch.items()}
        losses.append(float(coach.model.training_loss(here, coach.criterion)))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("model", ["bprmf", "lightgcn", "sasrec", "deepfm"])
def test_a_step_does_not_wait_for_the_gpu(model: str, tmp_path: Path) -> None:
    coach = prepare(
        resolve(MODELS[model], _settings(model, "device=cuda")), runs=tmp_path, reporters=lambda run, epoch: []
    )
    batches = [batch for batch, _ in zip(coach._loader("train", 0), range(4), strict=False)]
    for batch in batches[:2]:  # the first steps allocate and choose kernels
        coach.steps.backward(coach.model.training_loss(batch, coach.criterion))
        coach.steps.step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches[2:]:
            coach.steps.backward(coach.model.training_loss(batch, coach.criterion))
            coach.steps.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("model", ["bprmf", "sasrec", "lightgcn"])
def test_a_killed_run_resumes_to_the_same_digits(model: str, tmp_path: Path) -> None:
    settings = _settings(model, "device=cuda", "epochs=30", "checkpoint_minutes=0.0001")[:]
    settings.remove("epochs=3")
    whole = _fit_all(model, tmp_path / "whole", settings)
    command = [sys.executable, "-m", "recrun", "train", MODELS[model], *settings, "--runs", str(tmp_path / "r")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_until(lambda: any(len(f.read_bytes().splitlines()) > 8 for f in (tmp_path / "r").glob("*/*/*/metrics.jsonl")))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resume = [sys.executable, "-m", "recrun", "train", "--resume", str(the_run(tmp_path / "r"))]
    assert subprocess.run(resume, check=False).returncode == 0
    assert _history(tmp_path / "r") == whole


def _fit_all(model: str, runs: Path, settings: list[str]) -> list[dict[str, Any]]:
    prepare(resolve(MODELS[model], settings), runs=runs, reporters=lambda run, epoch: []).fit()
    return _history(runs)


def test_memory_that_is_used_up_is_one_line(tmp_path: Path) -> None:
    coach = prepare(
        resolve("bprmf", [*SMALL, "epochs=1", "device=cuda"]), runs=tmp_path, reporters=lambda run, epoch: []
    )
    limit, reserved = torch.cuda.mem_get_info()[1], torch.cuda.memory_reserved()
    torch.cuda.set_per_process_memory_fraction(min(1.0, (reserved + (1 << 20)) / limit))
    try:
        with pytest.raises((TrainingError, Interrupted), match=r"out of GPU memory; lower one of batch_size"):
            coach.fit()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_bf16_trains(tmp_path: Path) -> None:
    exact, rounded = (
        _fit("sasrec", tmp_path / precision, "device=cuda", f"precision={precision}")
        for precision in ("float32", "bf16")
    )
    ends = [[line["values"]["loss"] for line in lines if line["split"] == "train"][-1] for lines in (exact, rounded)]
    assert ends[1] == pytest.approx(ends[0], rel=0.05)
