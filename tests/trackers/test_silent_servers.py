"""Servers that accept and never answer, or are not there, neither slow a run nor keep its process."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.trackers.conftest import SMALL, Workplace, free_port

NAMED = ["bprmf", *SMALL, "description=mine", "epochs=40", "early_stop_patience=null"]
PATIENCE = 10.0
SLACK = 15.0
"""The packages are imported meanwhile; without a limit of ours, wandb waits for 90 seconds, and MLflow for minutes."""


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for each in held:
            each.close()


def _seconds(work: Workplace, *words: str) -> tuple[float, dict[str, object], str]:
    """Return the seconds that a command took, its result, and what it printed on stderr."""
    begin = time.monotonic()
    out, err = work.run(*words)
    return time.monotonic() - begin, json.loads(out), err


@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_a_server_that_never_answers_costs_the_time_to_wait_at_the_end(
    work: Workplace, silent: str, tracker: str
) -> None:
    del work.environment["WANDB_MODE"]
    work.environment |= {"MLFLOW_TRACKING_URI": silent, "WANDB_BASE_URL": silent, "WANDB_API_KEY": "a" * 40}
    alone, plain, _ = _seconds(work, "train", *NAMED, "id=plain", "--json")
    tracked, result, err = _seconds(work, "train", *NAMED, "id=one", f"track=[{tracker}]", "--json")
    assert f"{tracker} did not answer within 10 seconds" in err
    assert tracked < alone + PATIENCE + SLACK, "neither the epochs nor the exit of the process wait"
    assert (result["valid"], result["test"]) == (plain["valid"], plain["test"])
    assert work.record(tracker)["problem"] == f"{tracker} did not answer within 10 seconds"


def test_a_server_that_is_not_there_costs_nothing(work: Workplace) -> None:
    work.environment["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{free_port()}"
    alone, _, _ = _seconds(work, "train", *NAMED, "id=plain", "--json")
    tracked, _, err = _seconds(work, "train", *NAMED, "id=one", "track=[mlflow]", "--json")
    assert "not everything was delivered to mlflow" in err
    assert tracked < alone + PATIENCE


def test_without_an_account_wandb_asks_nothing(work: Workplace) -> None:
    del work.environment["WANDB_MODE"]
    _, _, err = _seconds(work, "train", *NAMED, "id=one", "track=[wandb]", "--json")
    assert "not everything was delivered to wandb" in err
    assert "wandb login" in err
