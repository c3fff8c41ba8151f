"""`threads: auto`: what is measured, what it leaves alone, and which number a run keeps."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from recrun.config.resolve import Resolved, resolve
from recrun.runs.folder import open_run
from recrun.runs.resume import resolve_run
from recrun.training.coach import Coach
from recrun.training.pause import Pause, Paused
from recrun.workflows import threads as module
from recrun.workflows.build import build, prepare
from recrun.workflows.load import load
from recrun.workflows.threads import ENTRY, Threads, choose_threads, threads_of

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "batch_size=128", "device=cpu", "verbose=0", "plots=false"]


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have two threads on every machine, as many as before afterwards."""
    before = torch.get_num_threads()
    monkeypatch.setattr(module, "all_threads", lambda: 2)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def choose(monkeypatch: pytest.MonkeyPatch, number: int) -> list[dict[int, float]]:
    """Have a number come out as the faster, after the steps were really timed; return what was measured."""
    measured: list[dict[int, float]] = []
    real = module._step_seconds

    def found(coach: Coach, numbers: tuple[int, ...]) -> dict[int, float]:
        measured.append(real(coach, numbers))
        return {n: 0.001 if n == number else 0.002 for n in numbers}

    monkeypatch.setattr(module, "_step_seconds", found)
    return measured


def lines(coach: Coach) -> list[dict[str, Any]]:
    """Return the history of a run, without times."""
    text = coach.run.metrics_lines_file.read_text(encoding="utf-8")
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in text.splitlines()]


def weights(coach: Coach) -> dict[str, Any]:
    """Return a copy of the values of a model."""
    return {name: value.clone() for name, value in coach.model.state_dict().items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two models have the same values in every bit."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    "config",
    [
        ["synthetic/bprmf"],
        ["synthetic/sasrec", "dropout=0.3", "max_length=10"],
        ["synthetic/lightgcn", "accumulate=2", "num_workers=1", "ema_decay=0.9", "lr_scheduler=warmup_steps"],
    ],
)
def test_a_run_has_the_digits_of_one_that_was_given_the_number(
    config: list[str], number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = prepare(resolve(config[0], [*config[1:], *SMALL, "epochs=2", f"threads={number}"]), runs=tmp_path / "given")
    of_start = weights(given)
    of_generator = torch.get_rng_state()
    given.fit()
    measured = choose(monkeypatch, number)
    found = prepare(resolve(config[0], [*config[1:], *SMALL, "epochs=2", "threads=auto"]), runs=tmp_path / "found")
    assert torch.get_num_threads() == number
    assert [sorted(each) for each in measured] == [[1, 2]]
    assert all(seconds > 0 for seconds in measured[0].values())
    assert same(weights(found), of_start)
    assert torch.equal(torch.get_rng_state(), of_generator)
    assert not found.optimizer.state
    assert (len(found.state.pending), found.state.step, found.state.epoch) == (0, 0, 0)
    found.fit()
    assert lines(found) == lines(given)
    assert same(weights(found), weights(given))
    record = found.run.read_run()
    assert record[ENTRY]["number"] == record["hardware"]["threads"] == number
    assert record[ENTRY]["step_seconds"] == {"1": 0.001 * number, "2": 0.002 / number}
    said = f"threads: {number}, by the time of a training step: {number} ms with 1 and {2 // number} ms with 2"
    assert said in record["notes"]
    assert found.run.read_settings()["threads"] == "auto", "the config says what was asked for"


def test_the_faster_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr("recrun.training.stopwatch.time.perf_counter", lambda: next(clock) * torch.get_num_threads())
    resolved = resolve("bprmf", [*SMALL, "dataset=Synthetic", "threads=auto", "accumulate=3"])
    found = choose_threads(resolved, build)
    # The clock moves by the number of threads at each look, once for a batch.
    assert (found.number, found.seconds[1] < found.seconds[2]) == (1, True)
    monkeypatch.setattr("recrun.training.stopwatch.time.perf_counter", lambda: next(clock) / torch.get_num_threads())
    assert choose_threads(resolved, build).number == 2


def test_a_resumed_run_keeps_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, 1)
    options = [*SMALL, "dataset=Synthetic", "threads=auto", "id=a"]
    coach = prepare(resolve("bprmf", [*options, "epochs=3"]), runs=tmp_path)
    coach.pause = Pause(until=1)
    with pytest.raises(Paused):
        coach.fit()
    torch.set_num_threads(2)
    monkeypatch.setattr("recrun.workflows.build.choose_threads", lambda *given: pytest.fail("it was measured again"))
    run = open_run(coach.run.path)
    again = prepare(resolve_run(run), runs=tmp_path, run=run)
    assert torch.get_num_threads() == 1
    again.fit()
    torch.set_num_threads(2)
    prepare(resolve("bprmf", [*options, "resume=true", "epochs=4"]), runs=tmp_path)
    assert torch.get_num_threads() == 1


