"""The Coach: its order, its best model, its resume, and what it refuses."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from recrun.config.resolve import resolve
from recrun.errors import CheckpointError, ConfigError, RegistryError, TrainingError
from recrun.metrics.per_user import mean_of_users
from recrun.randomness import seed_everything
from recrun.runs.checkpoint import load_checkpoint
from recrun.runs.folder import RunFolder
from recrun.runs.history import read_history
from recrun.runs.per_user import read_per_user
from recrun.training.coach import Coach
from recrun.training.loop_state import Best
from recrun.training.reporter import Reporter
from recrun.training.run_record import how_to_continue
from recrun.training.stop_signals import Interrupted
from recrun.workflows.build import build, prepare

SMALL = [
    "n_users=100",
    "n_items=60",
    "n_interactions=1500",
    "epochs=4",
    "batch_size=128",
    "lr=0.02",
    "embedding_dim=8",
    "device=cpu",
    "threads=1",
    "verbose=0",
]


class Recorder(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def start(self, info: Mapping[str, Any]) -> None:
        self.events.append(("start", info["resumed_from"]))

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        self.events.append(("trained", epoch, dict(values)))

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        self.events.append(("evaluated", epoch, split, is_best))

    def message(self, text: str, level: str = "info") -> None:
        self.events.append(("message", level, text))

    def close(self) -> None:
        self.events.append(("close",))


def _prepare(
    tmp_path: Path, *overrides: str, model: str = "bprmf", run: RunFolder | None = None
) -> tuple[Coach, Recorder]:
    recorder = Recorder()
    small = [text for text in SMALL if model == "bprmf" or text.partition("=")[0] not in TRAINING_KEYS]
    keys = {text.partition("=")[0] for text in overrides}
    resolved = resolve(model, [text for text in small if text.partition("=")[0] not in keys] + list(overrides))
    coach = prepare(resolved, runs=tmp_path, run=run, reporters=lambda run, epoch: [recorder])
    return coach, recorder


TRAINING_KEYS = {"epochs", "batch_size", "lr", "embedding_dim"}


def _numbers(path: Path) -> dict[str, Any]:
    result = json.loads(path.read_text(encoding="utf-8"))
    return {key: result[key] for key in ("best_epoch", "which4best", "valid", "test", "users", "epochs")}


def test_fit_follows_the_figure(tmp_path: Path) -> None:
    coach, recorder = _prepare(tmp_path, "epochs=2")
    calls: list[str] = []
    for name in ("resume", "save_checkpoint", "evaluate", "train_per_epoch", "step", "summary"):
        method = getattr(coach, name)

        def spy(*args: Any, _name: str = name, _method: Any = method, **kwargs: Any) -> Any:
            calls.append(_name)
            return _method(*args, **kwargs)

        setattr(coach, name, spy)
    coach.fit()
    epoch = ["save_checkpoint", "evaluate", "train_per_epoch", "step"]
    assert calls == ["resume", *epoch, *epoch, "save_checkpoint", "evaluate", "save_checkpoint", "summary", "evaluate"]
    assert [event[:3] for event in recorder.events if event[0] == "evaluated"] == [
        ("evaluated", 0, "valid"),
        ("evaluated", 1, "valid"),
        ("evaluated", 2, "valid"),
        ("evaluated", coach.state.best.epoch if coach.state.best else None, "test"),
    ]


def test_the_final_numbers_are_those_of_the_best_model(tmp_path: Path) -> None:
    coach, _ = _prepare(tmp_path)
    result = coach.fit()
    by_epoch = {line["epoch"]: line["values"]["ndcg@20"] for line in _history(coach) if line["split"] == "valid"}
    best = max(by_epoch.values())
    assert result["valid"]["ndcg@20"] == best
    assert by_epoch[result["best_epoch"]] == best
    state = load_checkpoint(coach.run.checkpoint_file("best"))
    assert state["epoch"] == result["best_epoch"]
    again = build(resolve("bprmf", SMALL))
    again.model.load_state_dict(state["model"])
    assert again.score("test", again_settings(coach), coach.cfg["monitors"]) == result["test"]


def _history(coach: Coach) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl without their times."""
    lines = read_history(coach.run.metrics_lines_file, strict=True)
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def again_settings(coach: Coach) -> Mapping[str, Any]:
    return coach.cfg


