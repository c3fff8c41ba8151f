"""A run that is killed anywhere and resumed comes to the same digits as one that was never interrupted."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recrun.runs.checkpoint import load_checkpoint
from tests.run_server import Server, all_runs, the_run, wait_until

SMALL = [
    "n_users=150",
    "n_items=80",
    "n_interactions=3000",
    "batch_size=64",
    "embedding_dim=8",
    "lr=0.02",
    "epochs=4",
    "monitors=[ndcg@10]",
    "which4best=ndcg@10",
    "device=cpu",
    "threads=1",
    "verbose=0",
    "plots=false",
]
DRAWN = [*SMALL[:-1], "plots=true"]
"""With plots, which take most of the time of so small a run."""

DROPOUT_MODEL = '''
import torch

from recrun.architectures import RecSysArch


class DropoutMF(RecSysArch):
    """Score by the product of embeddings, some of whose entries are dropped in training."""

    def __init__(self, data, *, embedding_dim: int = 8, dropout: float = 0.3) -> None:
        super().__init__()
        self.users = torch.nn.Embedding(data.n_users, embedding_dim)
        self.items = torch.nn.Embedding(data.n_items, embedding_dim)
        self.dropout = torch.nn.Dropout(dropout)
        self.initialize(0.1)

    def forward(self, users, items):
        return (self.dropout(self.users(users)) * self.items(items)).sum(-1)

    def vectors(self):
        return self.users.weight, self.items.weight
'''


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


class Whole:
    """What an uninterrupted run comes to, for each set of settings, computed once."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server, self._folder = server, folder
        self._known: dict[tuple[str, ...], dict[str, Any]] = {}
        self.training_seconds: dict[tuple[str, ...], float] = {}
        self.epoch_seconds: dict[tuple[str, ...], float] = {}

    def __call__(self, *options: str) -> dict[str, Any]:
        if options not in self._known:
            runs = self._folder / str(len(self._known))
            assert self._server.run("train", *options, "--runs", str(runs)) == 0, self._server.text()
            log = (the_run(runs) / "log.txt").stat()
            started = (the_run(runs) / "config.yaml").stat().st_mtime
            self.training_seconds[options] = log.st_mtime - started
            result = json.loads((the_run(runs) / "metrics.json").read_text(encoding="utf-8"))
            self.epoch_seconds[options] = result["seconds"]["total"]
            self._known[options] = outcome(the_run(runs))
        return self._known[options]


