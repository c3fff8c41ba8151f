"""`recrun serve`: what cannot be served is refused in one line before anything is loaded."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from recrun.serving import packages

from .conftest import SMALL, Outcome


@pytest.fixture
def refused(recrun: Callable[..., Outcome]) -> Callable[..., str]:
    """Return a function that runs `recrun serve`, which must be refused, and returns the line that it prints."""

    def run(*arguments: str) -> str:
        found = recrun("serve", *arguments)
        assert (found.code, found.out) == (2, "")
        return found.err

    return run


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "is_installed", lambda name: name != "uvicorn")
    assert refused("nowhere") == "error: serving needs uvicorn, not installed here: pip install 'recrun[serve]'\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_an_address_that_others_reach_needs_a_token(refused: Callable[..., str], host: str) -> None:
    said = refused("nowhere", "--host", host)
    assert said.startswith(f"error: --host {host}: other machines may reach it; give a token")


def test_a_token_is_checked(refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECRUN_TOKEN", "short")
    assert refused("nowhere").startswith("error: the token in RECRUN_TOKEN: expected 16 or more letters")
    file = tmp_path / "token"
    file.write_text("a token with blanks\n", encoding="utf-8")
    assert "without blanks" in refused("nowhere", "--token-file", str(file))
    assert "No such file" in refused("nowhere", "--token-file", str(tmp_path / "none"))
    file.write_text(f"{'x' * 20}\n", encoding="utf-8")
    assert "there is nothing at nowhere" in refused("nowhere", "--token-file", str(file), "--port", "0")


def test_what_is_no_run_is_refused(refused: Callable[..., str]) -> None:
    assert "expected a run folder or a checkpoint" in refused("nowhere", "--port", "0")
    assert "before KEY=VALUE" in refused("root=data")


def test_a_port_that_is_taken_is_refused_before_the_run_is_loaded(refused: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("nowhere", "--port", str(port))
    assert said.startswith(f"error: cannot listen at port {port} of 127.0.0.1: ")
    assert "0 takes a free one" in said


def test_settings_of_training_cannot_be_changed(recrun: Callable[..., Outcome], refused: Callable[..., str]) -> None:
    assert recrun("train", "bprmf", *SMALL).code == 0
    assert "lr: cannot be changed here" in refused("runs/latest", "lr=1", "--port", "0")