def test_the_same_config_gives_the_same_digits(tmp_path: Path) -> None:
    first, _ = _prepare(tmp_path)
    first.fit()
    second, _ = _prepare(tmp_path)
    second.fit()
    assert _numbers(first.run.metrics_file) == _numbers(second.run.metrics_file)
    ahead, _ = _prepare(tmp_path, "num_workers=1")
    ahead.fit()
    assert _numbers(first.run.metrics_file) == _numbers(ahead.run.metrics_file)


@pytest.mark.parametrize("stop_after", [1, 5, 11, 14, 30, 37])
def test_an_interrupted_run_resumes_to_the_same_bytes(tmp_path: Path, stop_after: int) -> None:
    options = ["lr_scheduler=cosine", "checkpoint_freq=3"]
    whole, _ = _prepare(tmp_path, *options)
    whole.fit()

    coach, recorder = _prepare(tmp_path, *options)
    steps = 0
    after_step = coach._after_step

    def stop(step: int) -> None:
        nonlocal steps
        steps += 1
        coach._interrupts.requested = steps == stop_after
        after_step(step)

    coach._after_step = stop  # type: ignore[method-assign]
    with pytest.raises(Interrupted, match="continue with: recrun train --resume"):
        coach.fit()
    assert coach.run.read_run()["status"] == "interrupted"
    assert recorder.events[-1] == ("close",)

    resumed, recorder = _prepare(tmp_path, *options, run=coach.run)
    resumed.fit()
    assert recorder.events[0] == ("start", (stop_after - 1) // 10 if stop_after % 10 else stop_after // 10 - 1)
    assert _numbers(resumed.run.metrics_file) == _numbers(whole.run.metrics_file)
    for which in ("best", "last"):
        ours, theirs = (load_checkpoint(each.run.checkpoint_file(which)) for each in (resumed, whole))
        assert ours["model"].keys() == theirs["model"].keys()
        assert all(torch.equal(ours["model"][key], theirs["model"][key]) for key in theirs["model"])
    assert _history(resumed) == _history(whole)
    for split in ("valid", "test"):
        ours, theirs = (each.run.per_user_file(split).read_bytes() for each in (resumed, whole))
        assert ours == theirs


@pytest.mark.parametrize("model", ["bprmf", "popularity"])
def test_the_means_of_the_users_are_the_final_numbers(tmp_path: Path, model: str) -> None:
    coach, _ = _prepare(tmp_path, model=model)
    result = coach.fit()
    for split in ("valid", "test"):
        per_user = read_per_user(coach.run.path, split)
        assert per_user is not None
        assert {name: mean_of_users(values_U) for name, values_U in per_user.values.items()} == result[split]
        assert len(per_user.users_U) == result["users"][split]
        assert set(per_user.users_U) <= set(coach.dataset.base.user_ids)


def test_the_values_of_users_are_not_kept_where_none_are_wanted_or_defined(tmp_path: Path) -> None:
    coach, _ = _prepare(tmp_path, "per_user=false", "epochs=1")
    coach.fit()
    assert list((coach.run.path / "per_user").iterdir()) == []
    coach, _ = _prepare(tmp_path, "monitors=[coverage@10]", "which4best=coverage@10", "epochs=1")
    coach.fit()
    assert list((coach.run.path / "per_user").iterdir()) == []
    coach, _ = _prepare(tmp_path, "eval_test=false", "epochs=1")
    coach.fit()
    assert [file.name for file in (coach.run.path / "per_user").iterdir()] == ["valid.parquet"]


def test_values_of_users_that_are_not_those_of_the_best_epoch_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coach, recorder = _prepare(tmp_path, "epochs=2")
    keep_best = coach._keep_best

    def keep(best: Best) -> None:
        keep_best(replace(best, values={name: value / 2 for name, value in best.values.items()}))

    monkeypatch.setattr(coach, "_keep_best", keep)
    monkeypatch.setattr(coach.evaluator, "keep_best", lambda: None)
    coach.fit()
    assert [file.name for file in (coach.run.path / "per_user").iterdir()] == ["test.parquet"]
    assert ("message", "warning") in [event[:2] for event in recorder.events]


def test_the_command_that_continues_a_run_is_quoted_for_a_shell(tmp_path: Path) -> None:
    coach, _ = _prepare(tmp_path, "description='a -b- $c'")
    folder = f"{tmp_path}/a -b- $c/Synthetic"
    assert how_to_continue(coach.run, coach.settings) == f"recrun train --resume '{folder}/{coach.run.path.name}'"


@pytest.mark.parametrize("scheduler", ["none", "cosine"])
def test_a_run_that_ends_at_a_stop_epoch_has_the_course_of_one_of_all_epochs(tmp_path: Path, scheduler: str) -> None:
    whole, _ = _prepare(tmp_path, "epochs=6", f"lr_scheduler={scheduler}")
    whole.fit()
    coach, _ = _prepare(tmp_path, "epochs=6", "stop_epoch=4", f"lr_scheduler={scheduler}")
    result = coach.fit()
    assert result["epochs"] == 4
    assert result["stopped_early"] is False

    def course(of: Coach) -> list[Any]:
        lines = [json.loads(line) for line in of.run.metrics_lines_file.read_text().splitlines()]
        return [(line["split"], line["epoch"], line["values"]) for line in lines if line["split"] != "test"]

    assert course(coach) == [line for line in course(whole) if line[1] <= 4]
    again, _ = _prepare(tmp_path, "epochs=6", "stop_epoch=4", f"lr_scheduler={scheduler}", run=coach.run)
    assert again.fit() == result
    with pytest.raises(ConfigError, match="stop_epoch: expected at most epochs, 6, found 7"):
        resolve("bprmf", ["epochs=6", "stop_epoch=7"])


def test_early_stopping_counts_evaluations(tmp_path: Path) -> None:
    coach, recorder = _prepare(tmp_path, "lr=1e-9", "epochs=50", "early_stop_patience=3", "eval_freq=2")
    result = coach.fit()
    assert result["epochs"] == result["best_epoch"] + 6
    assert any("stopped early" in event[2] for event in recorder.events if event[0] == "message")


def test_without_validation_the_last_model_is_kept_and_nothing_pretends(tmp_path: Path) -> None:
    coach, recorder = _prepare(tmp_path, "valid_ratio=0", "early_stop_patience=null")
    result = coach.fit()
    assert result["valid"] is None
    assert result["best_epoch"] == 4
    assert set(result["users"]) == {"test", "skipped"}
    assert [event for event in recorder.events if event[0] == "evaluated"] == [("evaluated", 4, "test", False)]
    assert math.isfinite(result["test"]["ndcg@20"])


def test_test_is_not_touched_before_the_end(tmp_path: Path) -> None:
    coach, _ = _prepare(tmp_path)
    door = coach.dataset.base.interactions
    opened: list[tuple[str, int]] = []

    def spy(split: Any) -> Any:
        opened.append((split, coach.state.epoch))
        return door(split)

    coach.dataset.base.interactions = spy  # type: ignore[method-assign]
    summary = coach.summary

    def at_the_end() -> Any:
        opened.append(("summary", coach.state.epoch))
        return summary()

    coach.summary = at_the_end  # type: ignore[method-assign]
    coach.fit()
    splits = [split for split, _ in opened]
    assert "test" in splits
    assert "test" not in splits[: splits.index("summary")]
    assert len(coach.run.read_run()["test_evaluations"]) == 1


def test_eval_test_false_never_opens_test(tmp_path: Path) -> None:
    coach, _ = _prepare(tmp_path, "eval_test=false")
    door = coach.dataset.base.interactions

    def spy(split: Any) -> Any:
        assert split != "test"
        return door(split)

    coach.dataset.base.interactions = spy  # type: ignore[method-assign]
    result = coach.fit()
    assert result["test"] is None
    assert coach.run.read_run()["test_evaluations"] == []


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    coach, recorder = _prepare(tmp_path, "epochs=5")
    training_loss = coach.model.training_loss

    def spoil(batch: Any, criterion: Any) -> torch.Tensor:
        loss: torch.Tensor = training_loss(batch, criterion)
        return loss * float("nan") if (coach.state.epoch, coach.state.step) == (2, 4) else loss

    coach.model.training_loss = spoil
    with pytest.raises(TrainingError, match=r"not finite in epoch 3, step 5 .*User|epoch 3, step 5.*last good"):
        coach.fit()
    assert coach.run.read_run()["status"] == "failed"
    last = load_checkpoint(coach.run.checkpoint_file("last"))
    assert last["progress"]["epoch"] == 2
    assert all(tensor.isfinite().all() for tensor in last["model"].values())
    assert recorder.events[-1] == ("close",)


def test_a_closed_form_model_is_fitted_once_and_evaluated_once(tmp_path: Path) -> None:
    coach, recorder = _prepare(tmp_path, model="popularity")
    result = coach.fit()
    assert result["best_epoch"] == 1
    assert [event[:3] for event in recorder.events if event[0] == "evaluated"] == [
        ("evaluated", 1, "valid"),
        ("evaluated", 1, "test"),
    ]


def test_what_a_fit_has_to_tell_is_a_warning_of_the_run(tmp_path: Path) -> None:
    coach, recorder = _prepare(tmp_path, "n_iterations=1", model="slim")
    coach.fit()
    messages = [event[1:] for event in recorder.events if event[0] == "message"]
    assert [level for level, _ in messages] == ["warning"]
    assert messages[0][1].startswith("slim stopped before its tolerance: after 1 passes the weights of ")


def test_test_is_scored_with_the_closed_form_model_that_was_saved(tmp_path: Path) -> None:
    coach, _ = _prepare(tmp_path, model="ease")
    address = coach.model.weights.data_ptr()
    coach.fit()
    assert coach.model.weights.data_ptr() == address
    saved = load_checkpoint(coach.run.checkpoint_file("best"))["model"]["weights"]
    assert saved.equal(coach.model.weights)
    assert saved.any()


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    first, _ = _prepare(tmp_path, "epochs=1")
    first.fit()
    other, _ = _prepare(tmp_path, "embedding_dim=16", run=first.run)
    with pytest.raises(
        CheckpointError, match="made with other settings than the run has now: embedding_dim was 8, now 16"
    ):
        other.fit()


def test_a_monitor_that_evaluate_leaves_out_is_named(tmp_path: Path) -> None:
    coach, _ = _prepare(tmp_path)
    coach.evaluate = lambda prefix="valid": coach.monitor(0.5, prefix=prefix, pool=["NDCG"])  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"no value for recall@10, recall@20 on valid"):
        coach.fit()