@pytest.fixture(scope="module")
def whole(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(server, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def dropout_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("models") / "dropout_mf.py"
    file.write_text(DROPOUT_MODEL, encoding="utf-8")
    return f"{file}:DropoutMF"


def outcome(run: Path) -> dict[str, Any]:
    """Return everything about a finished run that must not depend on how often it was interrupted."""
    result = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    states = {which: load_checkpoint(run / "checkpoints" / which) for which in ("best", "last")}
    progress = {key: value for key, value in states["last"]["progress"].items() if key not in ("seconds", "history")}
    return {
        "numbers": {key: value for key, value in result.items() if key not in ("run", "seconds")},
        "lines": sorted([line["epoch"], line["split"], line["values"], line["best"]] for line in lines),
        "weights": {which: _bytes(state["model"]) for which, state in states.items()},
        "optimizer": _bytes(states["last"]["optimizer"]),
        "schedule": states["last"]["lr_scheduler"],
        "average": _bytes(states["last"].get("average")),
        "rng": _bytes(states["last"]["rng"]),
        "best": states["best"]["epoch"],
        "progress": json.dumps(progress),
        "config": (run / "config.yaml").read_text(encoding="utf-8"),
        "scalars": scalars(run),
        "per_user": {file.name: file.read_bytes() for file in (run / "per_user").iterdir()},
        "hidden": sorted(str(path.relative_to(run)) for path in run.rglob(".*") if not path.name.endswith("lock")),
    }


def _bytes(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _bytes(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_bytes(value) for value in tree]
    if str(getattr(tree, "dtype", "")) == "torch.bfloat16":  # which numpy has not
        tree = tree.float()
    return tree.numpy().tobytes() if hasattr(tree, "numpy") else tree


def scalars(run: Path) -> list[tuple[str, int, float]]:
    """Return the (tag, step, value) that TensorBoard's own reader finds in a run's event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "summary"))
    events.Reload()
    tags = events.Tags()["scalars"]
    return sorted((tag, event.step, event.value) for tag in tags for event in events.Scalars(tag))


def check(run: Path, expected: dict[str, Any]) -> None:
    """Compare a run that was interrupted with an uninterrupted one, and look at what it left behind."""
    found = outcome(run)
    for part, value in expected.items():
        assert found[part] == value, part
    places = Counter((tag, step) for tag, step, _ in found["scalars"])
    assert max(places.values()) == 1, "no step appears twice in the event files"
    assert not [name for name in found["hidden"] if name.endswith(".tmp")], "no temporary file stays behind"
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "done"
    ledger = [entry["metrics"] for entry in record["test_evaluations"]]
    assert ledger[-1] == found["numbers"]["test"]
    assert all(metrics in (None, ledger[-1]) for metrics in ledger)


def resume_until_done(server: Server, run: Path, dies: list[dict[str, Any] | None]) -> int:
    """Resume a run, killing it again at each of some points; return how often it was killed."""
    killed = 0
    for die in [*dies, None]:
        code = server.run("train", "--resume", str(run), die=die)
        assert code in (0, -signal.SIGKILL), server.text()
        killed += code != 0
    return killed


slow = pytest.mark.slow


@pytest.mark.parametrize("at", ["fsync", *(pytest.param(at, marks=slow) for at in ("torn", "replace", "link"))])
def test_a_run_killed_while_it_writes_a_file_resumes_to_the_same_bytes(
    server: Server, whole: Whole, tmp_path: Path, at: str
) -> None:
    expected = whole("bprmf", *SMALL)
    for call in (2, 4, 7, 12):
        runs = tmp_path / str(call)
        code = server.run("train", "bprmf", *SMALL, "--runs", str(runs), die={"at": at, "call": call})
        if code == 0:
            assert at == "link", "only a better model than the best so far is linked"
            break
        assert code == -signal.SIGKILL, server.text()
        again = all_runs(runs)
        if not again:
            assert call <= 2, "a run has a folder as soon as its config and run.json are written"
            continue
        assert resume_until_done(server, again[0], [{"at": at, "call": call}]) <= 1
        check(again[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("at", ["fsync", "torn", "replace", "link", "unlink"])
def test_a_run_survives_a_kill_at_every_single_write(server: Server, whole: Whole, tmp_path: Path, at: str) -> None:
    options = DRAWN if at == "replace" else SMALL
    expected = whole("bprmf", *options)
    rounds = 0
    for call in range(1, 500):
        runs = tmp_path / str(call)
        if server.run("train", "bprmf", *options, "--runs", str(runs), die={"at": at, "call": call}) == 0:
            break
        again = all_runs(runs)
        if again:
            resume_until_done(server, again[0], [])
            check(again[0], expected)
            rounds += 1
        shutil.rmtree(runs)
    print(f"{rounds} kills at {at}, all resumed to the same bytes")
    assert rounds > 3


def test_a_model_in_closed_form_that_is_killed_anywhere_comes_to_the_same_numbers(
    server: Server, tmp_path: Path
) -> None:
    options = ["ease", "n_users=60", "n_items=40", "n_interactions=900", *SMALL[-4:]]
    assert server.run("train", *options, "--runs", str(tmp_path / "whole")) == 0, server.text()
    expected = json.loads((the_run(tmp_path / "whole") / "metrics.json").read_text(encoding="utf-8"))
    for at, call in (("fsync", 5), ("replace", 5), ("fsync", 8), ("end_test_evaluation", 1), ("replace", 8)):
        runs = tmp_path / f"{at}-{call}"
        assert server.run("train", *options, "--runs", str(runs), die={"at": at, "call": call}) == -signal.SIGKILL
        run = the_run(runs)
        assert server.run("train", "--resume", str(run)) == 0, server.text()
        found = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        assert {**found, "run": None, "seconds": None} == {**expected, "run": None, "seconds": None}
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["split"] for line in lines] == ["train", "valid", "test"]
        ledger = json.loads((run / "run.json").read_text(encoding="utf-8"))["test_evaluations"]
        assert [entry["metrics"] for entry in ledger if entry["metrics"] is not None] == [found["test"]]


FAMILIES = {
    "multvae": ["multvae", "hidden_dim=8", "latent_dim=4", "kl_warmup_steps=8"],
    "new_users": ["multvae", "hidden_dim=8", "latent_dim=4", "kl_warmup_steps=8", "split=new_users"],
    "recvae": ["recvae", "hidden_dim=8", "latent_dim=4", "encoder_epochs=1"],
    "diffrec": ["diffrec", "latent_dim=8"],
    "cml": ["cml", "embedding_dim=8", "n_negatives=3", "covariance_weight=1"],
    "enmf": ["enmf", "embedding_dim=8"],
    "neumf": ["neumf", "embedding_dim=4", "mlp_dim=4", "n_layers=2", "dropout=0.3"],
    "simplex": ["simplex", "embedding_dim=8", "n_negatives=3"],
    "edge_dropout": ["lightgcn", "embedding_dim=8", "edge_dropout=0.3"],
    "subgraphs": ["sgl", "embedding_dim=8"],
    "clusters": ["ncl", "embedding_dim=8", "n_prototypes=5", "prototype_warmup=1", "prototype_weight=0.01"],
    "dns": ["bprmf", "embedding_dim=8", "sampler=dns"],
    "in_batch": ["bprmf", "embedding_dim=8", "sampler=in_batch", "loss=sampled_softmax", "logq_correction=true"],
}


@pytest.mark.parametrize(
    "family", [each if each in ("multvae", "dns") else pytest.param(each, marks=slow) for each in FAMILIES]
)
def test_a_run_of_any_family_killed_within_an_epoch_resumes_to_the_same_bytes(
    server: Server, whole: Whole, tmp_path: Path, family: str
) -> None:
    common = [option for option in SMALL if not option.startswith("embedding_dim")]
    check_kills_within_an_epoch(server, whole, tmp_path, [*FAMILIES[family], *common])


def check_kills_within_an_epoch(server: Server, whole: Whole, tmp_path: Path, settings: list[str]) -> None:
    """Kill a run and its resumption between the steps of an epoch, and compare what it comes to in the end."""
    options = [*settings, "checkpoint_minutes=1e-9"]  # a checkpoint after every step
    expected = whole(*options)
    for call in (9, 16):
        runs = tmp_path / str(call)
        code = server.run("train", *options, "--runs", str(runs), die={"at": "replace", "call": call})
        assert code == -signal.SIGKILL, server.text()
        assert resume_until_done(server, the_run(runs), [{"at": "replace", "call": 7}]) == 1
        check(the_run(runs), expected)


STEPS = ["accumulate=3", "clip_norm=0.05", "ema_decay=0.9"]
FORMS = {
    "bert": [
        "bprmf",
        "embedding_dim=8",
        *STEPS,
        "lr_scheduler=linear",
        "warmup_steps=5",
        "optimizer=adamw",
        "eps=1e-6",
    ],
    "sparse": ["bprmf", "embedding_dim=8", *STEPS, "optimizer=lazy_adam", "lr_scheduler=cosine_steps"],
    "bf16": ["bprmf", "embedding_dim=8", *STEPS, "optimizer=lazy_adam", "state_precision=bf16"],
    "row_adagrad": ["bprmf", "embedding_dim=8", *STEPS, "optimizer=row_adagrad", "initial_accumulator=0.1"],
    "groups": [*FAMILIES["neumf"], *STEPS, "weight_decay=0.1", "weight_decay_on=weights", "early_stop_patience=2"],
    "adagrad": ["bprmf", "embedding_dim=8", "accumulate=2", "optimizer=adagrad", "initial_accumulator=0.1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_run_with_steps_of_any_form_killed_within_an_epoch_resumes_to_the_same_bytes(
    server: Server, whole: Whole, tmp_path: Path, form: str
) -> None:
    common = [option for option in SMALL if not option.startswith("embedding_dim")]
    settings = [*FORMS[form], *common]
    check_kills_within_an_epoch(server, whole, tmp_path, settings)
    expected = whole(*settings, "checkpoint_minutes=1e-9")
    assert (expected["average"] is None) == (form == "adagrad")
    # Killed where the last state is one within an epoch, between two steps of the optimizer.
    runs, size = tmp_path / "within", 2 if form == "adagrad" else 3
    for call in range(12, 30):
        code = server.run(
            "train", *settings, "checkpoint_minutes=1e-9", "--runs", str(runs), die={"at": "replace", "call": call}
        )
        assert code == -signal.SIGKILL, server.text()
        step = load_checkpoint(the_run(runs) / "checkpoints/last")["progress"]["step"]
        assert step % size == 0
        if step:
            break
        shutil.rmtree(runs)
    assert step > 0
    assert resume_until_done(server, the_run(runs), []) == 0
    check(the_run(runs), expected)


OF_CLICKS = [
    *(option for option in SMALL if option.partition("=")[0] not in ("n_interactions", "monitors", "which4best")),
    "n_rows=1500",
    "monitors=[auc,gauc,logloss]",
    "which4best=logloss",
]
DEEP = ["hidden_dims=[16]", "dropout=0.4"]


@pytest.mark.parametrize(
    "model", [["deepfm", *DEEP], *(pytest.param([name], marks=slow) for name in ("fm", "dcn"))], ids=lambda m: m[0]
)
def test_a_model_of_clicks_killed_within_an_epoch_resumes_to_the_same_bytes(
    server: Server, whole: Whole, tmp_path: Path, model: list[str]
) -> None:
    check_kills_within_an_epoch(server, whole, tmp_path, [*model, *OF_CLICKS])
    assert set(whole(*model, *OF_CLICKS, "checkpoint_minutes=1e-9")["numbers"]["rows"]) == {"valid", "test"}


@pytest.mark.parametrize("at", ["begin_test_evaluation", "end_test_evaluation"])
def test_a_run_killed_while_test_is_scored_resumes_and_its_ledger_tells(
    server: Server, whole: Whole, tmp_path: Path, at: str
) -> None:
    expected = whole("bprmf", *SMALL)
    assert server.run("train", "bprmf", *SMALL, "--runs", str(tmp_path), die={"at": at, "call": 1}) == -signal.SIGKILL
    run = the_run(tmp_path)
    assert (run / "metrics.json").exists() == (at == "end_test_evaluation")
    assert server.run("train", "--resume", str(run)) == 0, server.text()
    check(run, expected)
    ledger = json.loads((run / "run.json").read_text(encoding="utf-8"))["test_evaluations"]
    assert [entry["metrics"] for entry in ledger] == [expected["numbers"]["test"]]


@pytest.mark.slow
def test_a_run_killed_at_any_write_of_its_end_has_scored_test_once(
    server: Server, whole: Whole, tmp_path: Path
) -> None:
    options = [*SMALL, "eval_freq=100", "checkpoint_freq=100"]
    test, kills = whole("bprmf", *options)["numbers"]["test"], 0
    for call in range(1, 200):
        runs = tmp_path / str(call)
        die = {"at": "replace", "call": call}
        if server.run("train", "bprmf", *options, "--runs", str(runs), die=die) == 0:
            break
        for run in all_runs(runs):
            assert server.run("train", "--resume", str(run)) == 0, server.text()
            ledger = json.loads((run / "run.json").read_text(encoding="utf-8"))["test_evaluations"]
            assert [entry["metrics"] for entry in ledger if entry["metrics"] is not None] == [test]
            kills += 1
    assert kills > 5


OF_SEQUENCES = [option for option in SMALL if not option.startswith(("batch_size", "epochs"))]
OF_SEQUENCES += ["batch_size=16", "epochs=2", "dropout=0.3"]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("sasrec", ["max_length=8"]),
        pytest.param("bert4rec", ["sequence_rows=windows", "max_length=5", "window_step=2"], marks=slow),
        pytest.param("gru4rec", ["sequence_rows=prefixes", "max_length=4"], marks=slow),
        pytest.param("cl4srec", ["max_length=8"], marks=slow),
        pytest.param("duorec", ["max_length=8"], marks=slow),
    ],
)
def test_a_model_of_sequences_that_is_killed_draws_the_same_masks_after_it(
    server: Server, whole: Whole, tmp_path: Path, name: str, more: list[str]
) -> None:
    options = [*OF_SEQUENCES, "checkpoint_minutes=0.0001", *more]
    expected = whole(name, *options)
    for call in (9, 16):
        runs = tmp_path / str(call)
        code = server.run("train", name, *options, "--runs", str(runs), die={"at": "fsync", "call": call})
        assert code == -signal.SIGKILL, server.text()
        assert resume_until_done(server, the_run(runs), [{"at": "fsync", "call": call}]) <= 1
        check(the_run(runs), expected)


MODES = {
    "plain": [],
    "dropout": ["lr_scheduler=plateau", "lr_patience=0", "optimizer=adamw"],
    "early": ["early_stop_patience=2", "epochs=30", "lr=0.05", "checkpoint_freq=2", "num_workers=1"],
    "sparse": ["optimizer=lazy_adam", "eval_freq=3", "checkpoint_freq=4", "epochs=8", "lr_scheduler=cosine"],
    "minutes": ["checkpoint_minutes=0.0001", "epochs=3", "optimizer=sgd", "momentum=0.9", "lr=0.1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_run_killed_at_ten_random_moments_resumes_to_the_same_bytes(
    server: Server, whole: Whole, tmp_path: Path, dropout_model: str, mode: str
) -> None:
    changed = {option.partition("=")[0] for option in MODES[mode]}
    options = [option for option in DRAWN if option.partition("=")[0] not in changed] + MODES[mode]
    options = [*options, f"model={dropout_model}"] if mode == "dropout" else options
    expected = whole("bprmf", *options)
    # From the start of the training to its end; what goes before is the same in every life.
    duration = whole.training_seconds[("bprmf", *options)]
    in_epochs = whole.epoch_seconds[("bprmf", *options)]
    rng = random.Random(mode)
    killed, epochs = 0, set()
    for attempt in range(20):
        runs = tmp_path / str(attempt)
        command, n_lives = ["train", "bprmf", *options, "--runs", str(runs)], 0
        while True:
            pid = server.start(*command)
            n_lives += 1
            # A run is killed thrice at most: once it is past its epochs, every later life is too.
            wanted = n_lives <= 3 and (killed < 10 or len(epochs) == 1)
            has_started = wanted and wait_for_start(runs, pid, n_lives)
            if has_started:
                # Within the epochs, or anywhere up to the end: there the summary takes most of the time.
                time.sleep(rng.random() * rng.choice([in_epochs, duration]))
                os.kill(pid, signal.SIGKILL)
            code = server.finish()
            assert code in (0, -signal.SIGKILL), server.text()
            if code == 0:
                break
            killed += 1
            command = ["train", "--resume", str(the_run(runs))]
            last = the_run(runs) / "checkpoints/last"
            epochs.add(load_checkpoint(last)["progress"]["epoch"] if any(last.glob("*.safetensors")) else -1)
        check(the_run(runs), expected)
        if killed >= 10 and len(epochs) > 1:
            break
    print(f"{mode}: killed {killed} times in {attempt + 1} runs, with the last state of epochs {sorted(epochs)}")
    assert killed >= 10
    assert len(epochs) > 1


def wait_for_start(runs: Path, pid: int, n_lives: int) -> bool:
    """Wait until a run has begun to train for the n-th time; False if its process ended before."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        logs = [run / "log.txt" for run in all_runs(runs)]
        if any(log.exists() and log.read_text(encoding="utf-8").count("INFO    start") >= n_lives for log in logs):
            return True
        if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z":
            return False
        time.sleep(0.002)
    raise AssertionError("the run did not start")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_with_130_and_the_run_resumes(
    server: Server, whole: Whole, tmp_path: Path, number: signal.Signals
) -> None:
    options = [*(option for option in SMALL if not option.startswith("epochs")), "epochs=15"]
    expected = whole("bprmf", *options)
    pid = server.start("train", "bprmf", *options, "--runs", str(tmp_path))
    wait_for_lines(tmp_path, 5)
    asked = time.monotonic()
    os.kill(pid, number)
    assert server.finish() == 130
    assert time.monotonic() - asked < 5
    assert f"{number.name}: saving and stopping; once more stops at once" in server.text()
    run = the_run(tmp_path)
    assert f"continue with: recrun train --resume {run}" in server.text()
    assert "Traceback" not in server.text()
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] == "interrupted"
    assert server.run("train", "--resume", str(run)) == 0, server.text()
    check(run, expected)


SLOW_MODEL = (
    DROPOUT_MODEL.replace("def forward(self, users, items):", "def forward(self, users, items):\n        wait()")
    + """

def wait():
    import time
    from pathlib import Path

    Path(__file__).with_name("waiting").touch()
    time.sleep(600)
"""
)


def test_the_second_signal_stops_at_once(server: Server, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW_MODEL, encoding="utf-8")
    pid = server.start(
        "train", "bprmf", *SMALL, f"model={tmp_path / 'slow.py'}:DropoutMF", "--runs", str(tmp_path / "r")
    )
    wait_until((tmp_path / "waiting").exists)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: "once more stops at once" in server.text())
    os.kill(pid, signal.SIGTERM)
    asked = time.monotonic()
    assert server.finish() == 130
    assert time.monotonic() - asked < 5
    assert "Traceback" not in server.text()
    assert json.loads((the_run(tmp_path / "r") / "run.json").read_text(encoding="utf-8"))["status"] == "interrupted"


def wait_for_lines(runs: Path, n_lines: int) -> None:
    """Wait until the run below a folder has measured something."""

    def measured() -> bool:
        return any(len(file.read_bytes().splitlines()) >= n_lines for file in runs.glob("*/*/*/metrics.jsonl"))

    wait_until(measured)


def test_a_finished_run_that_is_resumed_says_so_and_changes_nothing(server: Server, tmp_path: Path) -> None:
    assert server.run("train", "bprmf", *SMALL, "--runs", str(tmp_path)) == 0, server.text()
    run = the_run(tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()}
    assert server.run("train", "--resume", str(run), "verbose=1") == 0
    assert f"the run {run} is done; nothing is left to train" in server.text()
    assert "ndcg@10" in server.text(), "its result is shown again"
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "options",
    [[], *(pytest.param(each, marks=slow) for each in (["eval_freq=3"], ["lr_scheduler=step", "lr_step_size=2"]))],
)
def test_a_finished_run_that_is_given_more_epochs_comes_to_what_the_longer_run_does(
    server: Server, whole: Whole, tmp_path: Path, options: list[str]
) -> None:
    shorter = [*SMALL, *options]
    longer = [*(option for option in shorter if not option.startswith("epochs")), "epochs=7"]
    assert server.run("train", "bprmf", *shorter, "--runs", str(tmp_path)) == 0, server.text()
    run = the_run(tmp_path)
    assert server.run("train", "--resume", str(run), "epochs=7") == 0, server.text()
    found, expected = outcome(run), whole("bprmf", *longer)
    for part in ("numbers", "weights", "optimizer", "rng", "best", "progress"):
        assert found[part] == expected[part], part
    # The shorter run may have been evaluated at its end where the longer one was not.
    assert [line for line in found["lines"] if line in expected["lines"]] == expected["lines"]
    assert "epochs: 7" in found["config"]
    assert len(json.loads((run / "run.json").read_text(encoding="utf-8"))["test_evaluations"]) == 2


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ([], "lr=0.5", "lr: cannot be changed when a run is resumed: was 0.02, now 0.5"),
        ([], "epochs=2", "epochs: cannot be changed when a run is resumed: was 4, now 2"),
        ([], "model=ease", "model: cannot be changed"),
        ([], "learning_rate=1", "unknown setting"),
        (["lr_scheduler=cosine"], "epochs=9", "epochs: cannot be changed when a run is resumed: was 4, now 9"),
    ],
)
def test_a_resume_refuses_what_would_change_the_numbers(
    server: Server, tmp_path: Path, options: list[str], change: str, message: str
) -> None:
    server.run("train", "bprmf", *SMALL, *options, "--runs", str(tmp_path), die={"at": "fsync", "call": 12})
    run = the_run(tmp_path)
    before = (run / "run.json").read_bytes()
    assert server.run("train", "--resume", str(run), change) == 2
    assert message in server.text()
    assert "Traceback" not in server.text()
    assert (run / "run.json").read_bytes() == before