def test_a_run_that_was_given_a_number_keeps_it_when_it_is_resumed_with_auto(tmp_path: Path) -> None:
    coach = prepare(resolve("bprmf", [*SMALL, "dataset=Synthetic", "threads=1", "epochs=1"]), runs=tmp_path)
    coach.fit()
    torch.set_num_threads(2)
    run = open_run(coach.run.path)
    prepare(resolve_run(run, ["threads=auto", "epochs=2"]), runs=tmp_path, run=run).fit()
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("record", [{ENTRY: {"number": True}}, {ENTRY: 1, "hardware": {"threads": 1 << 30}}, {}])
def test_a_record_that_holds_no_number_is_not_heeded(record: dict[str, Any]) -> None:
    class Run:
        def read_run(self) -> dict[str, Any]:
            return record

    assert threads_of(Run()) is None  # type: ignore[arg-type]


def test_a_model_in_closed_form_has_all(tmp_path: Path) -> None:
    coach = prepare(resolve("ease", [each for each in SMALL if "batch" not in each] + ["threads=auto"]), runs=tmp_path)
    assert torch.get_num_threads() == 2
    coach.fit()
    assert coach.run.read_run()[ENTRY] == {
        "number": 2,
        "why": "which is all, as a model in closed form has no training steps to time",
        "step_seconds": {},
    }


def test_one_thread_needs_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "all_threads", lambda: 1)

    def not_built(resolved: Resolved) -> Coach:
        pytest.fail("it was built to be measured")

    resolved = resolve("bprmf", ["threads=auto"])
    assert choose_threads(resolved, not_built) == Threads(1, "as there are no more here", {})


def test_steps_that_fail_are_left_to_the_run(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "def fails(params):\n"
        "    import torch\n"
        "    class Own(torch.optim.SGD):\n"
        "        def step(self, closure=None): raise RuntimeError('no step')\n"
        "    return Own(params, lr=0.1)\n",
        encoding="utf-8",
    )
    own = f"optimizer={tmp_path}/own.py:fails"
    coach = prepare(resolve("bprmf", [*SMALL, "dataset=Synthetic", "threads=auto", own]), runs=tmp_path / "runs")
    assert coach.notes[-1] == "threads: 2, which is all, as no training step could be timed: RuntimeError"
    with pytest.raises(RuntimeError, match="no step"):
        coach.fit()


def test_a_model_that_is_loaded_computes_with_the_number_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, 1)
    coach = prepare(resolve("bprmf", [*SMALL, "dataset=Synthetic", "threads=auto", "epochs=1"]), runs=tmp_path)
    coach.fit()
    for overrides in ([], ["threads=auto"]):
        torch.set_num_threads(2)
        assert load(coach.run.path, overrides).resolved.config.threads == 1
        assert torch.get_num_threads() == 1
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(coach.run.checkpoint_file("best").read_bytes())
    assert load(alone).resolved.config.threads is None