def test_a_pool_names_metrics_or_is_refused(tmp_path: Path) -> None:
    coach, _ = _prepare(tmp_path)
    with pytest.raises(RegistryError, match="did you mean 'ndcg'"):
        coach.monitor(0.5, prefix="valid", pool=["NDGC"])


def test_which4best_must_be_monitored(tmp_path: Path) -> None:
    coach, _ = _prepare(tmp_path)
    with pytest.raises(ConfigError, match="not among the monitors: ndcg@5"):
        coach.compile({**coach.cfg, "which4best": "ndcg@20"}, ["ndcg@5"])


def test_a_plateau_schedule_is_stepped_with_the_validation_value(tmp_path: Path) -> None:
    coach, _ = _prepare(tmp_path, "lr_scheduler=plateau", "lr_patience=1", "lr=1e-9", "epochs=6")
    before = coach.optimizer.param_groups[0]["lr"]
    coach.fit()
    assert coach.optimizer.param_groups[0]["lr"] < before


def test_dense_predictions_and_numbers_share_the_monitors(tmp_path: Path) -> None:
    coach, _ = _prepare(tmp_path, "monitors=[recall@1,ndcg@2]", "which4best=ndcg@2")
    predictions = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    targets = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 0]])
    coach.monitor(predictions, targets, n=3, prefix="valid", pool=["RECALL", "NDCG"])
    values = coach.state.meters.take("valid")
    assert values["recall@1"] == pytest.approx(0.5), "the third row has nothing relevant and is left out"
    second = (1 / math.log2(3)) / (1 + 1 / math.log2(3))
    assert values["ndcg@2"] == pytest.approx((1 + second) / 2)