def test_a_resume_may_change_how_it_computes(server: Server, whole: Whole, tmp_path: Path) -> None:
    server.run("train", "bprmf", *SMALL, "--runs", str(tmp_path), die={"at": "fsync", "call": 12})
    run = the_run(tmp_path)
    changes = ["device=cpu", "threads=1", "num_workers=1", "eval_memory=64", "checkpoint_freq=2", "verbose=1"]
    assert server.run("train", "--resume", str(run), *changes) == 0, server.text()
    check(run, whole("bprmf", *SMALL))


def test_a_resume_refuses_data_that_has_changed_and_names_the_file(server: Server, tmp_path: Path) -> None:
    rng = random.Random(0)
    pairs = {(rng.randrange(40), rng.randrange(30)) for _ in range(500)}
    file = tmp_path / "ratings.csv"
    file.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in sorted(pairs)), encoding="utf-8")
    options = ["dataset=File", "path=ratings.csv", f"root={tmp_path}", "epochs=3", "device=cpu", "verbose=0"]
    runs = tmp_path / "runs"
    server.run("train", "bprmf", *options, "--runs", str(runs), die={"at": "fsync", "call": 12})
    run = the_run(runs)
    before = (run / "run.json").read_bytes()
    content = file.read_bytes()
    file.write_bytes(content.replace(b"0,1\n", b"0,2\n", 1))
    assert server.run("train", "--resume", str(run)) == 2
    assert "was trained on other data: the file ratings.csv has changed" in server.text()
    assert (run / "run.json").read_bytes() == before
    file.write_bytes(content)
    assert server.run("train", "--resume", str(run)) == 0, server.text()


