"""What the two checkpoints of a run hold, and that they always speak of the same best model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from recrun.config.resolve import resolve
from recrun.errors import CheckpointError
from recrun.runs.checkpoint import load_checkpoint, save_checkpoint
from recrun.runs.folder import RunFolder
from recrun.training.coach import Coach
from recrun.training.loop_state import Best
from recrun.workflows.build import prepare

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "batch_size=128", "embedding_dim=8", "epochs=2", "lr=0.05"]


def _coach(tmp_path: Path, run: RunFolder | None = None, *options: str) -> Coach:
    config = tmp_path / "config.yaml"
    config.write_text("model: bprmf\n", encoding="utf-8")
    resolved = resolve(config, [*SMALL, "device=cpu", "threads=1", "verbose=0", *options])
    return prepare(resolved, runs=tmp_path, run=run, reporters=lambda run, epoch: [])


def _epoch_of_best(run: RunFolder) -> int:
    return int(load_checkpoint(run.checkpoint_file("best"))["epoch"])


@pytest.mark.parametrize("has_links", [True, False])
def test_a_resume_takes_the_best_model_that_the_last_checkpoint_speaks_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    coach = _coach(tmp_path)
    coach.fit()
    if not has_links:

        def refuse(*_: Any) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "link", refuse)
    best = coach.state.best
    assert best is not None
    before = load_checkpoint(coach.run.checkpoint_file("best"))["model"]
    coach._keep_best(Best(7, 0.9, {}))
    coach._keep_best(Best(8, 0.95, {}))
    assert _epoch_of_best(coach.run) == 8
    again = _coach(tmp_path, coach.run)
    again.resume()
    assert again.state.best == best
    after = load_checkpoint(coach.run.checkpoint_file("best"))
    assert after["epoch"] == best.epoch
    assert all(torch.equal(after["model"][name], before[name]) for name in before)
    assert [path.name for path in coach.run.checkpoint_file("best").parent.iterdir()] == ["checkpoint.safetensors"]


def test_a_checkpoint_written_after_the_best_model_makes_it_the_one_to_keep(tmp_path: Path) -> None:
    coach = _coach(tmp_path)
    coach.fit()
    coach._keep_best(Best(7, 0.9, {}))
    coach.save_checkpoint(2, force=True)
    again = _coach(tmp_path, coach.run)
    again.resume()
    assert again.state.best == Best(7, 0.9, {})
    assert _epoch_of_best(coach.run) == 7


def test_a_resume_without_its_best_model_is_refused(tmp_path: Path) -> None:
    coach = _coach(tmp_path)
    coach.fit()
    record = coach.run.run_file.read_bytes()
    content = coach.run.checkpoint_file("best").read_bytes()
    coach.run.checkpoint_file("best").unlink()
    with pytest.raises(CheckpointError, match=r"there is no checkpoint at .*best"):
        _coach(tmp_path, coach.run).resume()
    coach.run.checkpoint_file("best").write_bytes(content[:-1])
    with pytest.raises(CheckpointError, match=r"best/checkpoint.safetensors is damaged"):
        _coach(tmp_path, coach.run).resume()
    coach.run.checkpoint_file("best").write_bytes(content)
    file = coach.run.checkpoint_file("best")
    save_checkpoint(file, {**load_checkpoint(file), "epoch": 99})
    with pytest.raises(CheckpointError, match="is the model of epoch 99, but the best model was that of epoch"):
        _coach(tmp_path, coach.run).resume()
    assert coach.run.run_file.read_bytes() == record, "nothing was started"


def test_what_a_loss_learns_is_part_of_the_state(tmp_path: Path) -> None:
    coach = _coach(tmp_path)
    coach.criterion.register_buffer("temperature", torch.tensor(1.0))
    coach.fit()
    coach.criterion.temperature.fill_(3.0)
    coach.save_checkpoint(2, force=True)
    again = _coach(tmp_path, coach.run)
    again.criterion.register_buffer("temperature", torch.tensor(1.0))
    again.resume()
    assert again.criterion.temperature.item() == 3.0


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "adagrad", "sparse_adam", "lazy_adam"])
def test_every_optimizer_goes_on_to_the_same_bytes(tmp_path: Path, optimizer: str) -> None:
    options = [f"optimizer={optimizer}", "checkpoint_freq=1"]
    whole = _coach(tmp_path, None, *options)
    whole.fit()
    half = _coach(tmp_path, None, *options)
    train = half.train

    def stop(epoch: int) -> None:
        if epoch == 1:
            raise RuntimeError("stop here")
        train(epoch)

    half.train = stop  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="stop here"):
        half.fit()
    resumed = _coach(tmp_path, half.run, *options)
    resumed.fit()
    ours, theirs = (load_checkpoint(coach.run.checkpoint_file("last")) for coach in (resumed, whole))
    assert all(torch.equal(ours["model"][name], theirs["model"][name]) for name in theirs["model"])
    assert _flat(ours["optimizer"]) == _flat(theirs["optimizer"])


def _flat(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _flat(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_flat(value) for value in tree]
    return tree.numpy().tobytes() if isinstance(tree, torch.Tensor) else tree