def test_a_scripts_own_monitors_of_training_survive_an_interruption_within_an_epoch(tmp_path: Path) -> None:
    def watch(coach: Coach, stop_at: tuple[int, int] | None) -> None:
        train_per_epoch = coach.train_per_epoch

        def monitored() -> None:
            coach.dataloader = _watched(coach, coach.dataloader, stop_at)
            train_per_epoch()

        coach.train_per_epoch = monitored  # type: ignore[method-assign]

    whole, _ = _prepare(tmp_path)
    watch(whole, None)
    whole.fit()
    coach, _ = _prepare(tmp_path)
    watch(coach, (2, 5))
    with pytest.raises(Interrupted):
        coach.fit()
    resumed, recorder = _prepare(tmp_path, run=coach.run)
    watch(resumed, None)
    resumed.fit()
    assert sum("recall@10" in line["values"] for line in _history(whole) if line["split"] == "train") == 4
    assert _history(resumed) == _history(whole)
    assert [event[1] for event in recorder.events if event[0] == "trained"] == [3, 4]


def _watched(coach: Coach, batches: Any, stop_at: tuple[int, int] | None) -> Any:
    for batch in batches:
        n = len(batch["user"])
        # Numbers that differ from step to step, so that a lost one shows in the mean.
        coach.monitor(float(batch["user"].sum()) / 7, n=n, prefix="train", pool=["recall@10"])
        if stop_at == (coach.state.epoch, coach.state.step):
            coach._interrupts.requested = True
        yield batch


