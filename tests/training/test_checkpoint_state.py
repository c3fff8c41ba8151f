"""What the two checkpoints of a run hold, and that they always speak of the same best model."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recrun.config.resolve import resolve
from recrun.errors import CheckpointError
from recrun.metrics.undefined import Undefined
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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that is done."""
    coach = _coach(tmp_path_factory.mktemp("finished"), None, "lr_scheduler=cosine")
    coach.fit()
    return coach.run.path


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
    coach._keep_best(Best(2, 0.9, {}))
    coach.save_checkpoint(2, force=True)
    again = _coach(tmp_path, coach.run)
    again.resume()
    assert again.state.best == Best(2, 0.9, {})
    assert _epoch_of_best(coach.run) == 2


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


@pytest.mark.parametrize(
    "optimizer",
    [
        "adam",
        "adamw",
        "sgd",
        "adagrad",
        "sparse_adam",
        "lazy_adam",
        "lazy_adam state_precision=bf16",
        "lazy_adam state_precision=bf16 second_moment=row",
        "row_adagrad",
    ],
)
def test_every_optimizer_goes_on_to_the_same_bytes(tmp_path: Path, optimizer: str) -> None:
    options = [*f"optimizer={optimizer}".split(), "checkpoint_freq=1"]
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
    return tree.reshape(-1).view(torch.uint8).numpy().tobytes() if isinstance(tree, torch.Tensor) else tree