def test_a_config_that_was_edited_under_a_run_is_refused(server: Server, tmp_path: Path) -> None:
    server.run("train", "bprmf", *SMALL, "--runs", str(tmp_path), die={"at": "fsync", "call": 12})
    run = the_run(tmp_path)
    config = run / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("lr: 0.02", "lr: 0.5"), encoding="utf-8")
    assert server.run("train", "--resume", str(run)) == 2
    assert "made with other settings than the run has now: lr was 0.02, now 0.5" in server.text()


def test_resume_true_in_the_config_continues_the_newest_unfinished_run(
    server: Server, whole: Whole, tmp_path: Path
) -> None:
    command = ["train", "bprmf", *SMALL, "resume=true", "--runs", str(tmp_path)]
    for call in (12, 5):
        assert server.run(*command, die={"at": "fsync", "call": call}) == -signal.SIGKILL
    assert server.run(*command) == 0, server.text()
    check(the_run(tmp_path), whole("bprmf", *SMALL))
    assert server.run(*command) == 0
    assert len(all_runs(tmp_path)) == 2, "a finished run is not continued"


def test_a_seed_that_was_drawn_is_kept_by_a_resume(server: Server, tmp_path: Path) -> None:
    command = ["train", "bprmf", *SMALL, "seed=-1", "resume=true", "id=drawn", "--runs", str(tmp_path)]
    assert server.run(*command, die={"at": "fsync", "call": 12}) == -signal.SIGKILL
    assert server.run(*command) == 0, server.text()
    record = json.loads((the_run(tmp_path) / "run.json").read_text(encoding="utf-8"))
    assert record["seed"] >= 0
    assert f"seed: {record['seed']}" in (the_run(tmp_path) / "config.yaml").read_text(encoding="utf-8")
    assert len(record["resumed"]) == 1