def test_plateau_without_validation_rows_is_refused(tmp_path: Path) -> None:
    coach, _ = _prepare(tmp_path, "lr_scheduler=plateau", "early_stop_patience=null")
    coach.dataset.base._parts = {**coach.dataset.base._parts, "valid": coach.dataset.base._parts["valid"].take([])}
    with pytest.raises(ConfigError, match="plateau follows the validation metric, but there is no validation part"):
        coach.compile(coach.cfg, coach.cfg["monitors"])


def test_a_reporter_that_fails_ends_the_run_as_a_failure_of_the_run(tmp_path: Path) -> None:
    class Full(Recorder):
        def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            super().close()
            raise OSError(28, "No space left on device")

    coach, _ = _prepare(tmp_path)
    recorder = Full()
    coach._make_reporters = lambda run, epoch: [recorder]
    with pytest.raises(TrainingError, match=r"stopped: No space left on device\. The last good checkpoint is"):
        coach.fit()
    assert recorder.events[-1] == ("close",)
    assert coach.run.read_run()["status"] == "failed"


def test_random_numbers_do_not_depend_on_what_reporters_draw(tmp_path: Path) -> None:
    import random

    class Drawing(Recorder):
        def start(self, info: Mapping[str, Any]) -> None:
            random.random()
            torch.rand(1)

    plain, _ = _prepare(tmp_path)
    drawing, _ = _prepare(tmp_path)
    drawing._make_reporters = lambda run, epoch: [Drawing()]
    for coach in (plain, drawing):
        seed_everything(1)
        coach.fit()
    one, other = (load_checkpoint(coach.run.checkpoint_file("last"))["rng"] for coach in (plain, drawing))
    assert one["python"] == other["python"]
    assert torch.equal(one["torch"], other["torch"])