HOSTILE: dict[str, tuple[tuple[Any, ...], Any, str]] = {
    "an epoch beyond the end": (("epoch",), 10**12, "epoch must be an integer >= 0 and <= 2, found 1000000000000"),
    "a negative epoch": (("epoch",), -3, "epoch must be an integer >= 0 and <= 2, found -3"),
    "half an epoch": (("epoch",), 1.5, "epoch must be an integer >= 0 and <= 2, found 1.5"),
    "no epoch": (("epoch",), None, "epoch must be an integer >= 0 and <= 2, found None"),
    "a true epoch": (("epoch",), True, "epoch must be an integer >= 0 and <= 2, found True"),
    "a step beyond the epoch": (("step",), 10**12, "step must be an integer >= 0 and <= "),
    "a negative step": (("step",), -1, "found -1"),
    "an evaluation to come": (("evaluated",), 7, "evaluated must be an integer >= -1 and <= 2, found 7"),
    "a negative patience": (("stale",), -1, "stale must be an integer >= 0, found -1"),
    "a patience in words": (("stale",), "many", "stale must be an integer >= 0, found 'many'"),
    "the best is NaN": (("best", "value"), math.nan, "best must be a finite number, found nan"),
    "the best is infinite": (("best", "value"), math.inf, "best must be a finite number, found inf"),
    "the best is text": (("best", "value"), "0.5", "best must be a finite number, found '0.5'"),
    "the best is nothing": (("best", "value"), None, "best must be a finite number, found None"),
    "the criterion is undefined": (
        ("best", "value"),
        Undefined("x"),
        r"best must be a finite number, found Undefined\('x'\)",
    ),
    "a best metric is NaN": (("best", "values", "ndcg@20"), math.nan, "best must be a finite number, found nan"),
    "a best metric is text": (("best", "values", "ndcg@20"), "x", "best must be a finite number, found 'x'"),
    "the best epoch is negative": (("best", "epoch"), -1, "best epoch must be an integer >= 0 and <= 2, found -1"),
    "the best epoch is to come": (("best", "epoch"), 3, "best epoch must be an integer >= 0 and <= 2, found 3"),
    "the last value is NaN": (("last_value",), math.nan, "last_value must be a finite number, found nan"),
    "the last value is nothing": (("last_value",), None, "last_value must be a finite number, found None"),
    "a loss in words": (("loss",), "x", ""),
    "a loss that is NaN": (("loss", "total"), math.nan, "loss must be a finite number, found nan"),
    "a loss of no rows": (("loss", "count"), -5, "loss must be an integer >= 0, found -5"),
    "a history that is a list": (("history",), [1], ""),
    "a history of words": (("history", "bytes"), "many", "history must be an integer >= 0, found 'many'"),
    "a history of fewer than no bytes": (("history", "bytes"), -1, "history must be an integer >= 0, found -1"),
    "a history without its digest": (("history", "digest"), None, "history has no digest"),
    "a history by metric": (("history",), {"valid": {"ndcg@20": [[0, 0.5]]}}, "'bytes'"),
    "a negative count of users": (("users", "valid"), [-1, 0], "users must be an integer >= 0, found -1"),
    "no seconds": (("seconds",), {}, "'train'"),
    "endless seconds": (("seconds", "train"), math.inf, "seconds must be a finite number, found inf"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_position_that_a_run_cannot_have_is_refused(tmp_path: Path, finished: Path, case: str) -> None:
    run = RunFolder(shutil.copytree(finished, tmp_path / "run"))
    file = run.checkpoint_file("last")
    keys, value, message = HOSTILE[case]
    state = load_checkpoint(file)
    place = state["progress"]
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    save_checkpoint(file, state)
    with pytest.raises(CheckpointError, match=rf"checkpoint\.safetensors does not fit this run: .*{message}"):
        _coach(tmp_path, run, "lr_scheduler=cosine").resume()


def _first(state: dict[str, Any]) -> dict[str, Any]:
    """Return the optimizer's state of the first parameter."""
    return state["optimizer"]["state"][0]


def _fill(tensor: torch.Tensor, value: float) -> torch.Tensor:
    return torch.full_like(tensor, value)


STATES: dict[str, tuple[Any, str]] = {
    "a mean of another shape": (
        lambda state: _first(state).update(exp_avg=torch.zeros(3)),
        r"state of parameter 0 must be exp_avg \[60, 8\], exp_avg_sq \[60, 8\], step \[\], found exp_avg \[3\], exp",
    ),
    "an empty mean": (lambda state: _first(state).update(exp_avg=torch.zeros(0)), r"found exp_avg \[0\]"),
    "a mean of twice the rows": (
        lambda state: _first(state).update(exp_avg_sq=torch.zeros(120, 8)),
        r"exp_avg_sq \[120, 8\]",
    ),
    "a mean of another type": (lambda state: _first(state).update(exp_avg=torch.zeros(60, 8).double()), "must be"),
    "a mean in words": (lambda state: _first(state).update(exp_avg="x"), "must be a finite number, found 'x'"),
    "no mean": (lambda state: _first(state).pop("exp_avg"), "must be exp_avg"),
    "one mean too many": (lambda state: _first(state).update(other=torch.zeros(60, 8)), r"found .*other \[60, 8\]"),
    "a mean that is NaN": (
        lambda state: _first(state).update(exp_avg=_fill(_first(state)["exp_avg"], math.nan)),
        "exp_avg of the optimizer holds NaN or infinity",
    ),
    "a negative count": (
        lambda state: _first(state).update(step=torch.tensor(-5.0)),
        "step of the optimizer is negative",
    ),
    "a count of another shape": (lambda state: _first(state).update(step=torch.zeros(7)), r"step \[7\]"),
    "no state": (lambda state: state["optimizer"]["state"].clear(), "the optimizer has no state, although"),
    "a state of no parameter": (lambda state: state["optimizer"]["state"].update({9: {}}), "has no parameter 9"),
    "a state by name": (lambda state: state["optimizer"]["state"].update({"x": {}}), "has no parameter x"),
    "a state that is a list": (lambda state: state["optimizer"].update(state=[1]), ""),
    "no groups": (lambda state: state["optimizer"].update(param_groups=[]), "the optimizer is of other parameters"),
    "a rate in words": (lambda state: state["optimizer"]["param_groups"][0].update(lr="x"), "lr must be a finite"),
    "a negative rate": (lambda state: state["optimizer"]["param_groups"][0].update(lr=-1.0), "number >= 0, found -1"),
    "a rate that is NaN": (lambda state: state["optimizer"]["param_groups"][0].update(lr=math.nan), "found nan"),
    "other betas": (
        lambda state: state["optimizer"]["param_groups"][0].update(betas=[2.0, 0.9]),
        r"betas of the optimizer must be \(0.9, 0.999\), found \[2.0, 0.9\]",
    ),
    "a mode that was not": (
        lambda state: state["optimizer"]["param_groups"][0].update(differentiable=True),
        "differentiable of the optimizer must be False, found True",
    ),
    "no optimizer": (lambda state: state.update(optimizer=None), "it has no optimizer, unlike the run"),
    "an optimizer in words": (lambda state: state.update(optimizer="adam"), ""),
    "a model that is NaN": (
        lambda state: state["model"].update({name: _fill(value, math.nan) for name, value in state["model"].items()}),
        "holds NaN or infinity",
    ),
    "a model of another shape": (
        lambda state: state["model"].update({name: torch.zeros(2, 2) for name in state["model"]}),
        "size mismatch",
    ),
    "a schedule before its start": (lambda state: state["lr_scheduler"].update(epoch=-1), "expected an integer >= 0"),
    "a schedule at a large number": (lambda state: state["lr_scheduler"].update(epoch=10**400), ""),
    "a schedule of other groups": (lambda state: state["lr_scheduler"].update(base_rates=[]), "expected 1 base rates"),
    "a schedule of NaN": (lambda state: state["lr_scheduler"].update(base_rates=[math.nan]), "base rates, found"),
    "a mean of a metric that is none": (lambda state: state["meters"].update({"./evil.py:x@1": [1.0, 1]}), "evil"),
    "random words of numpy": (
        lambda state: state["rng"]["numpy"].__setitem__(2, -(10**9)),
        "random state must be an integer >= 0 and <= 624, found -1000000000",
    ),
    "few random words of numpy": (
        lambda state: state["rng"]["numpy"].__setitem__(1, np.zeros(3, np.uint32)),
        "random state must have 624 words",
    ),
    "a normal number in words": (
        lambda state: state["rng"]["numpy"].__setitem__(4, "x"),
        "random state must be a finite number, found 'x'",
    ),
    "random words of Python": (
        lambda state: state["rng"]["python"].__setitem__(1, [2**70] * 625),
        "random state must be an integer >= 0 and <= 4294967295",
    ),
    "a random position of Python": (
        lambda state: state["rng"]["python"][1].__setitem__(624, 10**6),
        "invalid state",
    ),
    "few random bytes of torch": (lambda state: state["rng"].update(torch=torch.zeros(3, dtype=torch.uint8)), ""),
    "random bytes of zeros": (
        lambda state: state["rng"].update(torch=torch.zeros(5056, dtype=torch.uint8)),
        "Invalid mt19937 state",
    ),
    "no random state": (lambda state: state.update(rng=None), ""),
}


@pytest.mark.parametrize("case", STATES)
def test_a_state_that_a_run_cannot_have_is_refused(tmp_path: Path, finished: Path, case: str) -> None:
    run = RunFolder(shutil.copytree(finished, tmp_path / "run"))
    file = run.checkpoint_file("last")
    change, message = STATES[case]
    state = load_checkpoint(file)
    change(state)
    save_checkpoint(file, state)
    with pytest.raises(CheckpointError, match=rf"checkpoint\.safetensors does not fit this run: .*{message}"):
        _coach(tmp_path, run, "lr_scheduler=cosine").resume()


def test_the_last_model_of_a_run_without_validation_has_no_value(tmp_path: Path) -> None:
    coach = _coach(tmp_path, None, "valid_ratio=0")
    coach.fit()
    assert coach.state.best == Best(2, None, {})
    again = _coach(tmp_path, coach.run, "valid_ratio=0")
    again.resume()
    assert again.state.best == Best(2, None, {})


def test_a_checkpoint_of_an_older_version_is_named_as_one(tmp_path: Path) -> None:
    coach = _coach(tmp_path)
    coach.fit()
    state = load_checkpoint(coach.run.checkpoint_file("last"))
    del state["progress"]["history"]
    save_checkpoint(coach.run.checkpoint_file("last"), state)
    with pytest.raises(CheckpointError, match="it is of an older version of recrun; train again"):
        _coach(tmp_path, coach.run).resume()
