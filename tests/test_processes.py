"""Several processes train the model that one trains, to rounding, whichever of them is killed and how many go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.errors import TrainingError
from recrun.runs.per_user import read_per_user
from recrun.workflows.train_together import _exit_code
from tests.process_runs import Values, end, is_running, measured, rank_of, require_equal, start, train, train_all
from tests.run_server import the_run, wait_until

SMALL = ("n_users=150", "n_items=80", "n_interactions=3000", "batch_size=70", "device=cpu", "threads=1", "verbose=1")
CORRECTED = ("loss=sampled_softmax", "logq_correction=true", "sampler=popularity", "n_negatives=4")
MF = ("bprmf", "embedding_dim=8", "lr=0.02", "monitors=[ndcg@10]", "which4best=ndcg@10")


def test_two_processes_train_the_model_of_one(tmp_path: Path) -> None:
    steps = ("accumulate=2", "clip_norm=0.1", "ema_decay=0.9", "groups=[activity:2]", "lr_scheduler=cosine_steps")
    arguments = (*MF, *SMALL, *steps, "epochs=3")
    alone, together = train(tmp_path / "1", 1, *arguments), train(tmp_path / "2", 2, *arguments)
    require_equal(together, alone)
    runs = [the_run(tmp_path / n) for n in "12"]
    results = [json.loads((run / "metrics.json").read_text()) for run in runs]
    for key in ("test", "valid", "best_epoch", "groups", "users"):
        assert results[0][key] == results[1][key], key
    assert [json.loads((run / "run.json").read_text()).get("processes") for run in runs] == [None, 2]
    of_users = [read_per_user(run, "test") for run in runs]
    assert of_users[0] is not None
    assert of_users[1] is not None
    for name, values_U in of_users[0].values.items():
        np.testing.assert_array_equal(values_U, of_users[1].values[name])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("synthetic/ease",), "model: ease is fitted at once, by one process"),
        (
            (*MF, *[each for each in SMALL if each != "device=cpu"], "device=cuda:0"),
            "device: cuda:0 is one device, and each process needs its own",
        ),
        (("synthetic/ncl", *SMALL, "epochs=1"), "it compares the rows of a batch with each other"),
    ],
)
def test_what_several_processes_cannot_train_is_refused(arguments: Sequence[str], message: str, tmp_path: Path) -> None:
    code, errors = end(start(*arguments, "--runs", str(tmp_path / "r"), "--processes", "2"))
    assert (code, errors.count("error:")) == (2, 1), errors
    assert message in errors
    assert not (tmp_path / "r").exists()


ADAGRAD = ("optimizer=row_adagrad", "clip_norm=0.1", "loss=sampled_softmax", "sampler=shared")
CASES: dict[str, tuple[str, ...]] = {
    "lazy_adam": (*MF, "epochs=4", "optimizer=lazy_adam", *SMALL),
    "bf16": (*MF, "epochs=4", "optimizer=lazy_adam", "state_precision=bf16", *SMALL),
    "row_adagrad": (*MF, "epochs=4", "optimizer=row_adagrad", *SMALL),
    "in_batch": (*MF, "epochs=4", "loss=sampled_softmax", "sampler=in_batch", "n_negatives=8", *SMALL),
    "shared": (*MF, "epochs=4", "loss=sampled_softmax", "sampler=shared", "n_negatives=8", *SMALL),
    "lightgcn": ("synthetic/lightgcn", "epochs=2", *SMALL),
    "sasrec": ("synthetic/sasrec", "epochs=2", "dropout=0", *SMALL),
    "corrected": ("synthetic/sasrec", "epochs=2", "dropout=0", "optimizer=lazy_adam", *CORRECTED, *SMALL),
    # Without Adam, which divides by the root of means that may be next to nothing, and so magnifies rounding.
    "deepfm": ("synthetic/deepfm", "epochs=2", "dropout=0", "optimizer=sgd", *SMALL[3:]),
    "clipped": (*MF, "epochs=4", *ADAGRAD, *SMALL),
    "candidates": (*MF, "epochs=2", "similarity=cosine", "candidates=20", "eval_users=60", *SMALL),
    "timed": ("synthetic/hstu", "epochs=2", "dropout=0", "embedding_dropout=0", "n_time_buckets=8", *SMALL),
}
BOUNDS = {
    # What is rounded at random to 8 bits may be rounded the other way where sums differ in the last of 24.
    "bf16": 0.01,
    "deepfm": 1e-6,
}
"""How much metrics may differ, where they may."""
DIVIDED = ("bf16", "sasrec", "corrected", "clipped", "candidates", "timed")
"""The runs that are trained with divided tables, too."""


@pytest.mark.slow
def test_models_of_several_processes_are_those_of_one(tmp_path: Path) -> None:
    whole = {name: (arguments, False) for name, arguments in CASES.items()}
    divided = {f"divided-{name}": (CASES[name], True) for name in DIVIDED}
    of_four = {name: case for name, case in {**whole, **divided}.items() if name.endswith(("lazy_adam", "corrected"))}
    alone = train_all(tmp_path / "1", 1, whole)
    for n, cases in ((2, {**whole, **divided}), (4, of_four)):
        for name, found in train_all(tmp_path / str(n), n, cases).items():
            case = name.removeprefix("divided-")
            require_equal(found, alone[case], BOUNDS.get(case, 0.0), f"{name} by {n} processes")


FEW_STEPS = tuple("batch_size=300" if each.startswith("batch_size=") else each for each in SMALL)
DROPPED: tuple[str, ...] = (*MF, *FEW_STEPS, "epochs=24", "embedding_dropout=0.2")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Values:
    """Return what three processes measure in a run with dropout that is not interrupted."""
    return train(tmp_path_factory.mktemp("whole") / "r", 3, *DROPPED)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="ranks are found by /proc")
@pytest.mark.parametrize("killed", [0, 1, 2, "SIGINT"])
def test_a_run_goes_on_whichever_process_was_killed(killed: int | str, whole: Values, tmp_path: Path) -> None:
    process = start(*DROPPED, "--no-plots", "--runs", str(tmp_path / "r"), "--processes", "3")
    wait_until(lambda: len(measured(tmp_path / "r")) >= 12)
    if isinstance(killed, int):
        os.kill(rank_of(process.pid, killed), signal.SIGKILL)
    else:
        process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    code, errors = end(process)
    assert time.monotonic() - asked < 20
    assert "Traceback" not in errors
    said = [line for line in errors.splitlines() if line.startswith("error:")]
    assert len(said) == 1, errors
    assert "recrun train --resume" in said[0], errors
    run = the_run(tmp_path / "r")
    status = json.loads((run / "run.json").read_text())["status"]
    assert (code, status) == {0: (1, "running"), "SIGINT": (130, "interrupted")}.get(killed, (1, "failed"))
    resumed: dict[int, Any] = {}
    for n in (3, *([{0: 1, 1: 2, 2: 4}[killed]] if isinstance(killed, int) else [])):
        copy = tmp_path / f"go-on-{n}"
        shutil.copytree(tmp_path / "r", copy, symlinks=True)
        code, errors = end(start("--resume", str(the_run(copy)), "verbose=0", "--processes", str(n)))
        assert code == 0, errors
        resumed[n] = measured(copy)
    assert resumed[3] == whole, "to the last digit, dropout included"
    for found in resumed.values():  # other draws of dropout, so that another epoch may be the best
        assert [line[:2] for line in found if line[1] != "test"] == [line[:2] for line in whole if line[1] != "test"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by /proc")
def test_the_processes_stop_when_their_launcher_is_killed(whole: Values, tmp_path: Path) -> None:
    process = start(*DROPPED, "--no-plots", "--runs", str(tmp_path / "r"), "--processes", "3")
    wait_until(lambda: len(measured(tmp_path / "r")) >= 12)
    ranks = [rank_of(process.pid, rank) for rank in range(3)]
    process.kill()
    _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    wait_until(lambda: not any(map(is_running, ranks)))
    run = the_run(tmp_path / "r")
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    code, errors = end(start("--resume", str(run), "verbose=0", "--processes", "3"))
    assert code == 0, errors
    assert measured(tmp_path / "r") == whole


@pytest.mark.parametrize(
    ("codes", "is_done", "expected"),
    [
        ({0: 1}, True, 1),  # its table could not be printed
        ({2: -9}, True, 0),
        ({0: -15, 2: -9}, True, 0),
        ({2: -9}, False, 1),
        ({0: -15, 2: -9}, False, 1),
        ({0: 130, 1: -15}, False, 130),
    ],
)
def test_the_exit_code_is_that_of_the_leader_or_of_the_run(codes: dict[int, int], is_done: bool, expected: int) -> None:
    assert _exit_code(codes, 3, is_done=is_done) == expected


def test_a_leader_that_was_killed_is_told_of() -> None:
    with pytest.raises(TrainingError, match="ended by SIGKILL; continue the run with: recrun train --resume RUN"):
        _exit_code({0: -9}, 3, is_done=False)


DYING = """
import atexit, os, signal