def test_a_second_process_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW_MODEL, encoding="utf-8")
    pid = server.start(
        "train", "bprmf", *SMALL, f"model={tmp_path / 'slow.py'}:DropoutMF", "--runs", str(tmp_path / "r")
    )
    wait_until((tmp_path / "waiting").exists)
    command = [sys.executable, "-m", "recrun", "train", "--resume", str(the_run(tmp_path / "r")), "--trust"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=120)
    os.kill(pid, signal.SIGKILL)
    server.finish()
    assert second.returncode == 2
    assert "is being trained by another process" in second.stderr
    assert "Traceback" not in second.stderr


COMMON = [option for option in SMALL if not option.startswith("embedding_dim")]
ATTACKED = {
    "bprmf": ["bprmf", *SMALL],
    "dropout": ["bprmf", *SMALL],
    "lightgcn": ["lightgcn", *SMALL],
    "sasrec": ["sasrec", *OF_SEQUENCES],
    "deepfm": ["deepfm", *DEEP, *OF_CLICKS],
    "early": ["bprmf", *COMMON, "embedding_dim=8", "early_stop_patience=1", "eval_freq=1"],
    "freq3": ["bprmf", *SMALL, "checkpoint_freq=3"],
    "minutes": ["bprmf", *SMALL, "checkpoint_minutes=0.0001"],
    "no_valid": ["bprmf", *SMALL, "valid_ratio=0"],
}


