"""A run that pauses on the way: when it does, what it says, and that its numbers are those of a run without pauses."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.runs.checkpoint import load_checkpoint
from recrun.runs.folder import RunFolder, open_run
from recrun.runs.history import read_history
from recrun.runs.resume import resolve_run
from recrun.training.pause import Pause, Paused
from recrun.workflows.build import prepare

SMALL = ["n_users=100", "n_items=60", "n_interactions=1500", "device=cpu", "threads=1", "verbose=0"]
TRAINED = ["epochs=8", "batch_size=128", "lr=0.05", "embedding_dim=8"]
SEQUENCES = ["epochs=4", "batch_size=32", "max_length=10", "embedding_dim=16", "split=leave_one_out"]

CASES = {
    "cosine": ("bprmf", [*TRAINED, "lr_scheduler=cosine"]),
    "plateau": ("bprmf", [*TRAINED, "lr_scheduler=plateau", "eval_freq=2"]),
    "early stopping": ("bprmf", [*TRAINED, "epochs=40", "lr=0.2", "early_stop_patience=2"]),
    "dropout": ("sasrec", SEQUENCES),
    "graph": ("lightgcn", TRAINED),
    "checkpoints that are rare": ("bprmf", [*TRAINED, "checkpoint_freq=5"]),
}


def _run(runs: Path, model: str, settings: list[str], pause: Pause, run: RunFolder | None = None) -> RunFolder | None:
    """Train, and return the run if it has paused, None if it has ended."""
    last = {text.partition("=")[0]: text for text in [*SMALL, *settings]}
    resolved = resolve(model, [*last.values()]) if run is None else resolve_run(run)
    coach = prepare(resolved, runs=runs, run=run, reporters=lambda run, epoch: [])
    coach.pause = pause
    try:
        coach.fit()
    except Paused:
        return coach.run
    return None


def _numbers(run: RunFolder) -> dict[str, Any]:
    """Return everything that a run leaves but times: its history, its final numbers, its checkpoints."""
    lines = read_history(run.metrics_lines_file, strict=True)
    result = json.loads(run.metrics_file.read_text(encoding="utf-8"))
    last, best = (load_checkpoint(run.checkpoint_file(which)) for which in ("last", "best"))
    for name in ("seconds", "history"):
        last["progress"].pop(name)
    return {
        "history": [{key: value for key, value in line.items() if key != "seconds"} for line in lines],
        "result": {key: value for key, value in result.items() if key not in ("run", "seconds")},
        "last": {key: value for key, value in last.items() if key not in ("run", "settings")},
        "best": {key: value for key, value in best.items() if key not in ("run", "settings")},
    }


def _assert_same(one: Any, other: Any, where: str = "") -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            _assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            _assert_same(left, right, f"{where}[{place}]")
    else:
        assert one == other, where


@pytest.mark.parametrize("case", CASES)
def test_a_run_with_pauses_has_the_numbers_of_one_without(case: str, tmp_path: Path) -> None:
    model, settings = CASES[case]
    assert _run(tmp_path / "whole", model, settings, Pause()) is None
    paused = _run(tmp_path / "paused", model, settings, Pause(1))
    for until in (2, 3, 5):
        if paused is None:
            break
        assert open_run(paused.path).read_run()["status"] == "interrupted"
        paused = _run(tmp_path / "paused", model, settings, Pause(until), paused)
    if paused is not None:
        assert _run(tmp_path / "paused", model, settings, Pause(), paused) is None
    whole, pieces = (open_run(next((tmp_path / name).glob("*/*/*"))) for name in ("whole", "paused"))
    assert pieces.read_run()["status"] == "done"
    _assert_same(_numbers(whole), _numbers(pieces))


def _epochs(run: RunFolder | None) -> list[int]:
    assert run is not None
    return [line["epoch"] for line in read_history(run.metrics_lines_file) if line["split"] == "valid"]


def test_a_run_pauses_at_the_first_evaluation_at_the_epoch_or_later(tmp_path: Path) -> None:
    run = _run(tmp_path, "bprmf", [*TRAINED, "eval_freq=3"], Pause(4))
    assert _epochs(run) == [0, 3, 6]
    assert run is not None
    record = run.read_run()
    assert (record["epochs_trained"], record["test_evaluations"]) == (6, [])
    assert not run.metrics_file.exists()


def test_a_run_that_is_past_the_epoch_pauses_where_it_is(tmp_path: Path) -> None:
    run = _run(tmp_path, "bprmf", TRAINED, Pause(4))
    again = _run(tmp_path, "bprmf", TRAINED, Pause(2), run)
    assert _epochs(again) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("until", [8, 9, 1000])
def test_a_run_that_is_to_pause_at_its_end_or_later_ends(until: int, tmp_path: Path) -> None:
    assert _run(tmp_path, "bprmf", TRAINED, Pause(until)) is None


def test_a_run_without_an_evaluation_before_its_end_ends(tmp_path: Path) -> None:
    assert _run(tmp_path, "bprmf", [*TRAINED, "eval_freq=5"], Pause(6)) is None


def test_a_model_in_closed_form_is_fitted_to_the_end(tmp_path: Path) -> None:
    assert _run(tmp_path, "ease", [], Pause(1, {0: 1.0, 1: 1.0})) is None


def test_a_run_pauses_at_the_first_floor_that_its_best_value_misses(tmp_path: Path) -> None:
    run = _run(tmp_path, "bprmf", TRAINED, Pause(None, {1: 0.0, 3: 0.999, 5: 0.0}))
    assert _epochs(run) == [0, 1, 2, 3]
    assert _run(tmp_path, "bprmf", TRAINED, Pause(None, {5: 0.0}), run) is None


def test_a_floor_looks_at_the_best_value_so_far_not_at_the_last_one(tmp_path: Path) -> None:
    settings = [*TRAINED, "lr=0.5"]  # overfits from the second epoch on
    run = _run(tmp_path, "bprmf", settings, Pause(6))
    assert run is not None
    values = [line["values"]["ndcg@20"] for line in read_history(run.metrics_lines_file) if line["split"] == "valid"]
    floor = (max(values) + values[6]) / 2
    assert values[6] < floor < max(values)
    assert _run(tmp_path, "bprmf", settings, Pause(None, {6: floor})) is None


def test_a_floor_is_negated_where_smaller_is_better(tmp_path: Path) -> None:
    settings = [*TRAINED, "monitors=[ndcg@20,popularity@20]", "which4best=popularity@20"]
    run = _run(tmp_path, "bprmf", settings, Pause(2))
    assert run is not None
    lines = [line for line in read_history(run.metrics_lines_file) if line["split"] == "valid"]
    least = min(line["values"]["popularity@20"] for line in lines)
    assert _run(tmp_path, "bprmf", settings, Pause(None, {2: -least * 1.001})) is None
    assert _epochs(_run(tmp_path, "bprmf", settings, Pause(None, {2: -least * 0.999}))) == [0, 1, 2]


def test_pausing_says_how_to_continue_and_the_best_evaluation_so_far(tmp_path: Path) -> None:
    coach = prepare(resolve("bprmf", [*SMALL, *TRAINED]), runs=tmp_path, reporters=lambda run, epoch: [])
    coach.pause = Pause(3)
    with pytest.raises(
        Paused, match=r"^paused after the evaluation at epoch 3 of 8; continue with: recrun train --re"
    ) as found:
        coach.fit()
    result = found.value.result
    best = coach.state.best
    assert best is not None
    assert result["valid"] == best.values
    assert {key: result[key] for key in ("status", "epoch", "epochs", "which4best", "best_epoch")} == {
        "status": "paused",
        "epoch": 3,
        "epochs": 8,
        "which4best": "ndcg@20",
        "best_epoch": best.epoch,
    }


def test_why_a_run_paused_is_recorded_until_it_goes_on(tmp_path: Path) -> None:
    run = _run(tmp_path, "bprmf", TRAINED, Pause(2))
    assert run is not None
    assert run.read_run()["paused"] == {"epoch": 2, "until": 2}
    assert run.read_run()["cause"].startswith("Paused: paused after the evaluation at epoch 2 of 8; continue with: ")
    run = _run(tmp_path, "bprmf", TRAINED, Pause(4, {4: 0.999}), run)
    assert run is not None
    assert run.read_run()["paused"] == {"epoch": 4, "floor": 0.999}
    assert re.match(
        r"Paused: paused after the evaluation at epoch 4 of 8, as its best ndcg@20, 0\.\d+, is worse than 0\.999; cont",
        run.read_run()["cause"],
    )
    assert _run(tmp_path, "bprmf", TRAINED, Pause(), run) is None
    record = run.read_run()
    assert (record["status"], record["cause"], record["paused"]) == ("done", None, None)


def test_the_floor_of_a_value_that_is_negated_is_recorded_as_it_was_given(tmp_path: Path) -> None:
    settings = [*TRAINED, "monitors=[ndcg@20,popularity@20]", "which4best=popularity@20"]
    run = _run(tmp_path, "bprmf", settings, Pause(None, {2: -1e-6}))
    assert run is not None
    assert run.read_run()["paused"] == {"epoch": 2, "floor": -1e-6}
    assert ", is worse than 1e-06; continue" in run.read_run()["cause"]


def test_a_run_that_is_done_cannot_pause(tmp_path: Path) -> None:
    assert _run(tmp_path, "bprmf", TRAINED, Pause()) is None
    run = open_run(next(tmp_path.glob("*/*/*")))
    with pytest.raises(ConfigError, match="is done after 8 epochs and cannot pause; remove --until, or give it more"):
        _run(tmp_path, "bprmf", TRAINED, Pause(4), run)
    assert run.read_run()["status"] == "done"


@pytest.mark.parametrize("until", [0, -3, True, 2.0, "3"])
def test_the_epoch_must_be_a_positive_integer(until: Any) -> None:
    with pytest.raises(ConfigError, match=f"--until must be an epoch, 1 or later, found {until!r}"):
        Pause.read(until, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[1, 2]", "expected .* to hold a value for each epoch"),
        ("{}", "expected .* to hold a value for each epoch"),
        ('{"a": 1}', "expected a number for each epoch in .*, found 'a': 1"),
        ('{"-1": 1}', "found '-1': 1"),
        ('{"1": true}', "found '1': True"),
        ('{"1": "0.5"}', "found '1': '0.5'"),
        ('{"1": NaN}', "is not JSON"),
    ],
)
def test_a_file_of_floors_is_checked(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "floors.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        Pause.read(None, file)


def test_a_file_of_floors_is_read(tmp_path: Path) -> None:
    file = tmp_path / "floors.json"
    file.write_text('{"5": 0.25, "10": -1}', encoding="utf-8")
    assert Pause.read(None, file) == Pause(None, {5: 0.25, 10: -1.0})
    with pytest.raises(ConfigError, match=r"--floors: cannot read .*: No such file"):
        Pause.read(None, tmp_path / "none.json")


def test_a_file_of_floors_must_be_a_regular_one_of_a_bounded_size(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large.json").write_text(" " * (1 << 20) + '{"1": 0.5}', encoding="utf-8")
    (tmp_path / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    (tmp_path / "bytes.json").write_bytes(b'{"1": \xff}')
    for name in ("pipe", ".", "large.json", "deep.json", "bytes.json"):
        with pytest.raises(ConfigError, match=r"^--floors: "):
            Pause.read(None, tmp_path / name)