from recrun.models.bprmf import BPRMF


class Dying(BPRMF):
    pass


if os.environ.get("RANK") == "1":
    atexit.register(os.kill, os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_run_is_done_though_a_process_is_killed_as_it_ends(tmp_path: Path) -> None:
    (tmp_path / "dying.py").write_text(DYING)
    arguments = (*MF, *SMALL, "epochs=1", f"model={tmp_path / 'dying.py'}:Dying", "--no-plots")
    code, errors = end(start(*arguments, "--runs", str(tmp_path / "r"), "--processes", "2"))
    assert (code, "error:" in errors) == (0, False), errors
    assert "the run is done, but not all of its processes ended by themselves" in errors
    assert json.loads((the_run(tmp_path / "r") / "run.json").read_text())["status"] == "done"


@pytest.mark.slow
def test_the_launchers_of_two_machines_train_the_model_of_one(tmp_path: Path) -> None:
    settings = (*MF, *SMALL, "epochs=2")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{free.getsockname()[1]}"
    each = ["--nnodes", "2", "--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint]
    each += ["--rdzv-id", "two", "--local-addr", "127.0.0.1", "-m", "recrun", "train", *settings, "--no-plots"]
    launcher = [sys.executable, "-m", "torch.distributed.run", *each, "--runs", str(tmp_path / "together")]
    machines = [subprocess.Popen(launcher, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in "ab"]
    for machine in machines:
        _, errors = machine.communicate(timeout=120)
        assert machine.returncode == 0, errors
    require_equal(measured(tmp_path / "together"), train(tmp_path / "alone", 1, *settings))