def test_a_run_stopped_while_test_is_scored_keeps_the_state_it_would_go_on_from(tmp_path: Path) -> None:
    options = ["lr=0.5", "epochs=5"]
    whole, _ = _prepare(tmp_path, *options)
    best = whole.fit()["best_epoch"]
    assert best < 5, "the best model is another one than the last"
    coach, _ = _prepare(tmp_path, *options)
    after_block = coach._after_block

    def stop(split: str, done: int, total: int) -> None:
        coach._interrupts.requested = split == "test"
        after_block(split, done, total)

    coach._after_block = stop  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        coach.fit()
    assert [entry["metrics"] for entry in coach.run.read_run()["test_evaluations"]] == [None]
    ours, theirs = (load_checkpoint(each.run.checkpoint_file("last"))["model"] for each in (coach, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    resumed, _ = _prepare(tmp_path, *options, run=coach.run)
    resumed.fit()
    assert _numbers(resumed.run.metrics_file) == _numbers(whole.run.metrics_file)


@pytest.mark.parametrize(
    "damage",
    [
        {"test": 5},
        {"test": {"ndcg@20": [1]}},
        {"valid": "text"},
        {"undefined": 3},
        {"undefined": {"test": 3}},
        {"undefined": {"test": {"ndcg@20": [1]}}},
        {"protocol": 3},
    ],
    ids=str,
)
def test_final_numbers_that_are_damaged_are_made_anew(tmp_path: Path, damage: dict[str, Any]) -> None:
    coach, _ = _prepare(tmp_path)
    coach.fit()
    whole = json.loads(coach.run.metrics_file.read_text(encoding="utf-8"))
    coach.run.update_run(status="running")
    coach.run.write_json(coach.run.metrics_file, {**whole, **damage})
    resumed, _ = _prepare(tmp_path, run=coach.run)
    resumed.fit()
    found = json.loads(coach.run.metrics_file.read_text(encoding="utf-8"))
    assert {**found, "seconds": None} == {**whole, "seconds": None}


@pytest.mark.parametrize("ledger", [[1, "x"], 5, None, [{"by": "eval", "metrics": None}]], ids=str)
def test_a_record_without_an_evaluation_to_end_is_left_as_it_is(tmp_path: Path, ledger: Any) -> None:
    coach, _ = _prepare(tmp_path)
    result = coach.fit()
    coach.run.update_run(status="running", test_evaluations=ledger)
    resumed, _ = _prepare(tmp_path, run=coach.run)
    assert resumed.fit() == result
    record = coach.run.read_run()
    assert (record["status"], record["test_evaluations"]) == ("done", ledger)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
            r"out of GPU memory; lower one of",
        ),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate memory"),
            "out of memory",
        ),
        (MemoryError(), r"out of memory; lower one of batch_size \(128\), n_negatives \(1\), embedding_dim \(8\)"),
    ],
)
def test_memory_that_is_used_up_ends_a_run_with_the_settings_to_lower(
    error: Exception, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coach, _ = _prepare(tmp_path)

    def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(coach.steps, "backward", fail)
    with pytest.raises(TrainingError, match=said) as raised:
        coach.fit()
    assert "The last good checkpoint is" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert coach.run.read_run()["status"] == "failed"
