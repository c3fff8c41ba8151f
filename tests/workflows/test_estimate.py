"""What a run takes, estimated by a short one: sums and extrapolations, and what the real run then took."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from recrun.config.resolve import resolve
from recrun.runs.cost import epochs_of, evaluations_of, run_seconds
from recrun.training.coach import Coach
from recrun.workflows.build import prepare
from recrun.workflows.dry_run import short_run
from recrun.workflows.dry_run.estimate import estimate, lines_of
from recrun.workflows.dry_run.short_run import Measured, ShortCoach

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "device=cpu", "threads=1", "verbose=0"]
MF = ["batch_size=64", "embedding_dim=8", "early_stop_patience=null"]


def test_a_run_is_the_sum_of_its_parts() -> None:
    config = {"epochs": 7, "stop_epoch": 5, "eval_freq": 2}
    assert (epochs_of(config), evaluations_of(config)) == (5, 4)
    assert run_seconds(config, epoch=10.0, evaluation=2.0, rest=1.0) == 59.0
    assert run_seconds({}, epoch=10.0, evaluation=2.0, rest=1.0) == 1.0


@pytest.mark.parametrize(
    ("config", "options"),
    [
        ("bprmf", [*MF, "epochs=5", "eval_freq=2"]),
        ("bprmf", [*MF, "epochs=5", "stop_epoch=3", "groups=[activity:2]"]),
        ("bprmf", [*MF, "epochs=2", "eval_valid=false", "train_on=train_valid"]),
        ("bprmf", [*MF, "epochs=0", "eval_test=false"]),
        ("synthetic/sasrec", ["epochs=3", "max_length=10", "threads=auto", "optimizer=adamw", "ema_decay=0.9"]),
        ("itemknn", []),
    ],
)
def test_what_is_estimated_is_what_the_run_does(config: str, options: list[str], tmp_path: Path) -> None:
    names = {option.partition("=")[0] for option in options}
    resolved = resolve(config, [*options, *(each for each in SMALL if each.partition("=")[0] not in names)])
    found = estimate(resolved, tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []
    coach = prepare(resolved, runs=tmp_path / "runs")
    coach.fit()
    lines = [json.loads(line) for line in coach.run.metrics_lines_file.read_text(encoding="utf-8").splitlines()]
    evaluations = [line for line in lines if line["split"] != "train"]
    again = bool(resolved.config.groups)  # valid once more, which is not in the history
    assert found["estimate"]["n_evaluations"] == len(evaluations) + again
    size = sum(file.stat().st_size for file in coach.run.path.rglob("*") if file.is_file())
    assert found["estimate"]["disk_bytes"]["run"] == pytest.approx(size, rel=0.1)
    assert found["n_parameters"] > 0
    seconds = found["estimate"]["seconds"]
    n_evaluations = found["estimate"]["n_evaluations"]
    if config == "itemknn":
        assert seconds["total"] == pytest.approx(seconds["rest"] + seconds["fit"] + 2 * seconds["evaluation"])
    else:
        epochs = epochs_of(resolved.config)
        parts = epochs * (seconds["epoch"] or 0) + n_evaluations * (seconds["evaluation"] or 0)
        parts += seconds["rest"] + epochs * seconds["checkpoint"]
        assert seconds["total"] == pytest.approx(parts)
    assert all(line.partition(": ")[0] in ("time", "memory", "disk", "measured") for line in lines_of(found))


def test_an_epoch_is_extrapolated_from_its_first_batches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(short_run, "SECONDS", 0.0)
    resolved = resolve("bprmf", [*SMALL, *MF, "epochs=3", "accumulate=2"])
    coach = prepare(resolved, runs=tmp_path, reporters=lambda run, resumed_from: [], kind=ShortCoach)
    assert isinstance(coach, ShortCoach)
    real = short_run.timed_batches  # Each batch is said to take a second, the first of an epoch 100 more.

    def slow(batches: Any, device: Any, after: Any) -> Any:
        count = iter(range(10**6))
        return real(batches, device, lambda seconds: after(101.0 if next(count) == 0 else 1.0))

    monkeypatch.setattr(short_run, "timed_batches", slow)
    monkeypatch.setattr(Coach, "_spend", lambda self, activity, start: self.state.seconds.__setitem__(activity, 110.0))
    monkeypatch.setattr("recrun.runs.history.History.append", lambda *given: None)
    n_batches = coach.dataset.n_batches("train")
    assert n_batches == 12
    coach.resume()
    found = coach._train(0, 4, short_run.SECONDS)
    assert len(coach._batches) == 4 * 2
    # 110 s in all, of which 108 for batches; and the others of the epoch.
    assert found == pytest.approx(2 + 101 + (n_batches - 1) * 1.0)


def test_an_evaluation_is_extrapolated_from_its_first_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    coach = prepare(resolve("bprmf", [*SMALL, *MF]), runs=tmp_path, kind=ShortCoach)
    assert isinstance(coach, ShortCoach)
    now = 0.0
    monkeypatch.setattr(short_run.time, "perf_counter", lambda: now)

    def evaluate(self: Coach, split: str, epoch: int) -> None:
        nonlocal now
        for seconds, done in ((5.0, 10), (7.0, 20), (9.0, 30), (11.0, 40)):
            now = seconds
            self._after_block(split, done, 100)
        pytest.fail("it was not cut short")

    monkeypatch.setattr(Coach, "_evaluate_split", evaluate)
    _, seconds = coach._evaluate_split("valid", 0)
    # 5 s to the end of the first ten users, then 0.2 s for each of the other 90.
    assert seconds == pytest.approx(5 + 90 * 0.2)
    assert coach._share == 0.3


def test_a_fit_that_takes_too_long_is_not_estimated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(short_run, "FIT_SECONDS", 0.05)
    monkeypatch.setattr(ShortCoach, "train", lambda self, epoch: time.sleep(20))
    begun = time.monotonic()
    found = estimate(resolve("ease", SMALL), tmp_path)
    assert time.monotonic() - begun < 15
    assert found["estimate"]["seconds"]["fit"] is found["estimate"]["seconds"]["total"] is None
    assert found["estimate"]["memory_bytes"]["peak"] is found["estimate"]["disk_bytes"]["run"] is None
    texts = list(lines_of(found))
    assert texts[0].startswith("time: fit not estimated: more than ")
    assert texts[1].startswith("memory: not estimated, ")
    assert texts[2].startswith("disk: not estimated; ")


def test_only_the_files_that_grow_grow_with_the_epochs() -> None:
    files = {"metrics.jsonl": 200, "log.txt": 100, "track/events.out.tfevents.1": 50, "checkpoints/last/x": 1000}
    measured = Measured(1.0, 2, 3, 1.0, 1.0, 0.1, None, 1.0, 1, None, files)
    assert measured.folder_size(2) == 1350
    assert measured.best_checkpoint == 0
    assert measured.folder_size(20) == 1000 + 10 * 350
    assert measured.largest_file == 1000


def test_a_short_run_that_is_interrupted_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    real = ShortCoach._after_batch

    def press(self: ShortCoach, seconds: float) -> bool:
        self._interrupts.requested = True
        return real(self, seconds)

    monkeypatch.setattr(ShortCoach, "_after_batch", press)
    with pytest.raises(KeyboardInterrupt, match="interrupted; nothing was kept"):
        estimate(resolve("bprmf", [*SMALL, *MF, "epochs=3"]), tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "splits"), [([], {"valid"}), (["eval_valid=false", "train_on=train_valid"], {"test"})]
)
def test_test_is_read_only_where_there_is_no_validation(
    options: list[str], splits: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read = set()
    real = Coach._evaluate_split

    def evaluate(self: Coach, split: str, epoch: int) -> Any:
        read.add(split)
        return real(self, split, epoch)

    monkeypatch.setattr(Coach, "_evaluate_split", evaluate)
    estimate(resolve("bprmf", [*SMALL, *MF, "epochs=2", *options]), tmp_path)
    assert read == splits
