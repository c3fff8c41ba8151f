"""What is left when a terminal is closed, and when any command is asked to stop."""

from __future__ import annotations

import json
import os
import pty
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.run_server import Server, the_run, wait_until

SMALL = ["n_users=150", "n_items=80", "n_interactions=3000", "batch_size=64", "device=cpu"]
LONG = ["bprmf", *SMALL, "threads=1", "epochs=100000", "monitors=[ndcg@10]", "which4best=ndcg@10"]

BUILDS_SLOWLY = '''
"""A model whose file takes long to import where a file `slowly` lies beside it."""

import time
from pathlib import Path

import torch

from recrun.architectures import RecSysArch

if Path(__file__).with_name("slowly").exists():
    Path(__file__).with_name("waiting").touch()
    time.sleep(600)


class Slow(RecSysArch):
    """Factorize a matrix."""

    def __init__(self, data) -> None:
        super().__init__()
        self.users = torch.nn.Embedding(data.n_users, 8)
        self.items = torch.nn.Embedding(data.n_items, 8)
        self.initialize(0.1)

    def forward(self, users, items):
        return (self.users(users) * self.items(items)).sum(-1)

    def vectors(self):
        return self.users.weight, self.items.weight
'''


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


def status(runs: Path) -> str:
    return str(json.loads((the_run(runs) / "run.json").read_text(encoding="utf-8"))["status"])


def has_evaluated(runs: Path) -> bool:
    return any(len(file.read_bytes().splitlines()) >= 5 for file in runs.glob("*/*/*/metrics.jsonl"))


def left_over(folder: Path) -> list[Path]:
    return [*folder.rglob("*.tmp"), *folder.rglob(".building-*")]


@pytest.mark.parametrize("verbose", ["0", "1"])
def test_a_run_whose_terminal_is_closed_saves_and_stops(server: Server, tmp_path: Path, verbose: str) -> None:
    pytest.importorskip("recrun.report.terminal.streams")  # what a closed terminal cannot show must not end the run
    controller, terminal = pty.openpty()
    server.start("train", *LONG, f"verbose={verbose}", "--runs", str(tmp_path), terminal=os.ttyname(terminal))
    os.set_blocking(controller, False)

    def shown_and_evaluated() -> bool:
        with suppress(BlockingIOError):
            os.read(controller, 1 << 16)  # else the view would wait for somebody to read it
        return has_evaluated(tmp_path)

    wait_until(shown_and_evaluated)
    os.close(terminal)
    os.close(controller)
    assert server.finish() == 130
    assert status(tmp_path) == "interrupted"
    epoch = json.loads((the_run(tmp_path) / "run.json").read_text(encoding="utf-8"))["epochs_trained"]
    assert epoch > 0
    assert left_over(tmp_path) == []


def test_several_hang_ups_are_one_request_and_a_signal_after_them_is_the_second(server: Server, tmp_path: Path) -> None:
    pid = server.start("train", *LONG, "verbose=0", "--runs", str(tmp_path))
    wait_until(lambda: has_evaluated(tmp_path))
    for _ in range(3):
        os.kill(pid, signal.SIGHUP)
    assert server.finish() == 130
    assert "SIGHUP: saving and stopping; once more stops at once" in server.text()
    assert f"continue with: recrun train --resume {the_run(tmp_path)}" in server.text()
    assert (the_run(tmp_path) / "checkpoints" / "last" / "checkpoint.safetensors").exists()
    assert status(tmp_path) == "interrupted"


@pytest.mark.parametrize("command", ["train", "eval", "verify", "reproduce", "check"])
def test_every_command_that_is_asked_to_stop_while_it_builds_ends_cleanly(
    server: Server, tmp_path: Path, command: str
) -> None:
    (tmp_path / "slow.py").write_text(BUILDS_SLOWLY, encoding="utf-8")
    model, runs, waiting = f"{tmp_path / 'slow.py'}:Slow", tmp_path / "runs", tmp_path / "waiting"
    settings = ["bprmf", f"model={model}", *SMALL, "epochs=1", "verbose=0"]
    assert server.run("train", *settings, "--runs", str(runs)) == 0, server.text()
    config = tmp_path / "expects.yaml"
    settings_text = "".join(f"{key}: {value}\n" for key, _, value in (each.partition("=") for each in settings[1:]))
    expected = "expected:\n  - {split: valid, metric: ndcg@20, value: 0.5, tolerance: 1}\n"
    config.write_text(f"extends: bprmf\n{settings_text}{expected}", encoding="utf-8")
    run = the_run(runs)
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    arguments = {
        "train": [*settings, "--runs", str(runs)],
        "eval": ["--checkpoint", str(run)],
        "verify": [str(config), "--runs", str(runs)],
        "reproduce": [str(run)],
        "check": [model],
    }[command]
    (tmp_path / "slowly").touch()
    for number in (signal.SIGHUP, signal.SIGTERM):
        waiting.unlink(missing_ok=True)
        pid = server.start(command, *arguments)
        wait_until(waiting.exists)
        os.kill(pid, number)
        assert server.finish() == 130
        assert server.text().endswith("error: interrupted\n")
        assert "Traceback" not in server.text()
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*")} == before


def test_a_run_killed_between_its_numbers_and_its_end_is_completed_without_scoring_test_again(
    server: Server, tmp_path: Path
) -> None:
    options = ["bprmf", *SMALL, "threads=1", "epochs=2", "verbose=0", "id=x", "--runs", str(tmp_path)]
    assert server.run("train", *options, die={"at": "finish", "call": 1}) == -signal.SIGKILL, server.text()
    run = the_run(tmp_path)
    result = (run / "metrics.json").read_bytes()
    lines = (run / "metrics.jsonl").read_bytes()
    assert server.run("verify", "bprmf", "--run", str(run)) != 0
    assert server.run("train", "--resume", str(run)) == 0, server.text()
    assert ((run / "metrics.json").read_bytes(), (run / "metrics.jsonl").read_bytes()) == (result, lines)
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert (record["status"], record["epochs_trained"]) == ("done", 2)
    assert [entry["metrics"] for entry in record["test_evaluations"]] == [json.loads(result)["test"]]
    assert (run / "summary" / "SUMMARY.md").exists()
    assert left_over(tmp_path) == []
    assert server.run("list", "runs", "--runs", str(tmp_path)) == 0
    assert "done" in server.text()
    assert server.run("reproduce", str(run)) == 0, server.text()