@pytest.mark.slow
def test_runs_killed_at_random_points_of_the_file_system_resume_to_the_same_bytes(
    server: Server, whole: Whole, tmp_path: Path, dropout_model: str
) -> None:
    seconds = float(os.environ.get("RECRUN_ATTACK_SECONDS", "40"))
    rng = random.Random(int(os.environ.get("RECRUN_ATTACK_SEED", "0")))
    until, kills, rounds = time.monotonic() + seconds, 0, 0
    names = list(ATTACKED)
    while time.monotonic() < until or rounds == 0:
        name = names[rounds % len(names)]
        options = [*ATTACKED[name], *([f"model={dropout_model}"] if name == "dropout" else [])]
        expected = whole(*options)
        runs = tmp_path / str(rounds)
        rounds += 1
        command = ["train", *options, "--runs", str(runs)]
        for _ in range(3):
            if all_runs(runs):
                command = ["train", "--resume", str(the_run(runs))]
            code = server.run(*command, die={"below": str(runs), "call": rng.randrange(1, 150)})
            assert code in (0, -signal.SIGKILL), (name, server.text())
            kills += code != 0
        if all_runs(runs):
            command = ["train", "--resume", str(the_run(runs))]
        assert server.run(*command) == 0, (name, server.text())
        check(the_run(runs), expected)
        shutil.rmtree(runs)
    print(f"{kills} kills in {rounds} rounds, all resumed to the same bytes")
    assert kills > 0
